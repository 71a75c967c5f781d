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


def paths(platform: dict[str, Any]) -> list[str]:
    return [path for path, _ in missing_values.list_missing_values(platform) if path != "images.registry"]


def test_a_direct_connect_link_needs_the_connection_that_was_ordered() -> None:
    link = {"name": "line", "kind": "direct-connect", "mode": "manage"}
    assert paths({"links": [link]}) == ["links[line].connection", "links[line].vlan"]
    assert paths({"links": [{**link, "vlan": 7}]}) == ["links[line].connection"]
    assert paths({"links": [{**link, "direct_connect_gateway": "0a1b"}]}) == []
    assert paths({"links": [{**link, "mode": "existing"}]}) == []
    assert paths({"links": [{**link, "kind": "vpn"}]}) == []


def test_sealers_in_a_cluster_of_an_existing_network_need_the_address_of_s3() -> None:
    platform = {
        "sites": [{"name": "home", "kind": "aws", "cidrs": ["10.80.0.0/16"]}],
        "networks": [{"name": "home", "site": "home", "mode": "existing"}],
        "clusters": [{"name": "home", "site": "home", "mode": "existing"}],
        "gateways": [{"name": "gw", "class": "public", "site": "home"}],
        "audit": [{"name": "home", "site": "home", "mode": "manage"}],
    }
    assert ("audit[home].address", "10.80.0.9") in missing_values.list_missing_values(platform)
    managed = {**platform, "networks": [{"name": "home", "site": "home", "mode": "manage"}]}
    assert "audit[home].address" not in paths(managed)
    assert "audit[home].address" not in paths(
        {**platform, "gateways": [{**platform["gateways"][0], "runs_on": "fargate"}]}
    )
