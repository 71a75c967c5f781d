"""Reads a bill with DuckDB: Parquet or CSV, one file or several."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.core.errors import InputError
from isthmus.usage.bills import formats
from isthmus.usage.bills.lines import Bill, BillLine, DiscountForm, tag_key
from isthmus.usage.duckdb_package import import_duckdb

if TYPE_CHECKING:
    from datetime import date

SUFFIXES = (".parquet", ".csv", ".csv.gz")


def read_bill(files: Sequence[Path], month: date | None = None) -> Bill:
    """Read a bill.

    Args:
        files: its files, all of one format.
        month: the first day of a billing period; other periods are left out. None: all periods.

    Raises `InputError` for a file that is no bill, and `EnvironmentFault` without DuckDB.
    """
    duckdb = import_duckdb("bills are read with DuckDB", "--bill")
    where = str(files[0]) if len(files) == 1 else str(files[0].parent)
    with duckdb.connect(
        ":memory:", config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    ) as connection:
        try:
            return _read(connection, files, month, where)
        except duckdb.Error as error:
            first_line = str(error).splitlines()[0]
            raise InputError(
                f"the bill cannot be read ({first_line})",
                where=where,
                fix="Give files as AWS Data Exports writes them: Parquet, CSV or CSV with gzip",
            ) from None


def _read(connection: Any, files: Sequence[Path], month: date | None, where: str) -> Bill:
    names = [str(file) for file in files]
    suffixes = {suffix for suffix in SUFFIXES for name in names if name.lower().endswith(suffix)}
    if ".parquet" in suffixes and len(suffixes) > 1:
        raise InputError(
            "the folder has Parquet and CSV files", where=where, fix="Give a folder with one export alone"
        )
    if ".parquet" in suffixes:
        relation = connection.read_parquet(names, union_by_name=True)
    else:
        relation = connection.read_csv(names, header=True, all_varchar=True, union_by_name=True)
    columns = [column.lower() for column in relation.columns]
    format = formats.recognise(relation.columns, where)
    relation.create_view("bill")
    net = formats.has_net_cost(format, columns) and not _has_discount_lines(connection)
    sql = formats.lines_query(format, columns, net_discounts=net)
    if month is not None:
        sql = f"SELECT * FROM ({sql}) WHERE period = $1"  # noqa: S608
    cursor = connection.execute(sql, [] if month is None else [month])
    fields = [column[0] for column in cursor.description]
    lines = tuple(_line(dict(zip(fields, row, strict=True))) for row in cursor.fetchall())
    if month is not None and not lines:
        raise _other_months(connection, format, month, where)
    discounts: DiscountForm = "in the cost" if format is formats.FOCUS else "net cost" if net else "lines"
    return Bill(format.name, discounts, tuple(names), lines)


def _other_months(connection: Any, format: formats.Format, month: date, where: str) -> InputError:
    column = format.names["period"]
    sql = f"SELECT DISTINCT strftime(CAST({column} AS DATE), '%Y-%m') FROM bill ORDER BY 1"  # noqa: S608
    months = [row[0] for row in connection.execute(sql).fetchall()]
    return InputError(
        f"the bill has no line of the billing period {month:%Y-%m}",
        where=where,
        fix=f"Its billing periods are: {', '.join(months)}" if months else "The bill has no lines",
    )


def _has_discount_lines(connection: Any) -> bool:
    """AWS writes discounts as lines (`Manual discount compatibility`) or as a net cost; both would count them twice."""
    sql = "SELECT count(*) FROM bill WHERE line_item_line_item_type LIKE '%Discount'"
    return connection.execute(sql).fetchone()[0] > 0


def _line(row: dict[str, Any]) -> BillLine:
    tags: dict[str, Any] = {}
    for column in json.loads(row["tags"]):
        # A CSV file has the map as a text.
        tags |= (json.loads(column or "{}") if isinstance(column, str) else column) or {}
    row["tags"] = {tag_key(key): str(value) for key, value in tags.items() if value is not None}
    return BillLine(**{**row, "hours": row["hours"] or 0})
