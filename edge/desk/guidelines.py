"""Guidelines of workloads: Markdown from the configuration as safe HTML."""

from __future__ import annotations

from collections.abc import Mapping

from markdown_it import MarkdownIt
from markupsafe import Markup

_HEADING_BELOW = 3
"""Level of a guideline's first heading on the page of an item."""


def render_guidelines(texts: Mapping[str, str]) -> dict[str, Markup]:
    """The guidelines as HTML, by workload. HTML in the text is shown as text, and an image as a link to it.

    markdown-it refuses links with `javascript:`, `vbscript:`, `file:` and `data:`.
    """
    # The parser escapes everything that it does not make itself, because `html` is off.
    return {workload: Markup(_render(text)) for workload, text in texts.items()}  # noqa: S704


def _render(text: str) -> str:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + _HEADING_BELOW - 1, 6)}"
        for inner in token.children or []:
            if inner.type == "link_open":
                inner.attrSet("rel", "noopener noreferrer")
                inner.attrSet("target", "_blank")
    return parser.renderer.render(tokens, parser.options, {})
