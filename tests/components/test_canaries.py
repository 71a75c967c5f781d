"""A new version takes a share of the requests: the gateway's file, its ways, and the platform around them."""

from typing import Any

import pytest
from ruamel.yaml import YAML

from components import InferenceGateway
from edge.config import check as read_by_the_edge
from isthmus.core.errors import InputError
from tests.components.conftest import Engine, build
from tests.components.platforms import DIGEST, REGISTRY

CANARY = {"endpoint": "llama-v2", "model": "meta-llama/v2", "percent": 1.0}


def args(sensitivity: str = "confidential", **route: Any) -> dict[str, Any]:
    return {
        "sensitivity": sensitivity,
        "site": "fra1",
        "image": f"{REGISTRY}edge@{DIGEST}",
        "routes": [{"workload": "kyc", "endpoint": "llama", "model": "meta-llama/v1", **route}],
        "callers_secret": "callers",
        "issuer": {"name": "bank"},
        "monitoring_namespace": "monitoring",
    }


def config(engine: Engine, name: str = "g-config") -> dict[str, Any]:
    return YAML(typ="safe").load(engine.only("ConfigMap", name).inputs["data"]["config.yaml"])


def test_the_gateways_file_names_the_canary_and_its_share_and_the_edge_reads_it(
    engine: Engine, tmp_path: Any
) -> None:
    engine.deploy(InferenceGateway, "g", args(canary=CANARY, cache_salt="team/risk"))
    gateway_config = config(engine)
    (route,) = gateway_config["routes"]
    host = "llama-v2.isthmus-confidential.svc"
    assert route["canary"] == {
        "url": f"https://{host}:8443",
        "server_name": host,
        "model": "meta-llama/v2",
        "percent": 1.0,
    }
    assert route["cache_salt"] == "team/risk"
    read: Any = read_by_the_edge(gateway_config, tmp_path)
    assert read.routes[0].canary.server_name == host


def test_the_gateways_file_names_the_release_of_the_canary(engine: Engine) -> None:
    engine.deploy(InferenceGateway, "g", args(canary={**CANARY, "release": "chat-v2"}))
    (route,) = config(engine)["routes"]
    assert route["canary"]["release"] == "chat-v2"


RELEASER = "ssh-ed25519 " + "a" * 68 + " ann"
DATABASE = {
    **{"host": "pg.fra1.bank.example", "address": "10.20.0.9", "port": 5432},
    **{"name": "isthmus", "user": "gateway"},
}
STEPS = {**CANARY, "percent": 0.0, "release": "chat-v2", "steps": [1.0, 100.0]}


def test_the_gateways_file_names_the_steps_and_who_may_move_the_release(
    engine: Engine, tmp_path: Any
) -> None:
    arguments = {
        **args(canary=STEPS),
        "database": DATABASE,
        "releasers": [RELEASER],
        "site_cidrs": ["10.20.0.0/16"],
    }
    engine.deploy(InferenceGateway, "g", arguments)
    read: Any = read_by_the_edge(config(engine), tmp_path)
    assert (read.routes[0].canary.steps, read.releasers) == ([1, 100], [RELEASER])


def test_without_database_or_people_who_may_the_steps_are_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match="database is needed for the steps"):
        engine.deploy(InferenceGateway, "g", args(canary=STEPS))
    with pytest.raises(InputError, match="releasers is needed for the steps"):
        engine.deploy(
            InferenceGateway,
            "h",
            {**args(canary=STEPS), "database": DATABASE, "site_cidrs": ["10.20.0.0/16"]},
        )


def test_the_gateways_file_names_the_share_of_the_shadow(engine: Engine) -> None:
    canary = {**CANARY, "release": "chat-v2", "shadow_percent": 10.0}
    arguments = {**args(canary=canary), "database": DATABASE, "site_cidrs": ["10.20.0.0/16"]}
    engine.deploy(InferenceGateway, "g", arguments)
    (route,) = config(engine)["routes"]
    assert (route["canary"]["percent"], route["canary"]["shadow_percent"]) == (1.0, 10.0)


def test_the_gateways_file_names_who_judges_answers(engine: Engine) -> None:
    judge = {"workload": "checks", "rubric": "It names the policy.", "percent": 10.0, "per_day": 1000}
    canary = {**CANARY, "release": "chat-v2", "judge": judge}
    arguments = {**args(canary=canary), "database": DATABASE, "site_cidrs": ["10.20.0.0/16"]}
    checks = {"workload": "checks", "endpoint": "confidential-judge", "model": "bank/judge"}
    arguments["routes"] = [*arguments["routes"], checks]
    engine.deploy(InferenceGateway, "g", arguments)
    (route, _) = config(engine)["routes"]
    assert route["canary"]["judge"] == judge


def test_the_gateway_may_reach_both_and_nothing_else(engine: Engine) -> None:
    engine.deploy(InferenceGateway, "g", args(canary=CANARY))
    policies = {policy.name for policy in engine.all("NetworkPolicy")}
    assert {"g-to-llama", "g-to-llama-v2"} <= policies


def test_a_restricted_gateway_knows_both_by_address(engine: Engine) -> None:
    canary = {**CANARY, "cluster_ip": "10.96.0.8"}
    engine.deploy(InferenceGateway, "g", args("restricted", cluster_ip="10.96.0.7", canary=canary))
    aliases = engine.only("Deployment").pod["hostAliases"]
    assert [alias["ip"] for alias in aliases] == ["10.96.0.7", "10.96.0.8"]


