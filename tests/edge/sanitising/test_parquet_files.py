"""Sanitising Parquet: text columns are cleaned, nested ones too; numbers only if their column is named."""

from __future__ import annotations

import datetime
import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edge.sanitising import Cleaner, Refused
from tests.edge.sanitising.conftest import CARD, IBAN, MAIL, cleaned

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("text", pa.string(), metadata={"seen": MAIL}),
        pa.field("kind", pa.dictionary(pa.int32(), pa.string())),
        pa.field("turns", pa.list_(pa.struct([("role", pa.string()), ("content", pa.large_string())]))),
        pa.field("tags", pa.map_(pa.string(), pa.string())),
        pa.field("at", pa.timestamp("ns", "UTC")),
        pa.field("vector", pa.list_(pa.float32())),
    ],
    metadata={"note": f"asked by {MAIL}"},
)


def row(number: int, text: str | None) -> dict[str, Any]:
    return {
        "id": number,
        "text": text,
        "kind": "a",
        "turns": [{"role": "user", "content": text}],
        "tags": [("k", text)],
        "at": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        "vector": [0.5],
    }


def written(rows: list[dict[str, Any]], schema: pa.Schema = SCHEMA, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out, **options)
    return out.getvalue()


def read(data: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(data))


def test_nested_texts_are_cleaned_and_other_values_stay_unchanged(cleaner: Cleaner):
    rows = [row(1, f"to {MAIL}"), row(2, None), row(3, "plain")]
    data = written(rows, row_group_size=2, compression="zstd")
    output = cleaned(cleaner, "a.parquet", data)
    clean = "to <EMAIL_ADDRESS_1>"
    table = read(output)
    assert table.schema.equals(SCHEMA, check_metadata=False)
    assert table.column("text").to_pylist() == [clean, None, "plain"]
    assert table.column("turns").to_pylist()[0] == [{"role": "user", "content": clean}]
    assert table.column("tags").to_pylist()[0] == [("k", clean)]
    for name in ("id", "kind", "at", "vector"):
        assert table.column(name).to_pylist() == read(data).column(name).to_pylist()
    file = pq.ParquetFile(io.BytesIO(output))
    assert [file.metadata.row_group(at).num_rows for at in range(file.metadata.num_row_groups)] == [2, 1]
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert MAIL.encode() not in output, "it would stand in the file's notes, or its columns' statistics"
    assert cleaned(cleaner, "a.parquet", data) == output
    assert read(cleaned(cleaner, "a.parquet", output)).equals(table)


def test_a_table_without_rows_stays_empty(cleaner: Cleaner):
    assert read(cleaned(cleaner, "a.parquet", written([]))).num_rows == 0


def test_a_named_column_of_numbers_is_cleaned_and_becomes_text(cleaner: Cleaner):
    schema = pa.schema([("card", pa.int64()), ("share", pa.float64()), ("raw", pa.binary())])
    rows = [
        {"card": int(CARD), "share": float(CARD), "raw": IBAN.encode()},
        {"card": None, "share": 0.5, "raw": b"x"},
    ]
    data = written(rows, schema)
    output = read(cleaned(cleaner, "a.parquet", data, frozenset(["card", "raw"])))
    assert output.column("card").to_pylist() == ["<CREDIT_CARD_1>", None]
    assert output.column("raw").to_pylist() == ["<IBAN_CODE_1>", "x"]
    assert output.column("share").to_pylist() == [float(CARD), 0.5]


@pytest.mark.parametrize(
    ("schema", "rows", "fields", "message"),
    [
        (pa.schema([("raw", pa.binary())]), [{"raw": b"x"}], "", "raw holds bytes"),
        (pa.schema([("raw", pa.binary())]), [{"raw": b"\xff"}], "raw", "not UTF-8"),
        (pa.schema([("raw", pa.list_(pa.binary()))]), [{"raw": [b"x"]}], "raw", "nested"),
        (pa.schema([(MAIL, pa.string())]), [{MAIL: "x"}], "", "name tells"),
    ],
)
def test_columns_of_bytes_and_identifying_column_names_are_refused(
    cleaner: Cleaner, schema: Any, rows: Any, fields: str, message: str
):
    with pytest.raises(Refused, match=message):
        cleaned(cleaner, "a.parquet", written(rows, schema), frozenset(filter(None, [fields])))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PARE" + b"\0" * 40, "encrypted"),
        (b"hello", "no Parquet"),
        (b"PAR1" + b"\0" * 40, "cannot be read"),
        (written([row(1, "x")])[:-200], "cannot be read"),
        (written([row(at, str(at) * 9_000) for at in range(40)]), "unpacks to"),
    ],
)
def test_a_parquet_file_that_cannot_be_read_is_refused(cleaner: Cleaner, data: bytes, message: str):
    with pytest.raises(Refused, match=message):
        cleaned(cleaner, "a.parquet", data)
