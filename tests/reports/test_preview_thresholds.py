"""What stops a pipeline, and what does not."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from isthmus.contracts.reports.findings import Finding, Silence
from isthmus.contracts.reports.preview import Change, Cost, Costs, DataPath, DataPaths, Preview
from isthmus.core.errors import InputError
from isthmus.reports.preview import thresholds as preview_thresholds


def finding(severity: Any, verdict: Any = "violated", silenced: Silence | None = None) -> Finding:
    text = {"policy": "a/b", "title": "t", "message": f"{severity} {verdict}", "why": "w", "fix": "f"}
    return Finding.model_validate({**text, "severity": severity, "verdict": verdict, "silenced": silenced})


def preview(**more: Any) -> Preview:
    return Preview(
        **{"stack": "dev", "status": "complete", "data_paths": DataPaths(before=[], after=[]), **more}
    )


def costs(before: float | None, after: float | None) -> Costs:
    return Costs(before=Cost(monthly_usd=before), after=Cost(monthly_usd=after))


def path(verdict: Any) -> DataPaths:
    data_path = DataPath.model_validate({"id": "x", "class": "restricted", "hops": [], "verdict": verdict})
    return DataPaths(before=[], after=[data_path])


def met(threshold: str, *previews: Preview) -> bool:
    return bool(preview_thresholds.reasons_to_fail(previews, preview_thresholds.parse([threshold])))


SILENCE = Silence(policy="a/b", resource="*", owner="me", reason="because", until=date(2030, 1, 1))
STATE = {"urn": "u", "stateful": True}


@pytest.mark.parametrize(
    ("threshold", "shown", "expected"),
    [
        ("critical", preview(policy=[finding("critical")]), True),
        ("critical", preview(policy=[finding("high")]), False),
        ("high", preview(policy=[finding("critical")]), True),
        ("medium", preview(policy=[finding("low")]), False),
        ("critical", preview(policy=[finding("critical", silenced=SILENCE)]), False),
        ("critical", preview(policy=[finding("critical", "undecided")]), False),
        ("undecided", preview(policy=[finding("low", "undecided")]), True),
        ("undecided", preview(data_paths=path("undecided")), True),
        ("undecided", preview(data_paths=DataPaths()), True),
        ("undecided", preview(), False),
        ("critical", preview(data_paths=path("refused")), True),
        ("replace", preview(changes=[Change(urn="u", op="replace")]), True),
        ("replace", preview(changes=[Change(urn="u", op="update", may_replace=["x"])]), True),
        ("replace", preview(changes=[Change(urn="u", op="update")]), False),
        ("delete-stateful", preview(changes=[Change(op="delete", **STATE)]), True),
        ("delete-stateful", preview(changes=[Change(op="replace", **STATE)]), True),
        ("delete-stateful", preview(changes=[Change(op="update", **STATE)]), False),
        ("delete-stateful", preview(changes=[Change(urn="u", op="delete")]), False),
        ("cost>10%", preview(cost=costs(100, 111)), True),
        ("cost>10%", preview(cost=costs(100, 110)), False),
        ("cost>0", preview(cost=costs(100, 100)), False),
        ("cost>10%", preview(cost=costs(100, None)), True),
        ("cost>10%", preview(cost=costs(None, 100)), True),
        ("cost>10%", preview(cost=costs(0, 1)), True),
        ("cost>10%", preview(cost=Costs()), True),
    ],
)
def test_a_threshold_is_met_or_is_not(threshold: str, shown: Preview, expected: bool):
    assert met(threshold, shown) is expected


def test_an_unknown_value_never_meets_a_threshold():
    assert (
        "unknown"
        in preview_thresholds.reasons_to_fail(
            [preview(cost=costs(100, None))], preview_thresholds.parse(["cost>50%"])
        )[0]
    )


def test_a_plan_that_stacks_of_an_estate_share_is_counted_once():
    two = [preview(stack="a", cost=costs(100, 109)), preview(stack="b", cost=costs(100, 109))]
    assert not met("cost>10%", *two)


@pytest.mark.parametrize("threshold", ["hihg", "cost", "cost>", "cost>ten%", "cost>-1%", ""])
def test_an_unknown_threshold_is_refused_with_the_known_ones(threshold: str):
    with pytest.raises(InputError, match="critical, high, medium, replace, delete-stateful, cost>10%"):
        preview_thresholds.parse([threshold])
