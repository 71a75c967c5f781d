"""Detection reads a normalised text; only the detected parts change in the original."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.redaction import Detector, Rules, StreamBuffer, hide
from edge.redaction.normalise import forms
from edge.redaction.recogniser import Text
from tests.edge.redaction.conftest import Seen
from tests.sampling import sampled

CARD, IBAN, MAIL = "4111111111111111", "DE89370400440532013000", "ann@example.com"
FORMAT_CHARACTERS = [
    "\u00ad", "\u034f", "\u061c", "\u180e", "\u200b", "\u200d", "\u202e", "\u2060", "\u2062", "\u2066", "\ufe0f",
    "\ufeff", "\U000e0031", "\U000e0020", "\x00", "\x08", "\u20e3", "\u0336",
]  # fmt: skip
DIGITS = {
    "Arabic-Indic": "٠١٢٣٤٥٦٧٨٩",
    "Persian": "۰۱۲۳۴۵۶۷۸۹",
    "Devanagari": "०१२३४५६७८९",
    "Bengali": "০১২৩৪৫৬৭৮৯",
    "full-width": "０１２３４５６７８９",
    "mathematical bold": "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗",
    "mathematical monospace": "𝟶𝟷𝟸𝟹𝟺𝟻𝟼𝟽𝟾𝟿",
    "superscript": "⁰¹²³⁴⁵⁶⁷⁸⁹",
    "subscript": "₀₁₂₃₄₅₆₇₈₉",
    "circled": "⓪①②③④⑤⑥⑦⑧⑨",
    "segmented": "🯰🯱🯲🯳🯴🯵🯶🯷🯸🯹",
}


@pytest.mark.parametrize("script", DIGITS)
def test_a_card_in_digits_of_any_script_is_found(find: Seen, script: str):
    card = CARD.translate(str.maketrans("0123456789", DIGITS[script]))
    assert find(f"my card {card}, thanks") == [("CREDIT_CARD", card)]


@pytest.mark.parametrize("character", FORMAT_CHARACTERS)
@pytest.mark.parametrize(
    ("entity", "value"), [("CREDIT_CARD", CARD), ("IBAN_CODE", IBAN), ("EMAIL_ADDRESS", MAIL)]
)
def test_an_invisible_character_does_not_hide_a_value(find: Seen, entity: str, value: str, character: str):
    for spread in (value[:6] + character + value[6:], character.join(value)):
        assert find(f"it is {spread}.") == [(entity, spread)], ascii(spread)


def test_a_footnote_mark_after_a_number_is_not_one_of_its_digits(find: Seen):
    assert find(f"card {CARD}¹ and").pop()[0] == "CREDIT_CARD"


@pytest.mark.parametrize(
    ("entity", "value"),
    [
        ("EMAIL_ADDRESS", "ann%40example.com"),
        ("EMAIL_ADDRESS", "ann%2540example.com"),
        ("EMAIL_ADDRESS", "j%C3%BCrgen%40m%C3%BCller.example"),
        ("CREDIT_CARD", "4111%201111%201111%201111"),
        ("IBAN_CODE", "%44%45%38%39%33%37%30%34%30%30%34%34%30%35%33%32%30%31%33%30%30%30"),
    ],
)
def test_a_percent_encoded_value_is_found(find: Seen, entity: str, value: str):
    assert find(f"GET /users?id={value}&x=1") == [(entity, value)]


@pytest.mark.parametrize("separator", ["%20", "+"])
def test_a_percent_encoded_private_key_is_hidden_from_its_first_line_to_its_last(find: Seen, separator: str):
    key = "-----BEGIN RSA PRIVATE KEY-----%0AMIIEow%0AIBAAKC%2B%3D%0A-----END RSA PRIVATE KEY-----".replace(
        " ", separator
    )
    assert find(f"key={key}&next=1") == [("SECRET", key)]


def test_a_percentage_is_not_decoded_as_percent_encoding(find: Seen):
    assert find("It fell by 20%, then 40%, and 100%25 of %zz stayed at 5%.") == []


def test_every_normalised_character_maps_to_its_characters_in_the_original():
    text = "a½é\u200bde\u0301⑽%C3%A9"
    for form in forms(text):
        for at in range(len(form.text)):
            start, end = form.span(at, at + 1)
            assert 0 <= start < end <= len(text)
    plain = forms(text)[0]
    assert [plain.text[at] for at in range(len(plain.text)) if plain.span(at, at + 1) == (1, 2)] == list(
        "1⁄2"
    )


ODD = st.sampled_from(
    [*FORMAT_CHARACTERS, *"0123456789", *DIGITS["Arabic-Indic"], *DIGITS["superscript"], "½", "ﬁ", "é", "e\u0301",
     "\u0301", "%41", "%C3", "%", " ", "\n", "–", "word", "Straße", "東京", "🏳️‍🌈", ".", "/", "@", "-", "·",
     "<br>", "</td>", "\\n", "+", ",", ";", '","', "at", "(at)"]
)  # fmt: skip
TEXTS = st.one_of(st.lists(ODD, max_size=30).map("".join), st.text(max_size=40))
VALUES = st.sampled_from(
    [
        *(CARD, IBAN, MAIL, "+49 30 901820", "ghp_" + "a1B2" * 9),
        *(" ".join(IBAN), "ann(at)example.com"),
    ]
)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
@example("\u034f" * 50)
def test_every_normalised_form_keeps_the_order_and_the_bounds_of_the_text(text: str):
    for form in forms(text):
        spans = [form.span(at, at + 1) for at in range(len(form.text))]
        assert all(0 <= start < end <= len(text) for start, end in spans)
        assert spans == sorted(spans)
        assert not any(unicodedata.category(character) == "Cf" for character in form.text)


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_a_text_without_a_finding_stays_byte_identical(text: str):
    findings = _detector().detect(text).findings
    redacted = hide(text, findings)
    if not findings:
        assert redacted.encode("utf-8", "surrogatepass") == text.encode("utf-8", "surrogatepass")
    outside, at = "", 0
    for finding in findings:
        outside += text[at : finding.start]
        at = finding.end
    for finding in findings:
        redacted = redacted.replace(f"<{finding.entity}>", "", 1)
    assert redacted == outside + text[at:]


@settings(max_examples=100, deadline=None)
@given(TEXTS, VALUES, st.sampled_from(["", *FORMAT_CHARACTERS]), TEXTS)
@example("", "+49 30 901820", "", "00000")
def test_a_value_inside_any_text_is_hidden_and_the_rest_stays_unchanged(
    left: str, value: str, character: str, right: str
):
    spread = character.join(value)
    before, after = f"{left} so: ", f" . {right}"
    findings = _detector().detect(before + spread + after).findings
    covered = {at for finding in findings for at in range(finding.start, finding.end)}
    missing = [
        at
        for at in range(len(before), len(before + spread))
        if (before + spread)[at].isalnum() and at not in covered
    ]
    assert missing == []


@settings(max_examples=60, deadline=None)
@given(
    TEXTS,
    st.one_of(
        VALUES, st.sampled_from(["DE89<br>3704<br>0044<br>0532<br>0130<br>00", r"4111\n1111\n1111\n1111"])
    ),
    st.sampled_from(["", "\u200b", "\u2066", "\ufe0f"]),
    TEXTS,
    st.lists(st.integers(0, 200), max_size=6),
)
def test_a_stream_gives_the_same_result_as_the_whole_text(
    left: str, value: str, character: str, right: str, cuts: list[int]
):
    text = f"{left} well, {character.join(value)} it is. {right}"
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    pieces = [text[a:b] for a, b in itertools.pairwise(places)]
    assert _streamed(pieces) == hide(text, _detector().detect(text).findings)


def test_a_stream_in_any_notation_gives_the_same_result_wherever_it_is_cut():
    for value in (
        "4\u20661\ufe0f1\u200b1 1111 1111 1111",
        "٤١١١١١١١١١١١١١١١",
        "ann%40example.com",
        "%2D" * 5 + "BEGIN%20X",
    ):
        text = f"As he said, {value} was all of it."
        expected = hide(text, _detector().detect(text).findings)
        for at in range(len(text)):
            assert _streamed([text[:at], text[at:]]) == expected, at


def test_invisible_characters_do_not_let_a_number_out_of_a_stream():
    text = "my card " + ("\u200b" * 30).join("4111111111111111") + " is new"
    assert "1" not in _streamed(list(text))


def _streamed(pieces: list[str]) -> str:
    detector = _detector()
    buffer, out = StreamBuffer(detector.reach()), ""
    for piece in pieces:
        buffer.add(piece)
        detection = detector.detect(buffer.window)
        out += buffer.release(detection.findings, undecided=detection.undecided)
    return out + buffer.release(detector.detect(buffer.window).findings, last=True)


@pytest.mark.parametrize(
    "unit",
    sampled(
        [
            "a1-",
            "12-",
            "1 ",
            "4111 ",
            "A1",
            "DE89 ",
            "a.b@",
            "-----BEGIN PRIVATE KEY-----\n",
            "%41",
            "\u200b",
            "e\u0301",
            "½",
            "tel 1",
            "1\\n",
            "4111,",
            "1<br>",
            "DE89",
            "D E 8 9 ",
            "x4111111111111111",
            "sk-",
            "a (at) b.",
            "a at b.c ",
        ],
        2,
    ),
)
def test_the_work_of_detection_grows_linearly_with_the_text(unit: str):
    once, twice = (_steps(unit * (n // len(unit))) for n in (6_000, 12_000))
    assert twice <= 2.5 * once + 20_000, unit
    assert once <= 6_000 * 3_000, f"{once} bytes were read"


def _steps(text: str) -> int:
    steps = 0
    for form in forms(text):
        read = Text(form)
        for recogniser in Rules().recognisers():
            list(recogniser.spans(read))
        steps += read.steps
    return steps


_detectors: list[Detector] = []


def _detector() -> Detector:
    if not _detectors:
        _detectors.append(Detector(Rules()))
    return _detectors[0]
