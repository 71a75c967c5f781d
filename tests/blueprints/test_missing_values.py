"""Values that only the organisation knows: which of them a merged platform still misses."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.blueprints import missing_values


def missing_reviewers(kind: str = "aws", **workload: Any) -> list[str]:
    """Paths of the missing `reviewed_by` of a workload of a gateway without held answers."""
    platform = {
        "sites": [{"name": "home", "kind": kind}],
        "gateways": [
            {
                "name": "gw",
                "class": "internal",
                "site": "home",
                "workloads": [{"name": "letters", **workload}],
            }
        ],
    }
    paths = (path for path, _ in missing_values.list_missing_values(platform))
    return [path for path in paths if path.endswith(".reviewed_by")]


@pytest.mark.parametrize("workload", [{"review": {"sample_rate": 0.1}}, {"impact": "material"}])
def test_a_reviewed_workload_in_aws_needs_the_people_who_review_it(workload: dict[str, Any]) -> None:
    assert missing_reviewers(**workload) == ["gateways[gw].workloads[letters].reviewed_by"]
    assert missing_reviewers(**workload, reviewed_by="claims-desk") == []
    assert missing_reviewers("on-prem", **workload) == []


def test_a_workload_that_nobody_reviews_needs_no_reviewers() -> None:
    assert missing_reviewers(impact="low") == []
    assert missing_reviewers(impact="high", review={"sample_rate": 0.1}) == [], "validation refuses it"
