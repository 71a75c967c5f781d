"""A comment of Markdown as a reader of it understands it: what is markup, and what is text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

PLAIN_TEXT = re.compile(r"@\w|#\d|https?:|www\.|\S@\S|:\w+:|\$")
"""What GitHub and GitLab make live in plain text: mentions, references, addresses, emoji, formulas."""
OURS = re.compile(r"</?details>|</?summary>|</?code>")


def tokens(text: str) -> Iterator[Token]:
    """Every token, those within lines too."""
    for each in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        yield each
        yield from each.children or []


def live(text: str) -> list[str]:
    """What in a comment does something that is not the report's own doing."""
    found = []
    for each in tokens(text):
        if each.type in ("link_open", "image", "html_inline", "heading_open") and each.tag != "h3":
            found.append(f"{each.type}: {each.content}{each.attrs}")
        if each.type == "html_block":
            rest = OURS.sub("", each.content)
            # Within <code> only entities and letters are left of a value.
            if re.search(r"[<>@`]|\]\(", rest):
                found.append(f"html: {each.content}")
        if each.type == "text" and PLAIN_TEXT.search(each.content):
            found.append(f"text: {each.content}")
    return found


def shape(text: str) -> list[str]:
    """The kinds of its tokens in their order: values do not change it."""
    return [each.type for each in tokens(text) if each.type not in ("text", "softbreak")]
