"""A model server scaled by load: KEDA owns the replicas, and nothing else changes hands."""

import re
from typing import Any

import pytest

from components import ModelServer
from isthmus.core.errors import InputError
from tests.components.conftest import Engine
from tests.components.test_model_server import args

PROMETHEUS = "http://prometheus.monitoring.svc:9090"


def deploy(engine: Engine, scaling: dict[str, Any], **more: Any) -> dict[str, Any]:
    bounds = {"min_replicas": 2, "max_replicas": 6, "prometheus_url": PROMETHEUS, **scaling}
    engine.deploy(ModelServer, "m", args(**{"scaling": bounds, **more}))
    return engine.only("ScaledObject", "m-scaling").spec


def queries(spec: dict[str, Any]) -> dict[str, str]:
    return {trigger["name"]: trigger["metadata"]["query"] for trigger in spec["triggers"]}


def test_keda_scales_the_deployment_between_the_bounds(engine: Engine) -> None:
    spec = deploy(engine, {})
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "llama"}
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 6)
    scaled_object = engine.only("ScaledObject")
    assert scaled_object.depends_on == ("m-server",), "KEDA would ask for a Deployment that is not there"
    assert scaled_object.meta["namespace"] == "isthmus-restricted"


def test_queue_and_cache_metrics_are_selected_by_endpoint(engine: Engine) -> None:
    spec = deploy(engine, {"waiting": 3, "kv_cache": 0.7})
    selector = '{job="isthmus-restricted/llama"}'
    gateway, server = 'job="isthmus-restricted/restricted-gateway"', "llama.isthmus-restricted.svc:8443"
    queued = " or ".join(
        f'isthmus_endpoint_queued{{{gateway},{label}="{server}"}}'
        for label in ("exported_endpoint", "endpoint")
    )
    assert queries(spec) == {
        "waiting": f"sum(vllm:num_requests_waiting{selector}) + (sum({queued}) or vector(0))",
        "kv-cache": f"max(vllm:kv_cache_usage_perc{selector})",
    }
    by_name = {trigger["name"]: trigger for trigger in spec["triggers"]}
    assert by_name["waiting"]["metricType"] == "AverageValue"
    assert by_name["kv-cache"]["metricType"] == "Value", "a share is steered to, not divided among replicas"
    assert [trigger["metadata"]["threshold"] for trigger in spec["triggers"]] == ["3", "0.7"]
    assert {trigger["metadata"]["serverAddress"] for trigger in spec["triggers"]} == {PROMETHEUS}


def test_full_batches_keep_their_replicas_though_the_cache_is_empty(engine: Engine) -> None:
    spec = deploy(engine, {}, max_num_seqs=64)
    (trigger,) = [trigger for trigger in spec["triggers"] if trigger["name"] == "in-batches"]
    assert trigger["metadata"]["threshold"] == "64"
    assert "num_requests_running" in trigger["metadata"]["query"]


def test_without_measurements_nothing_is_scaled(engine: Engine) -> None:
    spec = deploy(engine, {})
    assert {trigger["metadata"]["ignoreNullValues"] for trigger in spec["triggers"]} == {"false"}
    # Only the gateways' queue may be absent: an empty sum of the engines makes the whole query empty.
    gateways = re.compile(r"\(sum\(isthmus_endpoint_queued.*\) or vector\(0\)\)")
    assert all("vector(0)" not in gateways.sub("", query) for query in queries(spec).values()), (
        "a broken scrape would look idle"
    )


def test_without_measurements_the_planned_replicas_serve_and_no_running_one_is_taken_away(
    engine: Engine,
) -> None:
    fallback = deploy(engine, {}, replicas=2)["fallback"]
    assert fallback == {"failureThreshold": 8, "replicas": 2, "behavior": "currentReplicasIfHigher"}


def test_more_replicas_may_be_stated_for_when_nothing_measures(engine: Engine) -> None:
    assert deploy(engine, {"fallback_replicas": 5})["fallback"]["replicas"] == 5


def test_a_fallback_outside_the_bounds_is_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match="fallback_replicas is 7, but the endpoint has 2 to 6"):
        deploy(engine, {"fallback_replicas": 7})


def test_a_replica_goes_only_when_the_load_has_been_lower_for_the_cooldown(engine: Engine) -> None:
    behaviour = deploy(engine, {"cooldown_s": 600})["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behaviour["scaleDown"]["stabilizationWindowSeconds"] == 600
    assert behaviour["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


def test_a_model_that_sleeps_is_woken_where_nothing_measures(engine: Engine) -> None:
    asleep = {"min_replicas": 0, "max_replicas": 2, "cold_start_s": 1800, "woken_by": ["a"]}
    assert deploy(engine, asleep, replicas=1)["fallback"]["replicas"] == 1


def test_the_first_request_wakes_a_model_that_sleeps(engine: Engine) -> None:
    asleep = {"min_replicas": 0, "max_replicas": 2, "cold_start_s": 1800, "woken_by": ["b", "a"]}
    spec = deploy(engine, asleep, replicas=1)
    wake = queries(spec)["asked-for"]
    series = 'isthmus_requests_total{job="isthmus-restricted/restricted-gateway",workload=~"a|b"}'
    assert series in wake
    assert f"{series} unless {series} offset 5m" in wake, "a counter's first value is no increase"
    other_queries = [query for name, query in queries(spec).items() if name != "asked-for"]
    assert all(query.endswith("or vector(0)") for query in other_queries), "what is away measures nothing"
    service = engine.only("Service", "m-service").meta["annotations"]
    assert service["pulumi.com/waitFor"] == "jsonpath={.spec.clusterIP}", "up would wait for pods that sleep"
    assert engine.only("Deployment").spec["replicas"] == 1, "the first up shows that it serves"


def test_a_trigger_authentication_is_named_where_prometheus_wants_one(engine: Engine) -> None:
    spec = deploy(engine, {"authentication": "prometheus"})
    assert {trigger["authenticationRef"]["name"] for trigger in spec["triggers"]} == {"prometheus"}


def test_without_scaling_there_is_no_scaled_object(engine: Engine) -> None:
    engine.deploy(ModelServer, "m", args())
    assert not engine.all("ScaledObject")
    assert "pulumi.com/waitFor" not in engine.only("Service").meta["annotations"]


@pytest.mark.parametrize(
    ("scaling", "more", "message"),
    [
        ({"max_replicas": 2}, {}, "must be above min_replicas"),
        ({"min_replicas": -1}, {}, "must be above min_replicas"),
        ({}, {"nodes_per_replica": 2}, "several machines"),
        ({}, {"pod_monitors": False}, "needs a PodMonitor"),
        ({"min_replicas": 0, "cold_start_s": 1800}, {}, "lists no workload"),
        ({"min_replicas": 0, "woken_by": ["a"]}, {}, "cold_start_s is shorter"),
        ({"min_replicas": 0, "woken_by": ["a"], "cold_start_s": 1799}, {}, "cold_start_s is shorter"),
    ],
)
def test_an_endpoint_that_cannot_scale_is_refused(
    engine: Engine, scaling: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        deploy(engine, scaling, **more)
    assert not engine.made
