"""Presidio as it comes, in an environment of its own (`bench/presidio.lock`): a line of JSON in, a line of JSON out.

A line in is `{"texts": […], "language": "en"}`, a line out `[{"spans": [[start, end, entity], …], "ms": …}, …]`.
The argument is a folder of a spaCy pipeline of French: with it names are looked for, as Presidio does with any model;
the other languages have a blank pipeline, since the models that Presidio names itself are no packages of an index.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from typing import Any


def main(french: str) -> None:
    """Answer lines until there are none."""
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
        languages = [each["lang_code"] for each in models]
        engine = AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=languages)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps([_seen(engine, text, asked["language"]) for text in asked["texts"]]), flush=True)


def _seen(engine: Any, text: str, language: str) -> dict[str, Any]:
    started = time.process_time()
    found = engine.analyze(text, language)
    spent = time.process_time() - started
    return {"spans": [[each.start, each.end, each.entity_type] for each in found], "ms": spent * 1000}


if __name__ == "__main__":
    main(sys.argv[1])
