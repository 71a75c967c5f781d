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
        character
        for character in text
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character != "\n"
    }


@given(TEXT)
@settings(max_examples=60)
@example(EVIL)
@example("`" * 300)
@example("")
def test_a_comment_says_the_same_whatever_its_values_are(text: str):
    comment = preview_markdown.comment([hostile(text)])
    assert live(comment) == []
    assert hides(comment) == set()
    assert comment.encode("utf-8")
    assert len([token for token in tokens(comment) if token.type == "heading_open"]) <= 6, (
        "a value made a heading"
    )
    folds = "".join(token.content for token in tokens(comment) if token.type == "html_block")
    assert folds.count("<details>") == folds.count("</details>") > 0


def test_a_hostile_comment_has_the_shape_of_a_tame_one():
    # A text of several lines becomes a block of more lines, and is no other token.
    assert shape(preview_markdown.comment([hostile(EVIL)])) == shape(
        preview_markdown.comment([hostile(TAME)])
    )


@given(TEXT)
@example(EVIL)
def test_a_code_span_is_one_code_span_also_in_a_table(text: str):
    for markdown_text in (code(text), f"a {code(text)} b", f"| x | y |\n|---|---|\n{row([code(text), 'z'])}"):
        spans = [token.content for token in tokens(markdown_text) if token.type == "code_inline"]
        assert len(spans) == 1
        assert live(markdown_text) == []
        assert "".join(spans[0].split()) in ("".join(cut(visible(text), 200).split()), "")


@given(st.lists(TEXT.map(visible)))
def test_nothing_ends_a_fence_from_within(lines: list[str]):
    block_tokens = [token for token in tokens(fence(lines)) if token.type != "inline"]
    assert [token.type for token in block_tokens] == ["fence"]


@given(TEXT)
@example(EVIL)
def test_code_within_html_holds_no_sign_that_is_read(text: str):
    inside = html_code(text).removeprefix("<code>").removesuffix("</code>")
    assert not re.search(r"[<>@`\[\]*_!~|]|(?<!&)#", inside)


def test_values_cannot_control_the_terminal():
    text = preview_text.text([hostile(EVIL)])
    assert hides(text) == set()
    assert "\\x1b" not in text
    assert "\\u001b[31m" in text.replace("\n", "")


def test_a_log_of_findings_is_ascii():
    log = preview_sarif.log([hostile(EVIL)], {"dev": "stacks/Pulumi.dev.yaml"})
    assert log.isascii()
