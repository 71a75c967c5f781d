"""Sanitising CSV: rows and cells are preserved, and a file that is not a table is refused with its line."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.sanitising import Cleaner, Refused
from tests.edge.sanitising.conftest import CARD, MAIL, cleaned
from tests.edge.sanitising.test_text_files import TEXTS


def test_only_rows_with_a_finding_are_rewritten(cleaner: Cleaner):
    text = f'\ufeffid;card;note\r\n1;{CARD};"a; b"\r\n\r\n"2";;"plain"\r\n3;;"{MAIL}; ""x""\r\ny"'
    output = cleaned(cleaner, "a.csv", text.encode()).decode()
    assert output == (
        '\ufeffid;card;note\r\n1;<CREDIT_CARD_1>;"a; b"\r\n\r\n"2";;"plain"\r\n3;;"<EMAIL_ADDRESS_1>; ""x""\r\ny"'
    )


def test_a_row_of_quoted_cells_stays_one_row(cleaner: Cleaner):
    output = cleaned(cleaner, "a.csv", f'"a","b"\n"1","{MAIL}"\n'.encode())
    assert output == b'"a","b"\n"1","<EMAIL_ADDRESS_1>"\n'


def test_the_name_of_a_column_is_context_for_its_cells(cleaner: Cleaner):
    output = cleaned(cleaner, "a.tsv", b"cvv\tpassword\n123\thunter2!!\n456\thunter3!!\n")
    assert output == b"cvv\tpassword\n<CARD_CODE_1>\t<SECRET_1>\n<CARD_CODE_1>\t<SECRET_1>\n", (
        "a row is a document"
    )


@pytest.mark.parametrize(
    ("data", "message", "line"),
    [
        (b"a,b\n1,2\n1,2,3\n", "3 cells, the first 2", 3),
        (b'a,b\n"1\n2",3\n"open,2\n', "no CSV", 4),
        (b'a,b\n"1"x,2\n', "no CSV", 2),
        (b"ann@example.com,b\n1,2\n", "name tells", None),
    ],
)
def test_a_csv_file_that_is_not_a_table_is_refused_with_its_line(
    cleaner: Cleaner, data: bytes, message: str, line: int | None
):
    with pytest.raises(Refused, match=message) as refused:
        cleaned(cleaner, "a.csv", data)
    assert refused.value.line == line


@given(
    st.lists(st.lists(TEXTS, min_size=2, max_size=2), max_size=4),
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_and_columns_are_preserved_and_a_second_run_finds_nothing(
    cleaner: Cleaner, rows: list[list[str]], delimiter: str, quoting: int
):
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, quoting=quoting).writerows([["a", "b"], *rows])  # type: ignore[arg-type]
    output = cleaned(cleaner, "a.csv", out.getvalue().encode())
    back = list(csv.reader(io.StringIO(output.decode(), newline=""), delimiter=delimiter, strict=True))
    assert [len(row) for row in back] == [2] * (len(rows) + 1)
    assert cleaned(cleaner, "a.csv", output) == output
