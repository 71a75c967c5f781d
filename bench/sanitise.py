"""What `isthmus sanitise` does in a second of a processor, beside Presidio as it comes, in one run.

    python -m bench.sanitise [--documents N] [--write]

Documents are lines of JSON with ten of the labelled sentences each (`bench.redaction.corpus`), a file a language, no
two alike. Ours reads, cleans, looks again, writes and keeps its manifest; Presidio only looks (`analyze`), in memory,
at every tenth of them. The first run makes what `bench.redaction` makes. `--write`: into docs/sanitise.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.redaction import templates
from bench.redaction.corpus import SEED, sentences
from bench.redaction.sides import Side, french, sides
from edge.redaction import ModelFile, Rules
from edge.sanitising import FolderSource, FolderTarget, Options, sanitise

DOCUMENT = Path(__file__).parents[1] / "docs" / "sanitise.md"
OF, ROUNDS, PART = 10, 3, 10
"""Sentences of a document, rounds, and which part of the documents Presidio sees."""


class _Timed:
    """A watcher that notes when rules are ready and the first file can begin."""

    def began(self, files: int, size: int) -> None:
        self.begin = time.process_time()

    def passed(self, characters: int) -> None:
        """The whole is measured, not its parts."""

    def ended(self, entry: Any, kept: bool, size: int) -> None:
        assert entry.status == "done", entry.reason


def documents(count: int) -> dict[str, list[str]]:
    """By language."""
    each = count * OF // len(templates.KEPT)
    made: dict[str, list[str]] = {}
    for one in sentences(seed=SEED, each=each):
        made.setdefault(one.language, []).append(one.text)
    return {
        language: [" ".join(texts[at : at + OF]) for at in range(0, len(texts), OF)]
        for language, texts in made.items()
    }


def _lay(folder: Path, texts: dict[str, list[str]]) -> None:
    for language, every in texts.items():
        lines = (json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in every)
        (folder / f"{language}.jsonl").write_text("".join(lines))


def _ours(source: Path, rules: Rules) -> Callable[[], float]:
    def run() -> float:
        asked = Options("public", names_demanded=False)
        with tempfile.TemporaryDirectory() as folder:
            watch = _Timed()
            sanitise(FolderSource(source), FolderTarget(Path(folder) / "out"), rules, asked, watch)
            return time.process_time() - watch.begin

    return run


def _presidio(side: Side, texts: dict[str, list[str]]) -> Callable[[], float]:
    def run() -> float:
        return sum(
            spent / 1000
            for language, every in texts.items()
            for _, spent in side.look(every[::PART], language)
        )

    return run


def rows(count: int) -> Iterator[str]:
    """The table, in Markdown."""
    texts = documents(count)
    with tempfile.TemporaryDirectory() as folder, sides() as found:
        source = Path(folder)
        _lay(source, texts)
        size = sum(file.stat().st_size for file in source.iterdir())
        part = sum(len(text.encode()) for every in texts.values() for text in every[::PART])
        seen = sum(len(every[::PART]) for every in texts.values())
        whole = sum(map(len, texts.values()))
        model = Rules(models=[ModelFile(file=french())])
        runs: dict[str, tuple[Callable[[], float], int, int]] = {
            "sanitise, patterns": (_ours(source, Rules()), size, whole),
            "sanitise, patterns and the French model": (_ours(source, model), size, whole),
            found[-1].name: (_presidio(found[-1], texts), part, seen),
        }
        spent: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(ROUNDS):
            for name, (run, _, _) in runs.items():
                spent[name].append(run())
    yield f"{whole} documents, {size / 1e6:.1f} MB; processor time, medians of {ROUNDS} rounds, all sides in turn;"
    yield f"{os.cpu_count()} cores, a load of {os.getloadavg()[1]:.0f}."
    yield ""
    yield "| | MB/s | documents/s |"
    yield "|---|---|---|"
    for name, (_, held, number) in runs.items():
        seconds = statistics.median(spent[name])
        yield f"| {name} | {held / 1e6 / seconds:.3f} | {number / seconds:.0f} |"


def main(arguments: list[str]) -> int:
    """Measure and print; nothing here can fail."""
    parser = argparse.ArgumentParser(prog="bench.sanitise", description=__doc__)
    parser.add_argument("--documents", type=int, default=1500)
    parser.add_argument("--write", action="store_true", help="into docs/sanitise.md")
    options = parser.parse_args(arguments)
    text = "\n".join(rows(options.documents))
    print(text)
    if options.write:
        marks = ("<!-- bench.sanitise -->", "<!-- end -->")
        old = DOCUMENT.read_text()
        DOCUMENT.write_text(
            re.sub(f"({marks[0]}\n).*?({marks[1]})", lambda m: m[1] + text + "\n" + m[2], old, flags=re.S)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
