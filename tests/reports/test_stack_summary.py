"""The summary after up."""

from __future__ import annotations

from rich.console import Console

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.platform import Platform
from isthmus.reports.stack import summary as stack_summary
from tests.blueprints import bank
from tests.components import platforms


def by_hand() -> Platform:
    """A platform with four GPUs a replica, and both of its pools in use."""
    return CheckedPlatform.model_validate(platforms.bank())


def summary(outputs: dict, platform: Platform) -> str:
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    for part in stack_summary.build_summary(platform, outputs):
        console.print(part)
    console.file.close()
    return console.export_text()


def test_every_endpoint_is_there_with_model_and_gpus():
    text = summary({}, by_hand())
    for expected in ("restricted-llama-70b", "8 (2 replicas of 4)", "6 (6 replicas of 1)", "  none"):
        assert expected in text
    text = summary({}, bank.platform())
    for endpoint in bank.requirements_and_plan()[1].endpoints:
        assert endpoint.id in text


def test_gpus_are_set_against_what_the_pools_have():
    assert [row[2:] for row in stack_summary.pool_usage(by_hand())] == [(8, 16), (6, 8)]


def test_a_pool_that_serves_nothing_is_shown_as_one():
    plan = bank.requirements_and_plan()[1]
    assert [
        (gpu, requested, capacity_count)
        for _, gpu, requested, capacity_count in stack_summary.pool_usage(bank.platform())
    ] == [
        (gpu, sum(endpoint.gpus for endpoint in plan.endpoints if endpoint.gpu == gpu), capacity_count)
        for gpu, capacity_count in (("h100-sxm-80gb", 16), ("l40s-48gb", 8))
    ]


def test_addresses_and_buckets_come_from_the_outputs():
    text = summary(
        {
            "gateways": [{"class": "internal", "site": "fra1", "address": "https://here.example:8443"}],
            "audit": [{"name": "frankfurt", "bucket": "bucket-4711"}],
            "data_paths": ["campaign-copy (public): anywhere"],
        },
        bank.platform(),
    )
    for expected in ("https://here.example:8443", "bucket-4711", "campaign-copy (public): anywhere"):
        assert expected in text


def test_counts_leave_out_what_did_not_happen():
    assert stack_summary.counts_line({"create": 2, "same": 3}, 4.4) == "2 created, 3 unchanged in 4 s"
