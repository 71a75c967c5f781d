"""PriorityClasses: gateways before models, on every pod of the platform, beside Kueue's own order."""

from __future__ import annotations

from typing import Any

import pytest

from components import ModelServer
from isthmus.core.errors import InputError
from tests.components.conftest import Engine, build
from tests.components.platforms import bank
from tests.components.test_model_server import args
from tests.components.test_weight_cache import S3, TRANSLATOR
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_model import parse, refused


def classes(engine: Engine) -> dict[str, dict[str, Any]]:
    return {
        priority_class.meta["name"]: priority_class.inputs for priority_class in engine.all("PriorityClass")
    }


def test_gateways_go_before_models_and_models_evict_nobody(built: Engine) -> None:
    priority_classes = classes(built)
    gateway, model = priority_classes["isthmus-gateway"], priority_classes["isthmus-model"]
    assert 0 < model["value"] < gateway["value"] < 1_000_000_000, "Kubernetes keeps what is above for itself"
    assert gateway["preemptionPolicy"] == "PreemptLowerPriority"
    assert model["preemptionPolicy"] == "Never", "Kueue decides who gets GPUs"
    assert not any(priority_class["globalDefault"] for priority_class in priority_classes.values()), (
        "other pods keep the cluster's default"
    )


def test_every_pod_bears_the_priority_of_its_kind(built: Engine) -> None:
    models = {endpoint["id"] for endpoint in bank()["endpoints"]}
    for name, pod in built.pods().items():
        expected = "isthmus-model" if name in models else "isthmus-gateway"
        assert pod["priorityClassName"] == expected, name


def test_fetch_jobs_have_the_priority_of_their_models(engine: Engine) -> None:
    more = {"weights": S3, "fetch_image": TRANSLATOR, "pod_priority": "isthmus-model"}
    engine.deploy(ModelServer, "m", args(**more))
    assert engine.only("Job").pod["priorityClassName"] == "isthmus-model"


def test_kueue_priorities_are_set_beside_pod_priorities(built: Engine) -> None:
    models = {endpoint["id"] for endpoint in bank()["endpoints"]}
    queued = [deployment for deployment in built.all("Deployment") if deployment.meta["name"] in models]
    assert queued
    for deployment in queued:
        labels = deployment.spec["template"]["metadata"]["labels"]
        assert labels["kueue.x-k8s.io/priority-class"] in {
            workload_priority_class.meta["name"]
            for workload_priority_class in built.all("WorkloadPriorityClass")
        }


def test_a_class_is_there_before_the_pods_that_name_it(built: Engine) -> None:
    order = [resource.name for resource in built.made]
    last = max(order.index(priority_class.name) for priority_class in built.all("PriorityClass"))
    assert last < min(order.index(deployment.name) for deployment in built.all("Deployment"))


def test_an_organisations_own_classes_are_named_and_not_made(engine: Engine) -> None:
    build(
        engine,
        {**bank(), "pod_priorities": {"mode": "existing", "gateway": "bank-high", "model": "bank-mid"}},
    )
    assert classes(engine) == {}
    assert {pod["priorityClassName"] for pod in engine.pods().values()} == {"bank-high", "bank-mid"}


def test_a_platform_may_leave_priorities_to_the_cluster(engine: Engine) -> None:
    build(engine, {**bank(), "pod_priorities": {"mode": "off"}})
    assert classes(engine) == {}
    assert not any("priorityClassName" in pod for pod in engine.pods().values())


def test_a_model_may_not_go_before_gateways() -> None:
    def change(data: dict[str, Any]) -> None:
        data["pod_priorities"] = {"gateway_value": 100, "model_value": 100}

    message = refused(InputError, change)
    assert "pod_priorities.model_value" in message
    assert "a model could evict its gateway. Fix: Set model_value below 100" in message
    assert parse(platform_data()).pod_priorities.mode == "manage"


def test_two_kinds_of_pods_have_two_classes() -> None:
    with pytest.raises(InputError, match="have the same PriorityClass"):
        parse({**platform_data(), "pod_priorities": {"gateway": "one", "model": "one"}})
