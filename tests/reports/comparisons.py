"""Comparisons for tests of reports: the bank three ways, and one with hostile texts."""

from __future__ import annotations

import functools

from isthmus.blueprints.offers import offers
from isthmus.contracts.reports.comparison import Comparison
from isthmus.planning.comparison import variants
from isthmus.planning.comparison.assumptions import Assumptions
from isthmus.planning.comparison.compare import compare
from isthmus.planning.explanation.explain import explain
from tests.blueprints.bank import ROOT

TODAY = "2026-11-25"
BANK = ROOT / "stacks" / "bank-dev.requirements.yaml"
HOSTILE = "</svg><script>alert(1)</script>\"' onload=x {{ 7 * 7 }} \u202e"


@functools.cache
def bank() -> Comparison:
    """The bank as it is (with reasons), with twice the load that grows, and without AWS, which is infeasible."""
    known = offers()
    names = [offer.name for offer in known]
    made = [
        variants.make_variant(variants.parse_argument(text, names), BANK, known, TODAY)
        for text in ("current", "budget=null,scale-traffic=2", "sovereign")
    ]
    comparison = compare(made, Assumptions(growth=0.02, api_energy=0.4), TODAY, reasons=False)
    assert made[0].planned is not None
    reasons = explain(made[0].requirements, made[0].planned)
    first = comparison.columns[0].model_copy(update={"explanation": reasons})
    return comparison.model_copy(update={"columns": [first, *comparison.columns[1:]]})


def hostile() -> Comparison:
    """The same, with texts that try to be markup."""
    comparison = bank()
    first, *others = comparison.columns
    column = first.model_copy(
        update={
            "label": HOSTILE,
            "what": HOSTILE,
            "notes": [HOSTILE],
            "warnings": [HOSTILE],
            "blueprint": HOSTILE,
        }
    )
    line = comparison.cost_lines[0].model_copy(update={"what": HOSTILE, "sources": [HOSTILE]})
    return comparison.model_copy(
        update={
            "columns": [column, *others],
            "cost_lines": [line, *comparison.cost_lines[1:]],
            "headline": [HOSTILE, *comparison.headline],
            "sources": [HOSTILE],
        }
    )
