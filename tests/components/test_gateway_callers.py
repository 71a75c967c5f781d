"""A gateway's callers in a database: its file, which the edge reads, its one way there, and the graph that sees it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ruamel.yaml import YAML

from components import InferenceGateway
from components.serving.scaling_mapping import place_args
from edge.config import check as read_by_the_edge
from isthmus.contracts.platform.model.platform import Endpoint, Platform
from isthmus.contracts.platform.model.pools import Pool
from isthmus.core.errors import Refused
from tests.components.conftest import Engine, build
from tests.components.platforms import DIGEST, REGISTRY

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
        "allowance": {"tokens_per_month": 10**9},
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
    assert workload.allowance.tokens_per_month == 10**9
    assert read.teams[0].allowance.requests_per_minute == 600
    confidential = read_config(counted, "isthmus-fra1-confidential-gateway-config", tmp_path)
    assert (confidential.database, confidential.workloads) == (None, [])


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
    platform["endpoints"][2]["cost"] = {"usd_per_million_tokens": tokens}
    build(engine, platform)
    read = read_config(engine, "isthmus-fra1-confidential-gateway-config", tmp_path)
    (route,) = read.routes
    assert (route.target, route.model_digest) == ("onprem-vllm", DIGEST)
    assert (route.gpus, route.usd_per_gpu_hour) == (6, 1.4)
    assert read.workloads[0].allowance.usd_per_month == 500
    (cloud,) = read_config(engine, "isthmus-fra1-internal-gateway-config", tmp_path).routes
    assert (cloud.target, cloud.gpus, cloud.model_digest) == ("bedrock", None, None)
    assert cloud.usd_per_million_tokens.model_dump() == tokens


def test_accounting_counts_the_whole_gpus_of_slices_and_shares(
    platform: dict[str, Any],
) -> None:
    shared = {**platform["pools"][1], "sharing": None}
    shared.pop("sharing")
    shared["time_slicing"] = {"class": "confidential", "replicas": 4, "nodes": [shared["node_names"][0]]}
    model_construct = Platform.model_construct(pools=[Pool.model_validate(shared)])
    sliced = {"id": "s", "class": "confidential", "site": "fra1", "target": "onprem-vllm", "model": "m"}
    endpoint = Endpoint.model_validate(
        {**sliced, "pool": shared["name"], "gpus": 6, "time_sliced": True, "cost": COST}
    )
    told_of = place_args(model_construct, endpoint, digests=False)
    stands = {"target": "onprem-vllm", "site": "fra1"}
    assert told_of == {**stands, "usd_per_gpu_hour": 1.4, "gpus": 1.5}
    free = endpoint.model_copy(update={"cost": None})
    assert place_args(model_construct, free, digests=False) == stands, "replicas roll no gateway"
    cut = Platform.model_construct(pools=[Pool.model_validate(platform["pools"][0])])
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
