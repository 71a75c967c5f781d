"""What is found of sentences that nobody here wrote: templates of presidio-evaluator, filled by Faker in 13 locales.

Both come from the package index by their digests. Of presidio-evaluator (MIT) only the file of templates is read.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

from bench.redaction.corpus import Sentence
from bench.redaction.quality import Quality, measure, wilson
from edge.redaction import Detector, Rules
from sandbox.toolchain import cache
from tests.graders import tools

HERE = Path(__file__).parents[1]
WHEEL = "presidio_evaluator-0.3.2-py3-none-any.whl"
SHA256 = "57614fe604e52b78e6de25b767c59265886b93bbcdc6c7e43ab2657d3f6302be"
TEMPLATES = "presidio_evaluator/data_generator/raw_data/templates.txt"
SEED, COUNT = 20261129, 3_000
_HEADING = """\
{count} sentences that nobody here wrote, seed {seed}. A span counts as found when all of its letters and digits are
hidden, a finding as right when it touches a span. By patterns alone.

| entity | recall | 95 % interval | precision |
|---|---|---|---|"""


def templates() -> Path:
    """The file of templates, fetched once."""
    folder = cache.root() / f"outside-{SHA256[:8]}"
    with cache.exclusive(folder, "another run is fetching the templates; waiting for it", print):
        if not folder.exists():
            with cache.fill_folder(folder) as made:
                wanted = made / "wanted.txt"
                wanted.write_text(f"presidio-evaluator==0.3.2 --hash=sha256:{SHA256}\n")
                command = [
                    sys.executable,
                    "-m",
                    "pip",
                    "download",
                    "--quiet",
                    "--no-deps",
                    "--require-hashes",
                ]
                subprocess.run([*command, "-r", str(wanted), "-d", str(made)], check=True)
                with zipfile.ZipFile(made / WHEEL) as packed:
                    (made / "templates.txt").write_bytes(packed.read(TEMPLATES))
    return folder / "templates.txt"


def sentences(seed: int = SEED, count: int = COUNT) -> list[Sentence]:
    """Drawn anew from the seed, by Faker in its own environment."""
    tools.install("outside", HERE)
    python = tools.python("outside", HERE)
    command = [str(python), str(Path(__file__).with_name("outside_side.py")), str(templates())]
    ran = subprocess.run(
        [*command, str(seed), str(count)], capture_output=True, text=True, encoding="utf-8", check=True
    )
    read = map(json.loads, ran.stdout.splitlines())
    return [Sentence("en", one["text"], tuple((a, b, name) for a, b, name in one["spans"])) for one in read]


def quality(corpus: list[Sentence]) -> Quality:
    """Of the detector by patterns alone."""
    detector = Detector(Rules())

    def find(text: str, language: str) -> list[tuple[int, int, str]]:
        findings = detector.detect(text, [language]).findings
        return [(each.start, each.end, each.entity) for each in findings]

    return measure(corpus, find)


def tables(least: float = 0.97) -> tuple[str, bool]:
    """In Markdown, and whether every entity's recall reaches `least`."""
    measured = quality(sentences())
    lines = [_HEADING.format(count=f"{COUNT:,}", seed=SEED)]
    for entity, there in measured.there.items():
        found, said, right = measured.found[entity], measured.said[entity], measured.true[entity]
        low, high = wilson(found, there)
        precision = f"{right / said:.1%} ({right} of {said})" if said else "–"
        lines.append(
            f"| `{entity}` | {found / there:.1%} ({found} of {there}) | {low:.1%} to {high:.1%} | {precision} |"
        )
    return "\n".join(lines), all(
        measured.found[each] >= least * measured.there[each] for each in measured.there
    )
