"""A gateway's callers in a database: its file, which the edge reads, its one way there, and the graph that sees it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ruamel.yaml import YAML

from components import InferenceGateway
from components.serving.scaling_mapping import place_args
from edge.config import check as read_by_the_edge
from isthmus.contracts.platform.model.platform import Endpoint, Platform
from isthmus.contracts.platform.model.pools import Pool
from isthmus.contracts.platform.model.sites import Monitoring
from isthmus.core.errors import InputError, Refused
from isthmus.graph.resources.resources import Graph
from policies.data_path.own_settings import RULES
from policies.rules.rule import Subject
from tests.components.conftest import Engine, build
from tests.components.platforms import DIGEST, REGISTRY
from tests.policies.cases_inside import namespace_of_class
from tests.policies.making import resource_of

(RULE,) = RULES
COST = {"usd_per_gpu_hour": 1.4}
DATABASE = {"host": "callers.db.bank.example", "address": "10.40.7.7"}


def read_config(engine: Engine, name: str, path: Any) -> Any:
    text = engine.only("ConfigMap", name).inputs["data"]["config.yaml"]
    return read_by_the_edge(YAML(typ="safe").load(text), path)


@pytest.fixture
def counted(engine: Engine, platform: dict[str, Any]) -> Engine:
    """The bank, whose restricted callers are in a database, with limits."""
    gateway = platform["gateways"][0]
    gateway |= {"database": DATABASE, "teams": [{"name": "risk", "allowance": {"requests_per_minute": 600}}]}
    gateway["workloads"][0] |= {
        **{"team": "risk", "clients": ["app.payments.svc"]},
        "allowance": {"tokens_per_month": 10**9, "parallel_requests": 40},
        "people": {"requests_per_minute": 30},
        **{"weight": 3, "mode": "batch"},
        "interfaces": ["completions", "batches"],
    }
    build(engine, platform)
    return engine


def test_the_gateway_file_holds_the_caller_settings_and_the_edge_reads_it(
    counted: Engine, tmp_path: Any
) -> None:
    read = read_config(counted, "isthmus-fra1-restricted-gateway-config", tmp_path)
    assert read.callers is None
    assert (read.database.host, read.database.port, read.database.user) == (DATABASE["host"], 5432, "gateway")
    assert str(read.database.ca) == "/etc/isthmus/callers/ca.crt"
    (workload,) = read.workloads
    assert (workload.team, workload.clients) == ("risk", ["app.payments.svc"])
    assert (workload.allowance.tokens_per_month, workload.allowance.parallel_requests) == (10**9, 40)
    assert (workload.people.requests_per_minute, workload.weight, workload.mode) == (30, 3, "batch")
    assert read.teams[0].allowance.requests_per_minute == 600
    confidential = read_config(counted, "isthmus-fra1-confidential-gateway-config", tmp_path)
    assert (confidential.database, confidential.workloads) == (None, [])
    assert [config.routes[0].interfaces for config in (read, confidential)] == [
        ["completions", "batches"],
        [],
    ]
    assert str(read.file_store.key) == "/etc/isthmus/callers/transit"
    assert confidential.file_store is None


def test_a_team_is_limited_by_its_budget_beside_its_other_limits(
    engine: Engine, platform: dict[str, Any], tmp_path: Any
) -> None:
    gateway = platform["gateways"][0]
    gateway |= {"database": DATABASE, "teams": [{"name": "risk", "allowance": {"requests_per_minute": 600}}]}
    gateway["workloads"][0]["team"] = "risk"
    platform["teams"] = [{"name": "risk", "budget": {"usd_per_month": 2500}}]
    for endpoint in platform["endpoints"]:
        if endpoint["class"] == gateway["class"]:
            endpoint["cost"] = COST
    build(engine, platform)
    read = read_config(engine, "isthmus-fra1-restricted-gateway-config", tmp_path)
    (team,) = read.teams
    assert (team.allowance.usd_per_month, team.allowance.requests_per_minute) == (2500, 600)


def test_gateway_pods_reach_the_database_by_its_address(counted: Engine) -> None:
    policy = counted.only("NetworkPolicy", "isthmus-fra1-restricted-gateway-network")
    (rule,) = [rule for rule in policy.spec["egress"] if "ipBlock" in rule["to"][0]]
    assert rule == {
        "to": [{"ipBlock": {"cidr": "10.40.7.7/32"}}],
        "ports": [{"protocol": "TCP", "port": 5432}],
    }
    pods = counted.pods()
    (pod,) = [pod for name, pod in pods.items() if name.endswith("restricted-gateway")]
    assert {"ip": "10.40.7.7", "hostnames": [DATABASE["host"]]} in pod["hostAliases"]


def test_a_model_server_lets_lines_of_batches_wait(counted: Engine) -> None:
    policies = {
        name: [argument for argument in pod["containers"][0]["args"] if "scheduling-policy" in argument]
        for name, pod in counted.pods().items()
        if pod["containers"][0]["name"] == "vllm"
    }
    with_batches = [name for name, flags in policies.items() if flags == ["--scheduling-policy=priority"]]
    assert len(policies) > len(with_batches) == 1
    assert "restricted" in with_batches[0]


def test_stored_requests_that_the_platform_does_not_state_are_reported(
    counted: Engine, platform: dict[str, Any]
) -> None:
    name = "isthmus-fra1-restricted-gateway-config"
    settings = YAML(typ="safe").load(counted.only("ConfigMap", name).inputs["data"]["config.yaml"])

    def messages(**changes: Any) -> list[str]:
        inputs = {
            **counted.only("ConfigMap", name).inputs,
            "data": {"config.yaml": json.dumps({**settings, **changes})},
        }
        space = namespace_of_class("restricted", "isthmus-restricted")
        graph = Graph([space, resource_of("kubernetes:core/v1:ConfigMap", name, inputs)])
        return [
            violation.message for violation in RULE.check(Subject(graph, Platform.model_validate(platform)))
        ]

    assert messages() == []
    routes = [{**route, "interfaces": ["completions", "idempotency"]} for route in settings["routes"]]
    (kept,) = messages(routes=routes)
    assert "keeps requests and answers of" in kept
    assert "for idempotency, which the platform does not state" in kept
    (key,) = messages(file_store={"key": "/tmp/key"})
    assert "takes file_store.key from /tmp/key, which no volume of Isthmus holds" in key


def test_a_gateway_without_a_database_serves_no_batches(engine: Engine) -> None:
    route = {
        "workload": "w",
        "endpoint": "m",
        "model": "x",
        "cluster_ip": "10.96.0.7",
        "interfaces": ["batches"],
    }
    args: dict[str, Any] = {
        **{"sensitivity": "restricted", "site": "fra1", "image": f"{REGISTRY}edge@{DIGEST}"},
        **{"routes": [route], "callers_secret": "callers", "issuer": {"name": "bank"}},
        "monitoring_namespace": "monitoring",
    }
    with pytest.raises(InputError, match="the interface batches of 'w' needs a database"):
        engine.deploy(InferenceGateway, "g", args)


def test_a_restricted_gateway_alone_takes_no_database_outside_the_site(engine: Engine) -> None:
    route = {"workload": "w", "endpoint": "m", "model": "x", "cluster_ip": "10.96.0.7"}
    args: dict[str, Any] = {
        **{"sensitivity": "restricted", "site": "fra1", "image": f"{REGISTRY}edge@{DIGEST}"},
        **{"routes": [route], "callers_secret": "callers", "issuer": {"name": "bank"}},
        **{"monitoring_namespace": "monitoring", "site_cidrs": ["10.40.0.0/16"]},
    }
    with pytest.raises(Refused, match="not inside the site's networks"):
        engine.deploy(InferenceGateway, "g", {**args, "database": {**DATABASE, "address": "52.94.1.1"}})


def test_accounting_knows_the_hardware_and_cost_of_each_place(
    engine: Engine, platform: dict[str, Any], tmp_path: Any
) -> None:
    gateway = platform["gateways"][1]
    gateway |= {"database": DATABASE}
    gateway["workloads"][0] |= {"allowance": {"usd_per_month": 500.0}}
    platform["endpoints"][1]["cost"] = {"usd_per_gpu_hour": 1.4}
    tokens = {"prompt": 1.1, "completion": 5.5}
    platform["endpoints"][2]["cost"] = {
        "usd_per_million_tokens": tokens,
        "source": "a list",
        "as_of": "2026-11-02",
    }
    build(engine, platform)
    read = read_config(engine, "isthmus-fra1-confidential-gateway-config", tmp_path)
    (route,) = read.routes
    assert (route.target, route.model_digest) == ("onprem-vllm", DIGEST)
    assert (route.gpus, route.replicas, route.usd_per_gpu_hour) == (1, 1, 1.4), "GPUs of one replica"
    assert read.workloads[0].allowance.usd_per_month == 500
    (cloud,) = read_config(engine, "isthmus-fra1-internal-gateway-config", tmp_path).routes
    assert (cloud.target, cloud.gpus, cloud.model_digest) == ("bedrock", None, None)
    assert cloud.usd_per_million_tokens.model_dump(exclude_none=True) == tokens


def test_accounting_counts_the_whole_gpus_of_slices_and_shares(
    platform: dict[str, Any],
) -> None:
    shared = {**platform["pools"][1], "sharing": None}
    shared.pop("sharing")
    shared["time_slicing"] = {"class": "confidential", "replicas": 4, "nodes": [shared["node_names"][0]]}
    model_construct = Platform.model_construct(
        pools=[Pool.model_validate(shared)],
        gateways=[],
        scaling=[],
        monitoring=Monitoring(namespace="monitoring"),
    )
    sliced = {"id": "s", "class": "confidential", "site": "fra1", "target": "onprem-vllm", "model": "m"}
    endpoint = Endpoint.model_validate(
        {**sliced, "pool": shared["name"], "gpus": 6, "time_sliced": True, "cost": COST}
    )
    told_of = place_args(model_construct, endpoint, digests=False)
    stands = {"target": "onprem-vllm", "site": "fra1"}
    assert told_of == {**stands, "usd_per_gpu_hour": 1.4, "gpus": 1.5}
    free = endpoint.model_copy(update={"cost": None})
    assert place_args(model_construct, free, digests=False) == stands, "replicas roll no gateway"
    cut = Platform.model_construct(
        pools=[Pool.model_validate(platform["pools"][0])],
        gateways=[],
        scaling=[],
        monitoring=Monitoring(namespace="monitoring"),
    )
    of_h100 = {"pool": "fra1-h100-sxm-80gb", "gpus": 7, "mig_profile": "1g.10gb", "cost": COST}
    assert place_args(cut, Endpoint.model_validate({**sliced, **of_h100}), digests=False)["gpus"] == 1


def twin(platform: dict[str, Any], at: int = 0) -> dict[str, Any]:
    """A second endpoint as good as a gateway's own, on the GPUs that are left."""
    twin_endpoint = {**copy.deepcopy(platform["endpoints"][at]), "id": "twin", "survive": "none"}
    twin_endpoint |= {"replicas": 1, "gpus": twin_endpoint.get("tensor_parallel", 1), "cost": COST}
    platform["endpoints"].append(twin_endpoint)
    platform["gateways"][at]["workloads"][0]["also"] = ["twin"]
    return twin_endpoint


