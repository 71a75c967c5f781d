"""Whatever stands in a value, a report shows it, and nothing else comes of it."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import example, given, settings
from hypothesis import strategies as st

from isthmus.reports.format.escaping import code, cut, fence, html_code, row, visible
from isthmus.reports.preview import markdown as preview_markdown
from isthmus.reports.preview import sarif as preview_sarif
from isthmus.reports.preview import text as preview_text
from tests.reports.previews import EVIL, hostile
from tests.reports.reading_markdown import live, shape, tokens

PIECES = [
    "<",
    ">",
    "@",
    "#1",
    "](",
    "[",
    "`",
    "```",
    "~~~",
    "|",
    "\\",
    "\n",
    "\n\n",
    "*",
    "_",
    "&#64;",
    "http://a.b",
    "<!--",
]
TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12).map("".join)
TAME = "tame"


def hides(text: str) -> set[str]:
    return {
        each for each in text if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") and each != "\n"
    }


@given(TEXT)
@settings(max_examples=60)
@example(EVIL)
@example("`" * 300)
@example("")
def test_a_comment_says_the_same_whatever_its_values_are(text: str):
    made = preview_markdown.comment([hostile(text)])
    assert live(made) == []
    assert hides(made) == set()
    assert made.encode("utf-8")
    assert len([each for each in tokens(made) if each.type == "heading_open"]) <= 6, "a value made a heading"
    folds = "".join(each.content for each in tokens(made) if each.type == "html_block")
    assert folds.count("<details>") == folds.count("</details>") > 0


def test_a_hostile_comment_has_the_shape_of_a_tame_one():
    # A text of several lines becomes a block of more lines, and is no other token.
    assert shape(preview_markdown.comment([hostile(EVIL)])) == shape(
        preview_markdown.comment([hostile(TAME)])
    )


@given(TEXT)
@example(EVIL)
def test_a_code_span_is_one_code_span_also_in_a_table(text: str):
    for made in (code(text), f"a {code(text)} b", f"| x | y |\n|---|---|\n{row([code(text), 'z'])}"):
        spans = [each.content for each in tokens(made) if each.type == "code_inline"]
        assert len(spans) == 1
        assert live(made) == []
        assert "".join(spans[0].split()) in ("".join(cut(visible(text), 200).split()), "")


@given(st.lists(TEXT.map(visible)))
def test_nothing_ends_a_fence_from_within(lines: list[str]):
    made = [each for each in tokens(fence(lines)) if each.type != "inline"]
    assert [each.type for each in made] == ["fence"]


@given(TEXT)
@example(EVIL)
def test_code_within_html_holds_no_sign_that_is_read(text: str):
    inside = html_code(text).removeprefix("<code>").removesuffix("</code>")
    assert not re.search(r"[<>@`\[\]*_!~|]|(?<!&)#", inside)


def test_a_terminal_is_told_nothing_by_a_value():
    made = preview_text.text([hostile(EVIL)])
    assert hides(made) == set()
    assert "\\x1b" not in made
    assert "\\u001b[31m" in made.replace("\n", "")


def test_a_log_of_findings_is_ascii():
    made = preview_sarif.log([hostile(EVIL)], {"dev": "stacks/Pulumi.dev.yaml"})
    assert made.isascii()
