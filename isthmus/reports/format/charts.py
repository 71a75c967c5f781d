"""Charts of bars for pages. The template `chart.html.j2` draws them as inline SVG."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """A bar of a chart."""

    x: float
    y: float
    width: float
    height: float
    style: str
    """Class of the bar in the page's style."""
    title: str


@dataclass(frozen=True)
class Text:
    """A text in a chart."""

    x: float
    y: float
    anchor: str
    text: str
    style: str = ""


@dataclass(frozen=True)
class Chart:
    """A chart: bars, texts, and perhaps a vertical line for zero."""

    height: float
    bars: list[Bar]
    texts: list[Text]
    description: str
    """The figures in words, for readers who do not see the chart."""
    zero: float | None = None
    """Where the vertical line for zero is. None: the chart has none."""