@pytest.mark.parametrize(
    ("sensitivity", "route", "message"),
    [
        ("restricted", {"cluster_ip": "10.96.0.7", "canary": CANARY}, "has no cluster_ip"),
        ("confidential", {"canary": {**CANARY, "endpoint": "llama"}}, "is not another model server"),
    ],
)
def test_a_wrong_canary_is_refused(
    engine: Engine, sensitivity: str, route: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        engine.deploy(InferenceGateway, "g", args(sensitivity, **route))


TRANSLATOR = {
    "image": f"{REGISTRY}translator@{DIGEST}",
    "models": [{"name": "haiku--kyc", "region": "eu-central-1", "inference_profile": "eu.x.y-v1:0"}],
}
OVERFLOW = {"endpoint": "haiku--kyc", "when_waiting": 4}


def test_overflow_goes_to_the_translator_of_the_class(engine: Engine, tmp_path: Any) -> None:
    arguments = {**args("internal", overflow=OVERFLOW, cache_salt="team/risk"), "translator": TRANSLATOR}
    engine.deploy(InferenceGateway, "g", {**arguments, "destinations": []})
    gateway_config = config(engine)
    behind = "internal-translator.isthmus-internal.svc"
    assert gateway_config["routes"][0]["overflow"] == {
        **{"url": f"https://{behind}:8443", "server_name": behind},
        **{"model": "haiku--kyc", "when_waiting": 4},
    }
    read: Any = read_by_the_edge(gateway_config, tmp_path)
    assert [place.host for place in read.routes[0].places] == ["llama.isthmus-internal.svc", behind]


def test_the_gateway_file_names_the_team_of_a_workload(engine: Engine, tmp_path: Any) -> None:
    arguments = args(team="risk")
    arguments["routes"].append({"workload": "other", "endpoint": "llama", "model": "meta-llama/v1"})
    engine.deploy(InferenceGateway, "g", arguments)
    read: Any = read_by_the_edge(config(engine), tmp_path)
    assert [(workload.name, workload.team) for workload in read.workloads] == [
        ("kyc", "risk"),
        ("other", None),
    ]
    assert [team.name for team in read.teams] == ["risk"]


@pytest.mark.parametrize(
    ("sensitivity", "translator", "message"),
    [
        ("restricted", None, "may not overflow to another endpoint"),
        ("internal", None, "not a model of this gateway's translator"),
        (
            "internal",
            {**TRANSLATOR, "models": [{**TRANSLATOR["models"][0], "name": "other"}]},
            "not a model of this",
        ),
    ],
)
def test_an_overflow_that_may_not_be_is_refused(
    engine: Engine, sensitivity: str, translator: dict[str, Any] | None, message: str
) -> None:
    arguments = args(sensitivity, overflow=OVERFLOW, cluster_ip="10.96.0.7")
    behind = {"translator": translator, "destinations": []} if translator else {}
    with pytest.raises(InputError, match=message):
        engine.deploy(InferenceGateway, "g", {**arguments, **behind})


def test_a_model_behind_the_translator_takes_no_canary_no_salt_and_no_other_task(engine: Engine) -> None:
    translator = {
        "image": f"{REGISTRY}translator@{DIGEST}",
        "models": [{"name": "llama", "region": "eu-central-1", "inference_profile": "eu.x.y-v1:0"}],
    }
    arguments = {**args("internal", cache_salt="team/risk"), "translator": translator, "destinations": []}
    with pytest.raises(InputError, match="a model behind the translator cannot have cache_salt"):
        engine.deploy(InferenceGateway, "g", arguments)


@pytest.fixture
def served(engine: Engine, platform: dict[str, Any]) -> Engine:
    """The bank, its confidential model scaled by load, salted, with a canary."""
    first = platform["endpoints"][1]
    first.update(prefix_cache="salted", drain_s=300)
    platform["endpoints"].append(
        {
            **first,
            **{"id": "confidential-llama-v2", "replicas": 1, "gpus": 1, "survive": "none"},
            "weights": {"uri": "pvc://llama-8b-v2", "digest": "sha256:" + "b" * 64},
        }
    )
    workload = platform["gateways"][1]["workloads"][0]
    workload |= {"team": "risk", "canary": {"endpoint": "confidential-llama-v2", "percent": 1}}
    platform["scaling"] = [{"endpoint": "confidential-llama-8b", "min_replicas": 6, "max_replicas": 7}]
    platform["monitoring"]["prometheus_url"] = "http://prometheus.monitoring.svc:9090"
    build(engine, platform)
    return engine


def test_the_platform_passes_on_canary_salt_and_scaling(served: Engine) -> None:
    (route,) = config(served, "isthmus-fra1-confidential-gateway-config")["routes"]
    assert route["canary"]["percent"] == 1
    assert route["canary"]["model"] == "kyc-fields", "the workload's adapter, which the canary has too"
    assert route["cache_salt"] == "team/risk"
    scaled = served.only("ScaledObject")
    assert scaled.name == "isthmus-confidential-llama-8b-scaling"
    assert scaled.spec["maxReplicaCount"] == 7
    quota = next(
        quota for quota in served.all("ResourceQuota") if quota.meta["namespace"] == "isthmus-confidential"
    )
    assert quota.spec["hard"]["requests.nvidia.com/gpu"] == "9", "seven at most, one canary, one that ends"
    gateway = served.only("Deployment", "isthmus-fra1-confidential-gateway-server")
    assert "isthmus-confidential-llama-v2-server" in gateway.depends_on


def test_an_auditor_reads_where_a_share_of_the_data_goes(served: Engine) -> None:
    line = next(line for line in served.outputs["data_paths"] if line.startswith("kyc"))
    assert "fra1/confidential-llama-8b (1 % to fra1/confidential-llama-v2)" in line
    assert "never AWS" in line
