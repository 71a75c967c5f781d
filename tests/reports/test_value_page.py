"""The page of `isthmus value`: the figures of the report, and no text of a file becomes markup."""

from __future__ import annotations

import copy
import re

import pytest

from isthmus.contracts.requirements.document import Requirements
from isthmus.reports import value_page
from isthmus.reports.value_text import certainty, value_lines
from isthmus.value.words import show
from tests.reports.test_comparison_page import Words
from tests.value import bank


@pytest.fixture(scope="module")
def html() -> str:
    return value_page.page(bank.report())


def test_the_page_has_every_figure_of_the_report(html):
    text = Words(html).text
    for one in bank.report().workloads:
        for figure in one.figures:
            shown = figure.why_not_known if figure.range is None else show(figure.measure, figure.range.point)
            assert shown is not None
            assert shown in text
        for assumption in one.assumptions:
            assert assumption.source in text
    for cost in bank.report().costs:
        assert f"{cost.total_usd:,.2f}" in text


def test_page_and_text_give_the_same_answers(html):
    lines = value_lines(bank.report())
    answers = [line.partition("scale, fix or stop? ")[2] for line in lines if "scale, fix or stop? " in line]
    decisions = re.findall(r'<p class="decision [a-z]*">[^:]+: ([^<]+)</p>', html)
    assert answers == decisions == ["Not known yet. Still possible: scale, fix or stop.", "Scale."]


def test_the_widest_bar_of_the_chart_is_the_first_and_the_line_of_zero_is_drawn(html):
    (chart,) = re.findall(r'<svg class="chart".*?</svg>', html, re.DOTALL)
    widths = [float(width) for width in re.findall(r'class="swing"[^>]* width="([\d.]+)"', chart)]
    assert widths == sorted(widths, reverse=True)
    assert len(widths) == 6
    assert 'class="zero"' in chart


def test_bars_of_a_loss_lie_left_of_zero():
    dear = copy.deepcopy(bank.requirements().document.data)
    for workload in dear["workloads"]:
        if workload["name"] == bank.ASSISTANT:
            workload["value"]["assisted_minutes"] = {"likely": 60, "source": "study", "as_of": "2026-10-01"}
    made = bank.report(requirements_=Requirements.model_validate(dear))
    chart = value_page.tornado_chart(bank.of(made, bank.ASSISTANT))
    assert chart is not None
    assert chart.zero is not None
    swings = [bar for bar in chart.bars if bar.style == "swing"]
    assert all(bar.x + bar.width < chart.zero for bar in swings)
    assert all(0 <= bar.x <= value_page.WIDTH for bar in swings)


def test_the_page_loads_nothing_and_texts_of_the_requirements_are_escaped():
    hostile = copy.deepcopy(bank.requirements().document.data)
    for workload in hostile["workloads"]:
        if workload["name"] == bank.ASSISTANT:
            workload["purpose"] = "<script>alert(1)</script>"
            workload["value"]["beneficiaries"] = '"><img src=x>'
            workload["value"]["people"]["source"] = "a\u202eb"
    page = value_page.page(bank.report(requirements_=Requirements.model_validate(hostile)))
    elements = {name for name, _ in Words(page).elements}
    assert elements.isdisjoint({"script", "img", "link", "iframe"})
    assert "\u202e" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_page_says_what_worse_assumptions_do_to_the_benefit(html):
    one = bank.of(bank.report(), bank.ASSISTANT)
    assert one.net_at_worst is not None
    assert one.net_at_worst < one.tornado[0].net_at_low
    sentence = (
        "The money rests most on one assumption, minutes for a unit without the workload . Its source: survey of 140 "
        "people. With it alone at 7.64 minutes (one case in ten is worse), the workload saves USD 35,729 a month more "
        "than it costs. With every assumption at the bad end of its stated range at once, it "
    )
    text = Words(html).text
    assert sentence in text
    assert text.partition(sentence)[2].startswith(("costs USD", "saves USD"))
    lost = one.model_copy(update={"net_at_worst": -20.0})
    assert certainty(lost).endswith("it costs USD 20.00 a month more than it saves.")


def test_the_page_says_how_many_days_of_usage_there_are_beside_how_many_were_agreed(html):
    one = bank.of(bank.report(), bank.ASSISTANT)
    assert f"for at least 56 days of usage; there are {one.days}." in Words(html).text


def test_the_caveat_about_saved_time_stands_before_all_figures(html):
    text = Words(html).text
    assert text.index("Saved time is money only if its hours go into other work") < text.index("Unit of work")
