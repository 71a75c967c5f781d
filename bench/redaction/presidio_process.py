"""Runs Presidio with default settings in its own environment (`bench/presidio.lock`). It reads and writes JSON lines.

An input line is `{"texts": […], "language": "en"}`. An output line is
`[{"spans": [[start, end, entity], …], "ms": …}, …]`. The argument is the folder of a French spaCy pipeline, with which
Presidio finds names. The other languages have a blank pipeline, because Presidio's default models are not in a package
index.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from typing import Any


def main(french: str) -> None:
    """Answer input lines until the input ends."""
    import spacy
    from presidio_analyzer import AnalyzerEngine  # type: ignore[import-not-found]
    from presidio_analyzer.nlp_engine import NlpEngineProvider  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as folder:
        models = []
        for language in ("en", "de", "it", "es"):
            spacy.blank(language).to_disk(f"{folder}/{language}")
            models.append({"lang_code": language, "model_name": f"{folder}/{language}"})
        models.append({"lang_code": "fr", "model_name": french})
        provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
        languages = [model["lang_code"] for model in models]
        engine = AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=languages)
    for line in sys.stdin:
        request = json.loads(line)
        print(
            json.dumps([_analyze(engine, text, request["language"]) for text in request["texts"]]), flush=True
        )


def _analyze(engine: Any, text: str, language: str) -> dict[str, Any]:
    start = time.process_time()
    results = engine.analyze(text, language)
    seconds = time.process_time() - start
    return {
        "spans": [[result.start, result.end, result.entity_type] for result in results],
        "ms": seconds * 1000,
    }


if __name__ == "__main__":
    main(sys.argv[1])
