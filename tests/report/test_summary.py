"""The summary after up."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from isthmus.engine import project
from isthmus.report import summary

ROOT = Path(__file__).resolve().parents[2]


def told(outputs: dict) -> str:
    platform = project.find(ROOT).stack("bank-dev").platform()
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    for part in summary.summary(platform, outputs):
        console.print(part)
    console.file.close()
    return console.export_text()


def test_every_endpoint_is_there_with_model_and_gpus():
    text = told({})
    for words in ("restricted-llama-70b", "8 (2 replicas of 4)", "6 (6 replicas of 1)", "none of ours"):
        assert words in text


def test_gpus_are_set_against_what_the_pools_have():
    platform = project.find(ROOT).stack("bank-dev").platform()
    assert [row[2:] for row in summary.pools(platform)] == [(8, 16), (6, 8)]


def test_addresses_and_buckets_come_from_the_outputs():
    text = told(
        {
            "gateways": [{"class": "internal", "site": "fra1", "address": "https://here.example:8443"}],
            "audit": [{"name": "frankfurt", "bucket": "bucket-4711"}],
            "data_paths": ["campaign-copy (public): anywhere"],
        }
    )
    for words in ("https://here.example:8443", "bucket-4711", "campaign-copy (public): anywhere"):
        assert words in text


def test_counts_leave_out_what_did_not_happen():
    assert summary.counts_line({"create": 2, "same": 3}, 4.4) == "2 created, 3 unchanged in 4 s"
