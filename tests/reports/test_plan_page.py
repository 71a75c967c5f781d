"""The page of a plan: all of it is there, nothing on it is loaded, and no text of a file becomes markup."""

from __future__ import annotations

import functools
import itertools
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from isthmus.contracts.plan.document import Plan
from isthmus.contracts.requirements.document import Requirements
from isthmus.reports import plan_page
from isthmus.reports.format import numbers as format_numbers
from tests.blueprints import by_hand
from tests.blueprints.bank import requirements_and_plan, requirements_data
from tests.reports.plans import LIST, full, hand_written, infeasible, sized

HOSTILE = "</svg><script>alert(1)</script>\"' onload=x {{ 7 * 7 }} 🏦\x00\u202e"
# What a page is made of: an element beyond these came from a text.
ELEMENTS = """html head meta title style body header h1 h2 p main section figure svg desc g rect path text ul ol li
    span b div figcaption table colgroup col thead tbody tfoot tr th td br i u a footer"""

bank_data = functools.cache(requirements_data)
bank = functools.cache(requirements_and_plan)


def page_of(data: dict[str, Any], requirements: Requirements | None = None, **more: Any) -> str:
    return plan_page.page(Plan.model_validate(data), requirements or bank()[0], **more)


class Parts(HTMLParser):
    """What a browser would make of a page: elements with their attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def text_of(html: str) -> str:
    """The text of a page as a reader sees it, on one line."""
    return " ".join(" ".join(Parts(html).text).split())


def section(html: str, name: str) -> str:
    match = re.search(rf'<section id="{name}">(.*?)</section>', html, re.DOTALL)
    assert match is not None, f"no section {name}"
    return text_of(match[1])


def sections(html: str) -> str:
    return " ".join(re.findall(r'<section id="(\w+)">', html))


def drawing(html: str) -> ElementTree.Element:
    match = re.search(r'<svg class="map".*?</svg>', html, re.DOTALL)
    assert match is not None, "no picture"
    return ElementTree.fromstring(match[0])  # noqa: S314  made by us a moment ago


def test_the_sections_are_in_the_order_of_a_review_meeting():
    order = "map placements predictions cost stress alternatives warnings evidence"
    assert sections(page_of(full())) == order


def test_the_decision_is_one_sentence():
    text = text_of(page_of(full()))
    used = "15 GPUs in use, 2 workloads on-prem and 2 in the cloud (1 overflowing there)"
    assert f"Feasible: USD 26,007 a month, {used}, by the blueprint regulated-hybrid." in text
    assert "USD 33,993 a month below the budget of USD 60,000" in text


def test_mig_slices_are_not_called_gpus():
    data = full()
    data["endpoints"][1]["mig_profile"] = "1g.12gb"
    assert "9 GPUs and 6 MIG slices in use" in text_of(page_of(data))


def test_notes_and_the_age_of_prices_are_shown():
    text = text_of(page_of(full(), explained=["It moved."], age="Old prices."))
    assert "It moved." in text
    assert "Old prices." in text


def test_the_picture_is_xml_with_each_box_and_each_line():
    picture = drawing(page_of(full()))
    classes = [element.get("class", "").split() for element in picture.iter("path")]
    assert [
        sum(kind in sensitivity for sensitivity in classes) for kind in ("primary", "overflow", "route")
    ] == [4, 1, 2]
    text = {element.text for element in picture.iter("text")}
    assert {
        "kyc-extraction",
        "confidential-overflow",
        "fra1: on-prem, de",
        "90 %",
        "may be served in",
    } <= text
    assert "h100-sxm-80gb: 8 of 16 GPUs in use" in text
    # A class is a word too, not a colour only.
    assert {"restricted", "confidential", "internal", "public"} <= text


def test_the_picture_has_a_text_alternative():
    picture = drawing(page_of(full()))
    texts = {match.get("id"): match.text or "" for tag in ("title", "desc") for match in picture.findall(tag)}
    assert picture.get("aria-labelledby", "").split() == list(texts)
    assert "kyc-extraction (confidential) runs on confidential-overflow" in texts["map-told"]
    assert "public-nova-lite may be served in eu-central-1 (de), eu-north-1 (se)" in texts["map-told"]


@pytest.mark.parametrize(
    ("profile", "expected"),
    [("global.amazon.nova-2-lite-v1:0", "every commercial region"), ("eu.nobody.knows-v1:0", "not known")],
)
def test_an_open_or_unknown_route_is_reported(profile: str, expected: str):
    data = full()
    data["endpoints"][3]["inference_profile"] = profile
    assert f"public-nova-lite may be served in {expected}" in (drawing(page_of(data)).findtext("desc") or "")


def test_boxes_of_a_column_do_not_overlap_and_lie_within_the_picture():
    data = full()
    # A dozen endpoints more, so that the columns differ in height.
    data["endpoints"] += [data["endpoints"][1] | {"id": f"extra-{number}"} for number in range(12)]
    drawn = plan_page.picture(Plan.model_validate(data), bank()[0])
    assert drawn is not None
    for column in (drawn.workloads.values(), drawn.sites, drawn.endpoints.values(), drawn.regions.values()):
        boxes = sorted(column, key=lambda box: box.y)
        assert all(above.y + above.height <= below.y for above, below in itertools.pairwise(boxes))
        assert all(box.y >= 0 and box.y + box.height <= drawn.height for box in boxes)


SAID = {
    "placements": [
        *("meta-llama/Llama-3.3-70B-Instruct fp8", "2 × 4 h100-sxm-80gb", "overflow, 10 %"),
        *("1 × 1 l40s-48gb (g6e.2xlarge on-demand)", "none", "Beyond the six L40S."),
    ],
    "predictions": [
        *("1,230 ms", "80 % of cases: 980 to 1,610 ms", "goal: 2,500 ms", "32.4 ms", "goal: 60 ms"),
        *("7.23 requests/s", "2.41 × the peak of 3", "goal: 1.3 × the peak", "must survive: one domain"),
        *("0.78 × the peak of 20: not enough", "✓ kept", "? unverified", "not predicted", "the provider's"),
    ],
    "cost": [
        *("idle H100 not counted in the total", "Total of the counted items USD 26,007", "155,520"),
        *("USD 0.000078", "USD 12.13", "USD 1,184", "list price, 2026-11-01", "allocated"),
    ],
    "stress": [
        "✗ Fails at 1.5 × the peak. The first bottleneck is confidential-llama-8b , at 1.34 × the peak.",
        "two more replicas of confidential-llama-8b: 2 l40s-48gb at fra1",
    ],
    "alternatives": ["all-on-prem USD 61,234 costs more", "all-cloud cost unknown restricted work stays"],
    "warnings": [by_hand.WARNING],
    "evidence": [
        "cost of Nova Lite, prompt tokens; cost of EKS, g6e.2xlarge",
        "where internal-haiku may be served; where public-nova-lite may be served",
        "Without a source: size of confidential-overflow; cost of staff.",
    ],
}


@pytest.mark.parametrize("part", SAID)
def test_each_section_shows_the_values_of_the_plan(part: str):
    text = section(page_of(full()), part)
    assert [phrase for phrase in SAID[part] if phrase not in text] == []
    assert text.count(LIST["source"]) <= 1, "a source stands once"


def with_availability() -> dict[str, Any]:
    """The plan by hand, where the planner raised what one workload survives, and another one misses its goal."""
    loss = {"part": "site-on-prem", "at": "fra1", "hours_per_year": 1.6}
    entry = {"goal": 0.999, "survive": "node", "limited_by": [loss]}
    raised = {"workload": "kyc-extraction", "expected": 0.999431, "raised_from": "none"}
    missed = {"workload": "transaction-narratives", "expected": 0.9981}
    mode = {"part": "site-on-prem", "rate_per_year": 0.8, "repair_hours": 2.0, "common_cause": 0.05}
    return full() | {
        "availability": {
            "workloads": [{**entry, **raised}, {**entry, **missed}],
            "failure_modes": [{**mode, "kind": "assumed", "source": "a table", "as_of": "2026-11-25"}],
            "assumptions": ["A provider's SLA promises a refund, not an availability."],
            "raised_usd_per_month": 1999.39,
        }
    }


def test_the_expected_availability_is_shown_with_what_limits_it_and_its_assumptions():
    shown = text_of(section(page_of(with_availability()), "availability"))
    for expected in (
        *("kyc-extraction 0.999431 ✓ meets the goal 0.999 node raised from none", "the one site fra1: 1.6"),
        *("transaction-narratives 0.9981 ✗ misses the goal", "adds USD 1,999 a month"),
        *("site-on-prem 0.8 2 5 % assumed, 2026-11-25", "promises a refund, not an availability"),
    ):
        assert expected in shown
    evidence = text_of(section(page_of(with_availability()), "evidence"))
    assert "a table assumed 2026-11-25 failures of site-on-prem" in evidence


def test_a_plan_without_availability_has_no_section_for_it():
    assert 'id="availability"' not in page_of(full())


def test_a_raised_survive_is_what_an_endpoint_must_survive():
    def domains(data: dict[str, Any]) -> int:
        return text_of(section(page_of(data), "predictions")).count("must survive: one domain")

    data = with_availability()
    before = domains(data)
    data["availability"]["workloads"][0]["survive"] = "domain"
    assert domains(data) > before


def test_goals_of_two_workloads_on_one_endpoint_are_listed_separately():
    data = full()
    data["placements"][3]["endpoint"] = "internal-haiku"
    text = section(page_of(data), "predictions")
    assert "goal: 3,000 ms for policy-assistant" in text
    assert "goal: 4,000 ms for campaign-copy" in text


def test_the_time_of_a_whole_answer_is_told_where_nothing_arrives_before():
    text = text_of(section(page_of(full()), "predictions"))
    assert re.search(
        r"kyc-extraction: whole answer [\d,.]+ to [\d,.]+ ms; nothing of it arrives before", text
    )
    assert "campaign-copy: whole answer" not in text


def test_rows_marked_as_not_counted_are_not_added():
    data = full()
    data["cost_items"][5]["counted"] = False
    assert "Total of the counted items USD 14,007" in section(page_of(data), "cost")


def test_a_total_that_differs_from_the_plan_is_reported():
    text = section(page_of(full() | {"monthly_cost_usd": 30000.0}), "cost")
    assert "The plan states USD 30,000 a month, but its items add up to USD 26,007." in text
    assert "add up to" not in section(page_of(full()), "cost")


def test_a_plan_that_holds_under_stress_says_so():
    grows = {"outgrown_first": "restricted-x", "outgrown_in_months": 7}
    text = section(page_of(full() | {"stress": {"factor": 1.25, "holds": True, **grows}}), "stress")
    assert "✓ Passes at 1.25 × the peak. No bottleneck is known" in text
    assert "At the stated growth, restricted-x is the first to be too small, in 7 months." in text


def test_the_foot_names_version_digest_and_prices():
    text = text_of(page_of(full()))
    assert f"Isthmus 0.1.0. Requirements bank, SHA-256 {bank()[0].digest}" in text
    assert "Prices as of 2026-11-01" in text
    assert "shown here have another digest" in text_of(page_of(full() | {"requirements_sha256": "0" * 64}))


def test_a_plan_written_by_hand_says_what_it_does_not_know():
    html = page_of(hand_written())
    assert "at an unknown cost" in text_of(html)
    assert section(html, "predictions").endswith("no goal is known to be kept.")
    assert "The monthly cost is unknown, and it is not broken down by part." in section(html, "cost")
    assert "Not predicted" in section(html, "stress")
    assert "No alternatives were compared." in section(html, "alternatives")
    assert "The plan states no date of its prices" in text_of(html)


@pytest.mark.parametrize("data", [full(), infeasible(), hand_written(), hand_written() | {"placements": []}])
def test_no_table_is_empty(data: dict[str, Any]):
    for body in re.findall(r"<tbody>(.*?)</tbody>", page_of(data), re.DOTALL):
        assert "<tr" in body


def test_a_plan_without_placements_says_so():
    text = text_of(page_of(hand_written() | {"placements": [], "endpoints": []}))
    assert text.count("No workload is placed.") == 2


def test_an_infeasible_plan_shows_conflicts_and_ways_out_with_prices():
    html = page_of(infeasible(), age="The prices are 24 days old.")
    assert sections(html) == "conflicts alternatives warnings evidence"
    assert "Not feasible with the blueprint regulated-hybrid: 2 demands contradict each other" in text_of(
        html
    )
    text = section(html, "conflicts")
    assert "add one node of h100-sxm-80gb at fra1 USD 48,210" in text
    assert "The prices are 24 days old." in text
    bare = section(page_of(infeasible() | {"conflicts": [], "ways_out": []}), "conflicts")
    assert bare.split(" Ways out ")[1] == "No way out is known."


def hostile(text: str) -> tuple[dict[str, Any], Requirements]:
    """A full plan and its requirements with a text wherever they hold free text."""
    data = full() | {"version": text, "prices_as_of": text, "warnings": [text], "conflicts": [text]}
    for endpoint in data["endpoints"]:
        endpoint |= dict.fromkeys(
            ("model", "instance_type", "purchase", "region", "mig_profile", "gpu"), text
        )
        endpoint["inference_profile"] = text
        endpoint["evidence"] = {"kind": "given", "source": f"https://x{text}", "as_of": text}
    for placement in data["placements"]:
        placement["why"] = text
    for item in data["cost_items"]:
        item |= {"what": text, "unit": text, "evidence": {"kind": "given", "source": text, "as_of": text}}
    data["stress"] |= {"breaks_first": text, "needs": [text]}
    for alternative in data["alternatives"]:
        alternative |= {"blueprint": text, "rejected_because": [text]}
    data["ways_out"] = [{"what": text, "monthly_cost_usd": 1.0}]
    return data, Requirements.model_validate(bank_data())


def check_harmless(html: str) -> None:
    """No element, no attribute and no address that the template itself does not write."""
    for tag, attributes in Parts(html).elements:
        assert tag in ELEMENTS.split()
        assert not any(name.startswith("on") for name in attributes)
        assert not {"src", "srcset", "xlink:href", "data", "background"} & set(attributes)
        assert re.fullmatch(r"((left|width):\d+%;?)*", attributes.get("style") or "")
        if "href" in attributes:
            assert tag == "a"
            assert (attributes["href"] or "").startswith("https://")


def test_hostile_text_is_shown_as_it_is_written():
    data, requirements = hostile("<script>alert('{{ 1 + 1 }}')</script>")
    assert "<script>alert('{{ 1 + 1 }}')</script>" in section(page_of(data, requirements), "warnings")


def test_a_source_without_web_address_is_not_a_link():
    data = full()
    data["endpoints"][0]["evidence"]["source"] = "javascript:alert(1)"
    assert ">javascript:alert(1)<" in (html := page_of(data))
    assert 'href="javascript' not in html


@given(text=st.text(max_size=60) | st.text("<>&\"'/={}%# \n\x00\ud800", max_size=20))
@example(text=HOSTILE * 40)
@example(text="漢" * 300)
@example(text="]]>")
def test_any_text_stays_text(text: str):
    data, requirements = hostile(text)
    check_harmless(html := page_of(data, requirements, explained=[text], age=text))
    assert len(drawing(html)) > 2
    assert html.encode("utf-8")
    check_harmless(page_of(data | {"feasible": False}, requirements, explained=[text], age=text))


@given(value=st.floats())
def test_any_figure_can_be_shown(value: float):
    data = full()
    data["cost_items"][0] |= {"quantity": value, "unit_price_usd": value, "monthly_usd": value}
    data["endpoints"][0]["predicted"] = sized(value, value, value, [value] * 3, [value] * 3)
    data["stress"] |= {"factor": value, "breaks_at": value}
    check_harmless(page_of(data))


def test_nothing_is_loaded_from_anywhere():
    html = page_of(full())
    assert not re.search(r"url\(|@import", html)
    assert "default-src 'none'" in html
    addresses = re.findall(r"https?://", html)
    linked = re.findall(r'<a href="https?://[^"]*" rel="noopener noreferrer">https?://', html)
    assert len(addresses) == 2 * len(linked), "an address stands in a link only, as its target and its text"


def test_the_same_input_gives_the_same_bytes():
    assert page_of(full()) == page_of(full())


@pytest.mark.parametrize(
    ("value", "number", "usd"),
    [
        *((0, "0", "USD 0"), (0.000078, "0.000078", "USD 0.000078"), (2.8025, "2.8", "USD 2.80")),
        *((99.96, "100", "USD 99.96"), (1234.56, "1,235", "USD 1,235"), (0.5, "0.5", "USD 0.5")),
    ],
)
def test_numbers_say_no_more_than_is_known(value: float, number: str, usd: str):
    assert format_numbers.number(value) == number
    assert format_numbers.usd(value) == usd