def test_a_workload_with_several_places_reaches_each_and_waits_for_each(
    engine: Engine, platform: dict[str, Any], tmp_path: Any
) -> None:
    twin(platform)
    build(engine, platform)
    (route,) = read_config(engine, "isthmus-fra1-restricted-gateway-config", tmp_path).routes
    assert [place.server_name for place in route.also] == ["twin.isthmus-restricted.svc"]
    assert (route.also[0].gpus, route.also[0].target) == (4, "onprem-vllm")
    assert engine.only("NetworkPolicy", "isthmus-fra1-restricted-gateway-to-twin")
    names = {
        host for alias in engine.pods()["restricted-gateway"]["hostAliases"] for host in alias["hostnames"]
    }
    assert "twin.isthmus-restricted.svc" in names, "it asks no cluster DNS"
    waits = engine.only("Deployment", "isthmus-fra1-restricted-gateway-server").depends_on
    assert "isthmus-twin-server" in waits


def test_traces_go_to_one_address_by_a_name_that_its_certificate_bears(
    engine: Engine, platform: dict[str, Any], tmp_path: Any
) -> None:
    url = "https://collector.bank.example:4318/v1/traces"
    traces = {"endpoint": url, "address": "10.40.6.6", "ca": "bank-authorities", "share": 0.1}
    platform["gateways"][0]["traces"] = traces
    build(engine, platform)
    read = read_config(engine, "isthmus-fra1-restricted-gateway-config", tmp_path).traces
    assert (read.endpoint, read.share, str(read.ca)) == (url, 0.1, "/etc/isthmus/traces/ca.crt")
    policy = engine.only("NetworkPolicy", "isthmus-fra1-restricted-gateway-network")
    (rule,) = [rule for rule in policy.spec["egress"] if "ipBlock" in rule["to"][0]]
    assert (rule["to"], rule["ports"][0]["port"]) == ([{"ipBlock": {"cidr": "10.40.6.6/32"}}], 4318)
    pod = engine.pods()["restricted-gateway"]
    assert {"ip": "10.40.6.6", "hostnames": ["collector.bank.example"]} in pod["hostAliases"]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "traces-ca"]
    assert volume["configMap"]["name"] == "bank-authorities"
