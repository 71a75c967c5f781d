"""The bank with everything that has an alert of its own, and its rules."""

from __future__ import annotations

import functools
from typing import Any

from components.observability.prometheus_rules import class_groups
from isthmus.contracts.platform.model.callers import Allowance, GatewayTeam
from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.platform.model.reviews import Calibration
from isthmus.contracts.platform.model.serving import Canary, Scaling
from tests.blueprints import bank

CLASSES = ("restricted", "confidential", "internal", "public")
CLASS = "confidential"
"""The class with all of it."""
TEAM, OWNER = "onboarding", "ai-platform"


@functools.cache
def platform() -> Platform:
    """The bank with a canary, scaling, a calibration, limits and a screening in one class."""
    built = bank.platform()
    gateways = {gateway.class_: gateway for gateway in built.gateways}
    (workload,) = gateways[CLASS].workloads
    assert workload.slo is not None
    workload = workload.model_copy(
        update={
            "team": TEAM,
            "canary": Canary(endpoint=workload.endpoint, percent=5),
            "calibrations": [Calibration.model_construct(file="kyc.json")],
            "slo": workload.slo.model_copy(update={"answer_p95_ms": 20000.0}),
        }
    )
    gateway = gateways[CLASS].model_copy(
        update={
            "workloads": [workload],
            "teams": [GatewayTeam(name=TEAM, allowance=Allowance(usd_per_month=100))],
            "screening": gateways["internal"].screening,
            "identity": gateways["internal"].identity,
        }
    )
    return built.model_copy(
        update={
            "gateways": list((gateways | {CLASS: gateway}).values()),
            "scaling": [Scaling(endpoint=workload.endpoint, min_replicas=2, max_replicas=4)],
            "tags": {"owner": OWNER},
        }
    )


@functools.cache
def groups(sensitivity: str = CLASS) -> list[dict[str, Any]]:
    """The groups of a class at the bank's on-prem site."""
    built = platform()
    return class_groups(built, built.site("fra1"), sensitivity)


def alerts() -> list[dict[str, Any]]:
    """Every alert of every class."""
    return [
        rule
        for sensitivity in CLASSES
        for group in groups(sensitivity)
        for rule in group["rules"]
        if "alert" in rule
    ]
