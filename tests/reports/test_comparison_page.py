"""A comparison as text and as a page: the same figures, all of them, and no text of a file becomes markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from isthmus.contracts.reports.comparison import Comparison
from isthmus.reports import comparison_page, comparison_text
from tests.reports import comparisons

AMOUNT = re.compile(r"[-+(]?\d[\d,]*\.\d{2}\b")


class Words(HTMLParser):
    """The text of a page, and its elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._in_style = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if not self._in_style:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return comparisons.bank()


@pytest.fixture(scope="module")
def html(comparison: Comparison) -> str:
    return comparison_page.page(comparison)


@pytest.fixture(scope="module")
def text(comparison: Comparison) -> str:
    return "\n".join(comparison_text.comparison_lines(comparison))


def amounts(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """Every amount in USD of a report, with its key."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from amounts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from amounts(inner, key)
    elif isinstance(value, float) and (
        key.endswith("_usd") or key in ("amounts", "totals", "by_year", "cash")
    ):
        yield key, value


def test_every_amount_of_the_json_is_in_text_and_page_to_the_cent(
    comparison: Comparison, html: str, text: str
):
    page = Words(html).text
    data = comparison.model_dump(mode="json", by_alias=True)
    drivers = data.pop("drivers")
    shown = list(amounts(data))
    assert len(shown) > 80
    for column in data["columns"]:
        for reason in (column["explanation"] or {"workloads": []})["workloads"]:
            if reason["runner_up"]:
                # What the runner-up is compared with is the plan's own cost, unless scores were bought.
                shown.remove(("compared_with_usd", reason["runner_up"]["compared_with_usd"]))
    for key, value in shown:
        written = f"{value:+,.2f}" if key == "extra_usd" else f"{value:,.2f}"
        assert written in text, f"{key} {written} is not in the text"
        assert written in page, f"{key} {written} is not on the page"
    for effect in drivers:
        for cell, total in zip(effect["cells"], data["total_cost"]["totals"], strict=True):
            for end in ("low_usd", "high_usd") if cell else ():
                written = f"{cell[end] - total:+,.2f}"
                assert written in text
                assert written in page


def test_text_and_page_show_no_amount_that_the_json_does_not_have(
    comparison: Comparison, html: str, text: str
):
    data = comparison.model_dump(mode="json", by_alias=True)
    known = {f"{abs(value):,.2f}" for _, value in amounts(data)}
    for effect in data["drivers"]:
        for cell, total in zip(effect["cells"], data["total_cost"]["totals"], strict=True):
            known |= {f"{abs(cell[end] - total):,.2f}" for end in ("low_usd", "high_usd") if cell}
    sentences = " ".join(
        [*data["headline"], *(sentence for moves in data["moves"] for sentence in moves["sentences"])]
    )
    known |= {amount.strip("-+(") for amount in AMOUNT.findall(sentences)}
    known |= {amount.strip("-+(") for amount in AMOUNT.findall(str(data["columns"]))}
    known |= {
        amount.strip("-+(") for amount in AMOUNT.findall(str(data["sources"]) + str(data["assumptions"]))
    }
    known |= {
        amount.strip("-+(")
        for amount in AMOUNT.findall(str([line["sources"] for line in data["cost_lines"]]))
    }
    for output in (text, Words(html).text):
        unknown = {amount.strip("-+(") for amount in AMOUNT.findall(output)} - known
        assert not {amount for amount in unknown if len(amount) > 6}, unknown


def test_energy_carbon_and_grid_factors_are_the_same_everywhere(comparison: Comparison, html: str, text: str):
    page = Words(html).text
    for row in comparison.energy.rows:
        for value in (*row.kwh, *row.kg_co2e):
            if value is not None:
                assert f"{value:,.1f}" in text
                assert f"{value:,.1f}" in page
        assert row.source in text
        assert row.source in page


def test_every_assumption_and_every_source_is_in_both(comparison: Comparison, html: str, text: str):
    page = Words(html).text
    for assumption in comparison.assumptions:
        for output in (text, page):
            assert assumption.value in output
            assert assumption.option in output
    for source in comparison.sources:
        assert source in text
        assert " ".join(source.split()) in page
    for line in comparison.cost_lines:
        assert all(" ".join(source.split()) in page for source in line.sources)


def test_an_infeasible_column_says_why_and_shows_dashes(comparison: Comparison, html: str, text: str):
    page = Words(html).text
    assert "C: bank-dev.requirements.yaml with the blueprint sovereign (infeasible)" in text
    assert "C has no feasible plan" in page
    for reason in comparison.columns[2].why_not:
        assert reason in page
        assert reason in text


def test_the_charts_are_xml_with_a_text_alternative_and_a_bar_for_each_figure(
    comparison: Comparison, html: str
):
    charts = [
        ElementTree.fromstring(match)  # noqa: S314  made by us a moment ago
        for match in re.findall(r'<svg class="chart".*?</svg>', html, re.DOTALL)
    ]
    assert len(charts) == 2
    for chart in charts:
        ids = (chart.get("aria-labelledby") or "").split()
        texts = {element.get("id"): element.text or "" for element in chart if element.get("id")}
        assert set(ids) == set(texts)
        assert all(texts.values())
    total, tornado = charts
    parts = [amount for row in comparison.total_cost.rows for amount in row.amounts if amount]
    assert len(total.findall("rect")) == len(parts)
    cells = [cell for effect in comparison.drivers for cell in effect.cells if cell is not None]
    assert len(tornado.findall("rect")) == len(cells)


def test_a_bar_of_the_tornado_is_as_wide_as_its_range(comparison: Comparison):
    chart = comparison_page.tornado_chart(comparison)
    assert chart is not None
    cells = [cell for effect in comparison.drivers for cell in effect.cells if cell is not None]
    ranges = [abs(cell.high_usd - cell.low_usd) for cell in cells]
    scale = chart.bars[0].width / ranges[0]
    for bar, wide in zip(chart.bars, ranges, strict=True):
        assert bar.width == pytest.approx(max(1.0, wide * scale), abs=0.6)
        assert bar.x >= 0
        assert bar.x + bar.width <= comparison_page.WIDTH


def test_the_bars_of_the_total_are_as_long_as_their_amounts(comparison: Comparison):
    chart = comparison_page.total_cost_chart(comparison)
    assert chart is not None
    amounts_by_column = [
        [row.amounts[index] for row in comparison.total_cost.rows if row.amounts[index]] for index in range(2)
    ]
    flat = [amount for column in amounts_by_column for amount in column]
    scale = chart.bars[0].width / (flat[0] or 1)
    for bar, amount in zip(chart.bars, flat, strict=True):
        assert bar.width == pytest.approx((amount or 0) * scale, rel=1e-6)


def test_tables_have_headings_and_ids_are_unique(html: str):
    words = Words(html)
    ids = [attributes["id"] for _, attributes in words.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    tables = re.findall(r"<table>.*?</table>", html, re.DOTALL)
    assert len(tables) > 8
    assert all('<th scope="col"' in table and '<th scope="row"' in table for table in tables)


def test_the_page_loads_nothing_and_has_a_print_style(html: str):
    words = Words(html)
    assert not {"script", "img", "link", "iframe", "object", "form"} & {tag for tag, _ in words.elements}
    assert "@media print" in html
    assert "default-src 'none'" in html
    assert not re.search(r"url\(|@import|https?://[^\s\"'<]*\.(?:css|js|woff2?)", html)


def test_texts_of_files_stay_text():
    html = comparison_page.page(comparisons.hostile())
    words = Words(html)
    assert "script" not in {tag for tag, _ in words.elements}
    assert "alert(1)" in words.text
    assert "{{ 7 * 7 }}" in words.text
    assert "\u202e" not in html


def test_the_same_comparison_gives_the_same_bytes(comparison: Comparison, html: str):
    assert comparison_page.page(comparison) == html
