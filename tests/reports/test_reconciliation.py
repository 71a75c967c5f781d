"""Texts of bills in the reports of a reconciliation: they are data, never markup, formulas or terminal codes."""

from __future__ import annotations

from decimal import Decimal

from isthmus.contracts.reports.reconciliation import Amount, CategorySum, Reconciliation, Unmatched
from isthmus.reports.reconciliation_page import page
from isthmus.reports.reconciliation_text import reconciliation_csv, reconciliation_lines


def report(name: str) -> Reconciliation:
    entry = Unmatched(
        category="others in the account",
        resource=name,
        usage_type=name,
        currency="USD",
        amount=Decimal("1.00"),
    )
    return Reconciliation(
        stack=name,
        month="2026-11",
        reconciled=False,
        tolerance=Decimal("0.005"),
        bill_format="CUR 2.0",
        discounts="lines",
        bill_lines=1,
        totals=[Amount(currency=name, amount=Decimal("1.00"))],
        categories=[CategorySum(category="fees", currency=name, amount=Decimal("1.00"), lines=1)],
        converted=[],
        profiles=[],
        differences=[],
        unmatched=[entry],
        pools=[],
        fixed=[],
        allocation=None,
        notes=[name],
    )


def test_a_name_with_markup_is_escaped_on_the_page():
    html = page(report("<script>alert(1)</script>"))
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_terminal_codes_are_made_visible():
    assert "\x1b" not in "\n".join(reconciliation_lines(report("\x1b[31mred")))


def test_a_name_like_a_formula_is_no_formula_in_the_table():
    assert "'=HYPERLINK" in reconciliation_csv(report("=HYPERLINK(1)"))


def test_a_report_without_a_profile_says_that_nothing_was_compared():
    assert "Nothing was compared: no profile of the stack is known." in reconciliation_lines(report("x"))
