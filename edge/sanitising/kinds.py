"""Kinds of files by their names, and the form that reads each kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Protocol

from edge.sanitising.csv_files import CsvForm
from edge.sanitising.document import Document
from edge.sanitising.refusal import Refused
from edge.sanitising.text_files import JsonForm, TextForm

KINDS = {
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}


class Form(Protocol):
    """A file that is split into documents and written again from them, in the same order."""

    untouched: tuple[str, ...]
    """Columns that are not searched."""

    def documents(self) -> Iterator[Document]:
        """Yield the documents to redact, in order. Raises Refused."""
        ...

    def back(self, texts: Sequence[str]) -> bytes:
        """Return the output for the next document, given its redacted texts."""
        ...

    def end(self) -> bytes:
        """Return the end of the output."""
        ...


def kind_of(name: str) -> str:
    """Return the kind of a file by its name. Raises Refused for an unsupported kind."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in KINDS:
        raise Refused(
            f"no reader is here for {suffix or 'a file without an ending'}",
            fix=f"Make it one of {', '.join(KINDS)}, or leave it out",
        )
    return KINDS[suffix]


def open_form(kind: str, data: bytes, fields: frozenset[str], most_bytes: int) -> Form:
    """Return the form for a kind. Raises ModuleNotFoundError if pyarrow is missing."""
    if kind == "parquet":
        from edge.sanitising.parquet_files import ParquetForm

        return ParquetForm(data, fields, most_bytes)
    if kind == "csv":
        return CsvForm(data)
    return JsonForm(data, lines=kind == "jsonl") if kind.startswith("json") else TextForm(data)
