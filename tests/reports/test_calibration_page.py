"""The page of a calibration: one file, its picture the figures'."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

from isthmus.contracts.reports.calibration import Bin, Candidate, Reliability
from isthmus.reports.calibration_page import calibration_sentences, page

CHOSEN = Candidate(0.8, 400, 12, 0.047)
FOUND = Reliability(
    model="example/model-8b",
    model_digest="sha256:" + "5" * 64,
    domain="onboarding",
    kind="text",
    answers=1200,
    kept_aside=600,
    judgements=600,
    error=(0.021, 0.0, 0.05),
    raw_error=0.2,
    bins=[Bin(0.25, 0.5, 0.4, 0.6, 300), Bin(0.75, 1.0, 0.9, 1.0, 300)],
    candidates=[Candidate(0.1, 600, 90, 0.19), CHOSEN],
    max_error=0.05,
    chosen=CHOSEN,
    confidence=0.95,
    as_of="2026-11-26",
    answers_sha256="a" * 64,
)


def picture(text: str) -> ElementTree.Element:
    drawn = re.search(r"<svg.*?</svg>", text, re.S)
    assert drawn is not None
    return ElementTree.fromstring(drawn.group())  # noqa: S314


def test_the_page_is_self_contained_and_reproducible():
    text = page(FOUND)
    assert text == page(FOUND)
    assert "default-src 'none'" in text
    assert not re.search(r"<script|src=|href=|url\(|@import", text)


def test_each_bin_is_a_point_where_its_score_and_share_say():
    points = picture(page(FOUND)).findall(".//circle")
    assert [(point.get("cx"), point.get("cy")) for point in points] == [("165.0", "254.0"), ("407.0", "12.0")]
    assert "0.50 right (0.40 to 0.60), 300 judgements" in (points[0].findtext("title") or "")


def test_a_threshold_is_drawn_as_a_line():
    def lines(reliability: Reliability) -> list[str | None]:
        return [match.get("d") for match in picture(page(reliability)).findall(".//path[@class='below']")]

    assert lines(FOUND) == ["M431.2 496V12"]
    assert lines(replace(FOUND, chosen=None)) == []


def test_the_result_is_described_in_sentences():
    error, sentence = calibration_sentences(FOUND)
    assert "error 0.021 (0.000 to 0.050, 95 %)" in error
    assert "Of 600 test answers, 400 pass, and 12 of these are wrong" in sentence
    assert "at most 4.70% of passing answers are wrong; 5.00% is allowed" in sentence
    assert (
        "No threshold keeps wrong answers under 5.00%"
        in calibration_sentences(replace(FOUND, chosen=None))[1]
    )
    assert '<p class="bad">it is no</p>' in page(FOUND, "it is no")


def test_names_are_text_whatever_they_hold():
    text = page(replace(FOUND, model='<img src=x onerror="a">', domain="a\u202eb"))
    assert "<img" not in text
    assert "\u202e" not in text
