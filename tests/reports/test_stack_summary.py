"""The summary after up."""

from __future__ import annotations

from rich.console import Console

from isthmus.contracts.platform.model.platform import Platform
from isthmus.reports.stack import summary as stack_summary
from tests.blueprints import bank
from tests.components import platforms


def by_hand() -> Platform:
    """A platform with four GPUs a replica, and both of its pools in use."""
    return Platform.model_validate(platforms.bank())


def told(outputs: dict, platform: Platform) -> str:
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    for part in stack_summary.build_summary(platform, outputs):
        console.print(part)
    console.file.close()
    return console.export_text()


def test_every_endpoint_is_there_with_model_and_gpus():
    text = told({}, by_hand())
    for words in ("restricted-llama-70b", "8 (2 replicas of 4)", "6 (6 replicas of 1)", "none of ours"):
        assert words in text
    text = told({}, bank.platform())
    for each in bank.both()[1].endpoints:
        assert each.id in text


def test_gpus_are_set_against_what_the_pools_have():
    assert [row[2:] for row in stack_summary.pool_usage(by_hand())] == [(8, 16), (6, 8)]


def test_a_pool_that_serves_nothing_is_shown_as_one():
    plan = bank.both()[1]
    assert [(gpu, asked, there) for _, gpu, asked, there in stack_summary.pool_usage(bank.platform())] == [
        (gpu, sum(each.gpus for each in plan.endpoints if each.gpu == gpu), there)
        for gpu, there in (("h100-sxm-80gb", 16), ("l40s-48gb", 8))
    ]


def test_addresses_and_buckets_come_from_the_outputs():
    text = told(
        {
            "gateways": [{"class": "internal", "site": "fra1", "address": "https://here.example:8443"}],
            "audit": [{"name": "frankfurt", "bucket": "bucket-4711"}],
            "data_paths": ["campaign-copy (public): anywhere"],
        },
        bank.platform(),
    )
    for words in ("https://here.example:8443", "bucket-4711", "campaign-copy (public): anywhere"):
        assert words in text


def test_counts_leave_out_what_did_not_happen():
    assert stack_summary.counts_line({"create": 2, "same": 3}, 4.4) == "2 created, 3 unchanged in 4 s"
