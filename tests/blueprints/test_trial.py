"""A new plan's platform is built with made-up settings: what `isthmus render` would refuse is found at once."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isthmus.blueprints import requirement_places, trial
from isthmus.blueprints.offers import offers
from isthmus.contracts.requirements import document as requirements_of
from isthmus.core import yaml_files
from isthmus.planning import planner
from sandbox import sample_settings

ROOT = Path(__file__).resolve().parents[2]
BANK = ROOT / "stacks" / "bank-dev.requirements.yaml"
Change = Callable[[dict[str, Any]], object]


@functools.cache
def bank() -> dict[str, Any]:
    return yaml_files.load(BANK).data


def faults_of(change: Change, overrides: dict[str, Any] | None = None, file: str = "r.yaml") -> list[str]:
    """`LINE PATH: what` of each fault of the bank's requirements, changed so."""
    data = copy.deepcopy(bank())
    change(data)
    requirements = requirements_of.parse(yaml_files.loads(yaml_files.dumps(data), file))
    plan = planner.make_plan(requirements, offers(), "2026-11-25").plan
    assert plan.feasible
    found = trial.render_faults(requirements, plan, sample_settings.sample_value_source, overrides)
    assert all(fault.line for fault in found)
    return [
        f"{fault.error.where.removeprefix(f'{file}:').split(' ')[-1]}: {fault.error.what}" for fault in found
    ]


@pytest.mark.parametrize(
    "example", [BANK, *sorted((ROOT / "examples").glob("*.requirements.yaml"))], ids=lambda path: path.name
)
def test_each_example_can_be_rendered(example: Path):
    requirements = requirements_of.load(example)
    plan = planner.make_plan(requirements, offers(), "2026-11-25").plan
    if plan.feasible:
        assert trial.render_faults(requirements, plan, sample_settings.sample_value_source) == []


def without_network_link_and_number(data: dict[str, Any]) -> None:
    del data["links"], data["sites"][1]["vpc_cidr"], data["sites"][0]["network"]["bgp_asn"]


def test_a_missing_network_link_and_bgp_number_are_told_together():
    found = faults_of(without_network_link_and_number)
    assert [fault.split(": ")[0] for fault in found] == [
        "links",
        "sites[fra1].network.bgp_asn",
        "sites[frankfurt].vpc_cidr",
    ]


@pytest.mark.parametrize(
    ("change", "place", "what"),
    [
        (
            lambda d: d["sites"][0]["network"].pop("vpn_peer_ip"),
            "sites[fra1].network.vpn_peer_ip",
            "no peer_ip",
        ),
        (
            lambda d: d["sites"][0]["network"].pop("dns"),
            "sites[fra1].network.dns",
            "DNS servers, but none is set",
        ),
        (
            lambda d: d["sites"][0]["network"].update(dns=["10.99.0.1"]),
            "sites[fra1].network.dns[0]",
            "10.99.0.1 is in none of the networks",
        ),
        (
            lambda d: d["sites"][1].update(existing={"vpc": "vpc-0a1b"}),
            "sites[frankfurt].existing.subnets",
            "no private subnets of vpc-0a1b",
        ),
        (
            lambda d: d["workloads"][1]["review"].pop("below_confidence"),
            "workloads[kyc-extraction].review",
            "kyc-extraction has no review.below_confidence",
        ),
    ],
)
def test_a_fault_is_at_the_value_of_the_requirements_that_mends_it(change: Change, place: str, what: str):
    (fault,) = faults_of(change)
    assert fault.startswith(f"{place}: ")
    assert what in fault


def test_what_only_the_settings_can_give_is_no_fault():
    def change(data: dict[str, Any]) -> None:
        data["links"][0]["kind"] = "direct-connect"

    assert faults_of(change) == [], "the connection's id is a value of the settings"


def test_a_fault_that_the_settings_of_a_stack_mend_is_left_out():
    def change(data: dict[str, Any]) -> None:
        del data["sites"][0]["network"]["bgp_asn"]

    assert len(faults_of(change)) == 1
    assert faults_of(change, {"links": [{"name": "fra1-frankfurt", "site_asn": 65010}]}) == []


def test_settings_with_faults_of_their_own_add_none():
    assert faults_of(lambda _data: None, {"links": [{"name": "fra1-frankfurt", "vlan": "x"}]}) == []


def test_a_class_with_models_at_two_aws_sites_is_told_at_the_file():
    data = copy.deepcopy(bank())
    data["sites"].append(
        {
            **data["sites"][1],
            "name": "ireland",
            "region": "eu-west-1",
            "jurisdiction": "ie",
            "vpc_cidr": "10.81.0.0/16",
        }
    )
    requirements = requirements_of.parse(yaml_files.loads(yaml_files.dumps(data), "r.yaml"))
    plan = planner.make_plan(requirements, offers(), "2026-11-25").plan
    first = next(endpoint for endpoint in plan.endpoints if endpoint.target == "bedrock")
    other_site = {"frankfurt": "ireland", "ireland": "frankfurt"}[first.site]
    second = first.model_copy(update={"id": "second", "site": other_site})
    placement = next(placement for placement in plan.placements if placement.endpoint == first.id)
    moved = [
        placement.model_copy(update={"share": 0.5}),
        placement.model_copy(update={"endpoint": "second", "role": "overflow", "share": 0.5}),
    ]
    others = [other for other in plan.placements if other is not placement]
    changed = plan.model_copy(
        update={
            "blueprint": "burst-hybrid",
            "endpoints": [*plan.endpoints, second],
            "placements": [*moved, *others],
        }
    )
    (fault,) = trial.render_faults(requirements, changed, sample_settings.sample_value_source)
    assert "one gateway has one AWS identity" in fault.error.what
    assert fault.error.where.startswith("r.yaml:")


def test_a_value_that_the_requirements_do_not_have_leads_to_what_it_belongs_to():
    requirements = requirements_of.load(BANK)
    platform = {
        "pools": [{"name": "p", "site": "fra1", "gpu": "l40s-48gb"}],
        "links": [{"name": "l", "from": "fra1", "to": "frankfurt"}],
        "trails": [{"name": "t", "site": "frankfurt"}],
        "endpoints": [{"id": "e", "class": "internal", "site": "frankfurt"}],
        "contacts": {},
    }
    for path, expected in {
        ("pools", 0, "nodes"): ("sites", 0, "pools", 1),
        ("links", 0, "vlan"): ("links", 0),
        ("trails", 0, "retention_days"): ("sites", 1),
        ("endpoints", 0, "gpus"): ("workloads", 2),
        ("contacts", "cost"): (),
    }.items():
        assert requirement_places.place(path, platform, requirements) == (expected, False)
