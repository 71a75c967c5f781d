"""The page of a reconciliation: one HTML file with the same figures as the text, ready to print.

The page loads nothing and runs no script. Names come from bills and ledgers; Jinja2 escapes them.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from isthmus.contracts.reports.reconciliation import CATEGORIES
from isthmus.reports import reconciliation_text as text
from isthmus.reports.format import pages
from isthmus.reports.format.escaping import visible

if TYPE_CHECKING:
    from jinja2 import Template

    from isthmus.contracts.reports.reconciliation import Reconciliation


def page(report: Reconciliation) -> str:
    """Return the HTML page."""
    html = _template().render(report=report, verdict=text.verdict(report))
    return "\n".join(visible(line) for line in html.split("\n"))


@functools.cache
def _template() -> Template:
    environment = pages.environment()
    environment.globals |= {
        "categories": CATEGORIES,
        "keys": text.KEYS,
        "known_by": text.known_by,
        "no_team": text.NO_TEAM,
        "token_difference": text.token_difference,
    }
    environment.filters |= {"money": text.money, "amounts": text.amounts}
    return environment.get_template("reconciliation_page.html.j2")
