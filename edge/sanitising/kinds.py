"""Which kind of file a name says it is, and what reads it."""

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
    """A file taken apart into documents and put together again; each document goes back in its turn."""

    untouched: tuple[str, ...]
    """Columns that nobody looks at."""

    def documents(self) -> Iterator[Document]:
        """What is to be cleaned, in order; raises Refused."""
        ...

    def back(self, texts: Sequence[str]) -> bytes:
        """What is written for the next document, given its texts clean."""
        ...

    def end(self) -> bytes:
        """What is written last."""
        ...


def kind_of(name: str) -> str:
    """Raises Refused for one that nobody here reads."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in KINDS:
        raise Refused(
            f"no reader is here for {suffix or 'a file without an ending'}",
            fix=f"Make it one of {', '.join(KINDS)}, or leave it out",
        )
    return KINDS[suffix]


def open_form(kind: str, data: bytes, fields: frozenset[str], most_bytes: int) -> Form:
    """The reader of a kind; raises ModuleNotFoundError where pyarrow is missing."""
    if kind == "parquet":
        from edge.sanitising.parquet_files import ParquetForm

        return ParquetForm(data, fields, most_bytes)
    if kind == "csv":
        return CsvForm(data)
    return JsonForm(data, lines=kind == "jsonl") if kind.startswith("json") else TextForm(data)
