"""Measures the throughput of `isthmus sanitise` for one processor, compared with Presidio with default settings.

    python -m bench.sanitise [--documents N] [--write]

A document is a line of JSON with ten labelled sentences (`bench.redaction.corpus`). There is a file for each language,
and no two documents are equal. `isthmus sanitise` reads, cleans, checks again, writes, and keeps its manifest. Presidio
only analyses every tenth document, in memory. The first run prepares the same environments as `bench.redaction`.
`--write` puts the table into docs/sanitise.md.
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
from bench.redaction.recognizers import Recognizer, french_model, start_recognizers
from edge.redaction import ModelFile, Rules
from edge.sanitising import FolderSource, FolderTarget, Options, sanitise

DOCUMENT = Path(__file__).parents[1] / "docs" / "sanitise.md"
SENTENCES_PER_DOCUMENT, ROUNDS, PRESIDIO_PART = 10, 3, 10
"""Sentences in a document, rounds, and the step between documents that Presidio analyses."""


class _Timed:
    """A watcher that records when the rules are ready and the first file begins."""

    def began(self, files: int, size: int) -> None:
        self.begin = time.process_time()

    def passed(self, characters: int) -> None:
        """Does nothing: only the total time is measured."""

    def ended(self, entry: Any, kept: bool, size: int) -> None:
        assert entry.status == "done", entry.reason


def documents(count: int) -> dict[str, list[str]]:
    """Documents by language, `count` in total."""
    per_language = count * SENTENCES_PER_DOCUMENT // len(templates.HELD_OUT)
    texts_of: dict[str, list[str]] = {}
    for sentence in sentences(seed=SEED, per_language=per_language):
        texts_of.setdefault(sentence.language, []).append(sentence.text)
    return {
        language: [
            " ".join(texts[start : start + SENTENCES_PER_DOCUMENT])
            for start in range(0, len(texts), SENTENCES_PER_DOCUMENT)
        ]
        for language, texts in texts_of.items()
    }


def _write_documents(folder: Path, texts: dict[str, list[str]]) -> None:
    for language, language_texts in texts.items():
        lines = (json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in language_texts)
        (folder / f"{language}.jsonl").write_text("".join(lines))


def _sanitise_run(source: Path, rules: Rules) -> Callable[[], float]:
    def run() -> float:
        options = Options("public", names_demanded=False)
        with tempfile.TemporaryDirectory() as folder:
            watch = _Timed()
            sanitise(FolderSource(source), FolderTarget(Path(folder) / "out"), rules, options, watch)
            return time.process_time() - watch.begin

    return run


def _presidio_run(presidio: Recognizer, texts: dict[str, list[str]]) -> Callable[[], float]:
    def run() -> float:
        return sum(
            spent / 1000
            for language, language_texts in texts.items()
            for _, spent in presidio.analyze(language_texts[::PRESIDIO_PART], language)
        )

    return run


def table_rows(count: int) -> Iterator[str]:
    """The table, in Markdown."""
    texts = documents(count)
    with tempfile.TemporaryDirectory() as folder, start_recognizers() as recognizers:
        source = Path(folder)
        _write_documents(source, texts)
        total_bytes = sum(file.stat().st_size for file in source.iterdir())
        presidio_bytes = sum(
            len(text.encode())
            for language_texts in texts.values()
            for text in language_texts[::PRESIDIO_PART]
        )
        presidio_documents = sum(len(language_texts[::PRESIDIO_PART]) for language_texts in texts.values())
        total_documents = sum(map(len, texts.values()))
        model = Rules(models=[ModelFile(file=french_model())])
        runs: dict[str, tuple[Callable[[], float], int, int]] = {
            "sanitise, patterns": (_sanitise_run(source, Rules()), total_bytes, total_documents),
            "sanitise, patterns and the French model": (
                _sanitise_run(source, model),
                total_bytes,
                total_documents,
            ),
            recognizers[-1].name: (_presidio_run(recognizers[-1], texts), presidio_bytes, presidio_documents),
        }
        seconds_of: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(ROUNDS):
            for name, (run, _, _) in runs.items():
                seconds_of[name].append(run())
    yield (
        f"{total_documents} documents, {total_bytes / 1e6:.1f} MB; processor time, medians of {ROUNDS} rounds, "
        "all programs in turn;"
    )
    yield f"{os.cpu_count()} cores, a load of {os.getloadavg()[1]:.0f}."
    yield ""
    yield "| | MB/s | documents/s |"
    yield "|---|---|---|"
    for name, (_, byte_count, document_count) in runs.items():
        seconds = statistics.median(seconds_of[name])
        yield f"| {name} | {byte_count / 1e6 / seconds:.3f} | {document_count / seconds:.0f} |"


def main(arguments: list[str]) -> int:
    """Measure and print. There is no bound, so the exit code is always 0."""
    parser = argparse.ArgumentParser(prog="bench.sanitise", description=__doc__)
    parser.add_argument("--documents", type=int, default=1500)
    parser.add_argument("--write", action="store_true", help="into docs/sanitise.md")
    options = parser.parse_args(arguments)
    text = "\n".join(table_rows(options.documents))
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
