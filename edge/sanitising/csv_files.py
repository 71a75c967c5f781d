"""CSV files: each row is a document, the first line has the names of the columns.

Rows without findings keep their bytes.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence

from edge.sanitising.document import Document
from edge.sanitising.refusal import Refused
from edge.sanitising.text_files import decoded

DELIMITERS = ",;\t|"
_LARGEST = 2**31 - 1
_FIX_ROW = "Mend the row, or leave the file out"


class CsvForm:
    """A CSV file. Its separator is the most frequent of `DELIMITERS` in the first line; quotes are `"`."""

    untouched: tuple[str, ...] = ()

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pending: deque[tuple[str, list[str], list[int]]] = deque()
        self._delimiter = ","

    def documents(self) -> Iterator[Document]:
        """Yield the documents to redact, in order. Raises Refused."""
        csv.field_size_limit(_LARGEST)
        text = decoded(self._data)
        self._delimiter = _delimiter(text)
        read: list[str] = []
        rows = csv.reader(_lines_noted(text, read), delimiter=self._delimiter, strict=True)
        header: list[str] | None = None
        line = 1
        while True:
            try:
                row = next(rows, None)
            except csv.Error as error:
                raise Refused(f"the row is no CSV: {error}", line=line, fix=_FIX_ROW) from None
            if row is None:
                return
            raw = "".join(read)
            read.clear()
            if header is None and row:
                header = [name.removeprefix("\ufeff").strip() for name in row]
                self._pending.append((raw, row, []))
                yield Document((), tuple(dict.fromkeys(header)))
            elif header is None or not row:
                self._pending.append((raw, row, []))
                yield Document()
            else:
                yield self._row(header, row, raw, line)
            line = rows.line_num + 1

    def _row(self, header: list[str], row: list[str], raw: str, line: int) -> Document:
        if len(row) != len(header):
            raise Refused(f"the row has {len(row)} cells, the first {len(header)}", line=line, fix=_FIX_ROW)
        filled = [at for at, cell in enumerate(row) if any(map(str.isalnum, cell))]
        self._pending.append((raw, row, filled))
        return Document(tuple((header[at], row[at]) for at in filled))

    def back(self, texts: Sequence[str]) -> bytes:
        """Return the output for the next document, given its redacted texts."""
        raw, row, filled = self._pending.popleft()
        cleaned_row = [*row]
        for at, text in zip(filled, texts, strict=True):
            cleaned_row[at] = text
        if cleaned_row == row:
            return raw.encode()
        ending = raw[len(raw.rstrip("\r\n")) :]
        quotes_all = raw == self._line(row, ending, csv.QUOTE_ALL)
        return self._line(cleaned_row, ending, csv.QUOTE_ALL if quotes_all else csv.QUOTE_MINIMAL).encode()

    def _line(self, row: list[str], ending: str, quoting: int) -> str:
        out = io.StringIO(newline="")
        csv.writer(out, delimiter=self._delimiter, lineterminator=ending, quoting=quoting).writerow(row)  # type: ignore[arg-type]
        return out.getvalue()

    def end(self) -> bytes:
        """Return the end of the output."""
        return b""


def _lines_noted(text: str, noted: list[str]) -> Iterator[str]:
    """Yield the lines, and record each line when the CSV reader takes it."""
    for line in io.StringIO(text, newline=""):
        noted.append(line)
        yield line


def _delimiter(text: str) -> str:
    first_line, quoted = "", False
    for character in text.removeprefix("\ufeff").lstrip("\r\n"):
        quoted ^= character == '"'
        if character in "\r\n" and not quoted:
            break
        first_line += "" if quoted else character
    return max(DELIMITERS, key=lambda delimiter: (first_line.count(delimiter), -DELIMITERS.index(delimiter)))
