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
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        yield token
        yield from token.children or []


def live(text: str) -> list[str]:
    """What in a comment does something that is not the report's own doing."""
    live_parts = []
    for token in tokens(text):
        if token.type in ("link_open", "image", "html_inline", "heading_open") and token.tag != "h3":
            live_parts.append(f"{token.type}: {token.content}{token.attrs}")
        if token.type == "html_block":
            remaining = OURS.sub("", token.content)
            # Within <code> only entities and letters are left of a value.
            if re.search(r"[<>@`]|\]\(", remaining):
                live_parts.append(f"html: {token.content}")
        if token.type == "text" and PLAIN_TEXT.search(token.content):
            live_parts.append(f"text: {token.content}")
    return live_parts


def shape(text: str) -> list[str]:
    """The kinds of its tokens in their order: values do not change it."""
    return [token.type for token in tokens(text) if token.type not in ("text", "softbreak")]
