"""Parquet files: each row is a document; row groups are kept. Needs pyarrow, which is imported with the first file.

Columns of text are searched, also nested ones. Numbers, dates and booleans are not changed unless the user names their
column; then they are written as text, because a number cannot hold a placeholder. Columns of bytes must be named, since
they can contain anything.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edge.sanitising.document import Document
from edge.sanitising.refusal import Refused

_MAGIC, _ENCRYPTED = b"PAR1", b"PARE"
_CODECS = ("SNAPPY", "GZIP", "ZSTD", "BROTLI", "LZ4")
_FIX_FILE = "Write it anew, or leave it out"
ValuePath = tuple[Any, ...]
"""Path into a nested value: keys of structures and indices of lists."""


@dataclass
class _Group:
    """A row group that is being processed."""

    table: Any
    values: dict[str, list[Any]]
    """The values of the searched columns."""


@dataclass(frozen=True)
class _Row:
    group: _Group
    number: int
    ways: list[tuple[str, ValuePath]]


class ParquetForm:
    """A Parquet file. `named`: columns to search in addition to text columns."""

    def __init__(self, data: bytes, named: frozenset[str], most_bytes: int) -> None:
        self._data, self._named, self._most = data, named, most_bytes
        self._pending: deque[_Row | None] = deque()
        self._out, self._given = io.BytesIO(), 0
        self._writer: Any = None
        self._schema: Any = None
        self.untouched: tuple[str, ...] = ()

    def documents(self) -> Iterator[Document]:
        """Yield the documents to redact, in order. Raises Refused."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = self._opened()
        metadata, columns = file.metadata, list(file.schema_arrow)
        self._check(columns)
        text_columns = [column for column in columns if holds_text(column.type) or column.name in self._named]
        self.untouched = tuple(column.name for column in columns if column not in text_columns)
        # The metadata of the file and its columns are dropped, because they are not searched.
        self._schema = pa.schema(
            [pa.field(column.name, self._type(column), column.nullable) for column in columns]
        )
        codec = metadata.row_group(0).column(0).compression if metadata.num_row_groups and columns else "none"
        self._writer = pq.ParquetWriter(
            self._out, self._schema, compression=codec.lower() if codec in _CODECS else "none"
        )
        self._pending.append(None)
        yield Document((), tuple(column.name for column in columns))
        for at in range(metadata.num_row_groups):
            try:
                table = file.read_row_group(at)
                group = _Group(
                    table, {column.name: table.column(column.name).to_pylist() for column in text_columns}
                )
            except (pa.ArrowException, OSError, ValueError):
                raise Refused(f"row group {at} cannot be read as what it says it is", fix=_FIX_FILE) from None
            for number in range(table.num_rows):
                yield self._document(_Row(group, number, []), text_columns)

    def _opened(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._data[:4] not in (_MAGIC, _ENCRYPTED):
            raise Refused("it is no Parquet", fix=_FIX_FILE)
        try:
            if self._data[:4] == _ENCRYPTED:
                raise OSError("encrypted")
            file = pq.ParquetFile(io.BytesIO(self._data))
        except (pa.ArrowException, OSError) as error:
            if "crypt" in str(error).lower():
                raise Refused("it is encrypted", fix="Decrypt it first") from None
            raise Refused("its Parquet cannot be read", fix=_FIX_FILE) from None
        for group in range(file.metadata.num_row_groups):
            if (size := file.metadata.row_group(group).total_byte_size) > self._most:
                raise Refused(
                    f"row group {group} unpacks to {size >> 20} MiB", fix="Write it with smaller row groups"
                )
        return file

    def _check(self, columns: list[Any]) -> None:
        names = [column.name for column in columns]
        if len(set(names)) < len(names):
            raise Refused("two columns have the same name", fix="Rename one")
        for column in columns:
            plain = column.type.num_fields == 0
            if column.name in self._named and not plain and not holds_text(column.type):
                raise Refused(
                    f"column {column.name} is nested and holds no text", fix="Name plain columns only"
                )
            if holds_bytes(column.type) and not (plain and column.name in self._named):
                raise Refused(
                    f"column {column.name} holds bytes, which could be anything",
                    fix=f"Name it (--fields {column.name}) where they are UTF-8, or write the file without it",
                )

    def _type(self, column: Any) -> Any:
        """The Arrow type with which a column is written."""
        import pyarrow as pa

        return pa.string() if column.name in self._named and not holds_text(column.type) else column.type

    def _document(self, row: _Row, text_columns: list[Any]) -> Document:
        texts: list[tuple[str, str]] = []
        for column in text_columns:
            values = row.group.values[column.name]
            if not holds_text(column.type):
                values[row.number] = _as_text(values[row.number], column.name)
            for value_path, field, text in _texts(values[row.number], column.name):
                texts.append((field, text))
                row.ways.append((column.name, value_path))
        self._pending.append(row)
        return Document(tuple(texts))

    def back(self, texts: Sequence[str]) -> bytes:
        """Return the output for the next document, given its redacted texts."""
        row = self._pending.popleft()
        if row is None:
            return b""
        for (column, value_path), text in zip(row.ways, texts, strict=True):
            values = row.group.values[column]
            values[row.number] = _replace_text(values[row.number], value_path, text)
        return self._group(row.group) if row.number == row.group.table.num_rows - 1 else b""

    def _group(self, group: _Group) -> bytes:
        import pyarrow as pa

        columns = [
            pa.chunked_array([pa.array(group.values[column.name], type=column.type)])
            if column.name in group.values
            else group.table.column(column.name)
            for column in self._schema
        ]
        table = pa.Table.from_arrays(columns, schema=self._schema)
        self._writer.write_table(table, row_group_size=table.num_rows)
        group.values.clear()
        return self._drained()

    def end(self) -> bytes:
        """Return the end of the output."""
        self._writer.close()
        return self._drained()

    def _drained(self) -> bytes:
        data = self._out.getvalue()[self._given :]
        self._given += len(data)
        return data


def holds_text(type_: Any) -> bool:
    """Whether a value of the Arrow type is text or contains text."""
    import pyarrow.types as t

    if t.is_dictionary(type_):
        return holds_text(type_.value_type)
    plain = t.is_string(type_) or t.is_large_string(type_) or t.is_string_view(type_)
    return plain or any(holds_text(type_.field(at).type) for at in range(type_.num_fields))


def holds_bytes(type_: Any) -> bool:
    """Whether a value of the Arrow type is bytes or contains bytes."""
    import pyarrow.types as t

    if t.is_dictionary(type_):
        return holds_bytes(type_.value_type)
    plain = t.is_binary(type_) or t.is_large_binary(type_) or t.is_binary_view(type_)
    plain = plain or t.is_fixed_size_binary(type_)
    return plain or any(holds_bytes(type_.field(at).type) for at in range(type_.num_fields))


def _as_text(value: Any, column: str) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise Refused(
                f"column {column} holds bytes that are not UTF-8", fix="Write the file without it"
            ) from None
    is_integer = isinstance(value, float) and value.is_integer()
    return value if value is None else str(int(value)) if is_integer else str(value)


def _texts(value: Any, field: str, path: ValuePath = ()) -> Iterator[tuple[ValuePath, str, str]]:
    """Yield each text in a value: its path, the name of its field, and the text."""
    if isinstance(value, str):
        if any(map(str.isalnum, value)):
            yield path, field, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, key, (*path, key))
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            yield from _texts(inner, field, (*path, at))


def _replace_text(value: Any, path: ValuePath, text: str) -> Any:
    """Return the value with one text replaced. The entries of a map are tuples."""
    if not path:
        return text
    if isinstance(value, tuple):
        elements = [*value]
        elements[path[0]] = _replace_text(elements[path[0]], path[1:], text)
        return tuple(elements)
    value[path[0]] = _replace_text(value[path[0]], path[1:], text)
    return value
