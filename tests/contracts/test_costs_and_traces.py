"""Costs, additional endpoints of a route, and traces in the platform: what is accepted and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from isthmus.contracts.platform import overrides
from isthmus.core.errors import InputError, Refused
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_records import Change, refused

URL = "https://collector.bank.example:4318/v1/traces"


def twin(data: dict[str, Any], at: int = 1, **more: Any) -> None:
    endpoint = {
        **copy.deepcopy(data["endpoints"][at]),
        "id": "twin",
        "survive": "none",
        "replicas": 1,
        "gpus": 1,
    }
    data["endpoints"].append({**endpoint, **more})
    data["gateways"][1]["workloads"][0]["also"] = ["twin"]


def limited(data: dict[str, Any]) -> None:
    data["gateways"][1]["database"] = {"host": "db.bank.example", "address": "10.40.7.7"}
    data["gateways"][1]["workloads"][0]["allowance"] = {"usd_per_month": 5}


def traced(data: dict[str, Any], at: int = 0, **more: Any) -> None:
    data["gateways"][at]["traces"] = {"endpoint": URL, "address": "10.40.6.6", **more}


def routed(data: dict[str, Any]) -> None:
    twin(data)
    data["gateways"][1]["router"] = {
        **{"gateway_class": "istio", "service": "r", "ca": "ca"},
        **{"control_namespace": "istio-system", "control_port": 15012},
    }


def test_allowed_settings_are_accepted() -> None:
    data = platform_data()
    twin(data)
    limited(data)
    traced(data)
    for at in (1, -1):
        data["endpoints"][at]["cost"] = {"usd_per_gpu_hour": 1.4}
    read = overrides.validate(data)
    workload = read.gateways[1].workloads[0]
    assert workload.awaited == workload.reaches == ("confidential-llama-8b", "twin")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["endpoints"][1].update(cost={}), "`cost` needs exactly one of usd_per_gpu_hour and"),
        (
            lambda d: d["endpoints"][2].update(cost={"usd_per_gpu_hour": 1.0}),
            "endpoint internal-haiku has a price per GPU hour, but no GPUs of a",
        ),
        (
            lambda d: d["endpoints"][2].update(
                cost={"usd_per_million_tokens": {"prompt": 1, "completion": 2}, "as_of": "2026-11-02"}
            ),
            "the price of endpoint internal-haiku has no `source`",
        ),
        (limited, "its endpoint confidential-llama-8b has no price"),
        (lambda d: (twin(d), d["gateways"][1]["workloads"][0].update(also=["twin", "twin"])), "twice"),
        (lambda d: d["gateways"][1]["workloads"][0].update(also=["twinn"]), "there is no endpoint `twinn`"),
        (
            lambda d: twin(d, task="embedding", adapters=[]),
            "endpoint twin cannot serve workload kyc in place of confidential-",
        ),
        (lambda d: twin(d, adapters=[]), "it has no adapter kyc-fields"),
        (
            lambda d: d["gateways"][2]["workloads"][0].update(interfaces=["completions"]),
            "has the interface completions, but the translator to bedrock has none",
        ),
        (
            lambda d: (
                d["endpoints"][1].update(task="embedding", adapters=[]),
                d["gateways"][1]["workloads"][0].update(interfaces=["completions"], adapter=None),
            ),
            "has the interface completions, but confidential-llama-8b serves the task embedding",
        ),
        (
            lambda d: d["gateways"][1]["workloads"][0].update(interfaces=["batches"]),
            "has the interface batches, but gateway confidential-fra1 has no database where requests",
        ),
        (routed, "workload kyc has several endpoints, but a router supports one"),
        (lambda d: traced(d, address="10.40.0.999"), "is not an address"),
        (lambda d: traced(d, endpoint="http://collector.bank.example/v1/traces"), "an address like"),
    ],
)
def test_an_impossible_setting_is_refused_with_its_reason(change: Change, message: str) -> None:
    assert message in refused(InputError, change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: traced(d, address="52.94.1.1"),
            "the trace collector of the restricted gateway",
        ),
        (
            lambda d: traced(d, address="10.80.1.1"),
            "the trace collector of the restricted gateway",
        ),
        (lambda d: twin(d, at=0), "the confidential gateway sends workload kyc to endpoint twin of class"),
    ],
)
def test_a_setting_that_breaks_a_boundary_is_refused(change: Change, message: str) -> None:
    assert message in refused(Refused, change)
