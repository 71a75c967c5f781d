"""The detector beside a gateway: its pod, its files, which the edge reads, its ways, and the room that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from components.sites.namespaces import namespace_args
from edge.config import check as read_by_the_edge
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.screening import Screening
from isthmus.core.errors import InputError
from tests.components.conftest import Engine, build
from tests.components.platforms import DIGEST, REGISTRY, bank
from tests.components.test_gateways import deploy

GATEWAY = "isthmus-fra1-internal-gateway"
FULL: dict[str, Any] = {
    "languages": ["de", "en"],
    "jurisdictions": ["de", "ch"],
    "patterns": [{"entity": "CASE_NUMBER", "pattern": "AZ-[0-9]{4}"}],
    "topics": [{"name": "WEAPONS", "phrases": ["build a bomb"]}],
    "limit_s": 3,
    "restore": False,
    "workers": 3,
}


def read_config(engine: Engine, name: str) -> Any:
    return YAML(typ="safe").load(engine.only("ConfigMap", name).inputs["data"]["config.yaml"])


def box(engine: Engine, name: str = f"{GATEWAY}-server") -> dict[str, Any]:
    (container,) = engine.only("Deployment", name).pod["initContainers"]
    return container


def internal(platform: dict[str, Any]) -> dict[str, Any]:
    return next(gateway for gateway in platform["gateways"] if gateway["class"] == "internal")


def test_the_edge_reads_both_files_as_they_were_meant(engine: Engine, platform: dict[str, Any]) -> None:
    guard = {"name": "weapons", "on": "both", "entities": ["TOPIC_WEAPONS"]}
    internal(platform)["screening"] |= {**FULL, "guards": [guard]}
    build(engine, platform)
    gateway: Any = read_by_the_edge(read_config(engine, f"{GATEWAY}-config"), Path("gateway"))
    assert gateway.screening.demanded("internal") >= {"prompts-leaving-site", "secrets-in-outputs"}
    assert (gateway.screening.limit_s, gateway.screening.restore) == (3, False)
    assert [guard.name for guard in gateway.screening.guards] == ["weapons"]
    detector: Any = read_by_the_edge(read_config(engine, f"{GATEWAY}-detector-config"), Path("detector"))
    assert (detector.workers, detector.rules.languages) == (3, ["de", "en"])
    assert detector.rules.jurisdictions == ["de", "ch"]
    assert [pattern.entity for pattern in detector.rules.patterns] == ["CASE_NUMBER"]
    (model,) = detector.rules.models
    assert (str(model.file), model.language) == ("/models/de_core_news_md-3.8.0-py3-none-any.whl", "de")
    assert gateway.screening.detector == f"http://{detector.listen.host}:{detector.listen.port}"


def test_without_languages_it_goes_by_its_models(built: Engine) -> None:
    assert read_config(built, f"{GATEWAY}-config")["screening"]["languages"] == ["de"]
    assert Screening().spoken == ["en"]


def test_each_place_names_its_site_and_target(built: Engine) -> None:
    (away,) = read_config(built, f"{GATEWAY}-config")["routes"]
    assert (away["site"], away["target"]) == ("frankfurt", "bedrock")
    (route,) = read_config(built, "isthmus-fra1-confidential-gateway-config")["routes"]
    assert (route["site"], route["target"]) == ("fra1", "onprem-vllm")


def test_a_detector_starts_before_the_gateway_and_ends_after_it(built: Engine) -> None:
    detector = box(built)
    assert detector["restartPolicy"] == "Always"
    assert detector["image"] == f"{REGISTRY}detector@{DIGEST}"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert detector[probe]["httpGet"]["port"] == 9091, probe


def test_a_detector_has_the_pod_defaults_and_no_secret(built: Engine) -> None:
    detector = box(built)
    (gateway,) = built.only("Deployment", f"{GATEWAY}-server").pod["containers"]
    assert detector["securityContext"] == gateway["securityContext"]
    assert detector["resources"]["requests"] == detector["resources"]["limits"]
    assert {mount["name"] for mount in detector["volumeMounts"]} == {"detector-config", "detector-tmp"}
    assert not {mount["name"] for mount in gateway["volumeMounts"]} & {"detector-config", "detector-tmp"}


def test_a_detector_exposes_only_its_metrics(built: Engine) -> None:
    policy = built.only("NetworkPolicy", f"{GATEWAY}-network").spec
    ports = {port["port"]: rule["from"] for rule in policy["ingress"] for port in rule["ports"]}
    assert set(ports) == {8443, 9090, 9091}, "who reached the detector would see what nobody has redacted"
    assert ports[9091] == ports[9090], "the monitoring namespace's"
    scraped = built.only("PodMonitor", f"{GATEWAY}-monitor").spec["podMetricsEndpoints"]
    assert [port["port"] for port in scraped] == ["health", "detector"]


def test_a_changed_detector_configuration_rolls_the_pods() -> None:
    names = []
    for limit in (1, 2):
        engine = Engine()
        platform = bank()
        internal(platform)["screening"]["workers"] = limit
        build(engine, platform)
        names.append(engine.only("ConfigMap", f"{GATEWAY}-detector-config").meta["name"])
        volumes = engine.only("Deployment", f"{GATEWAY}-server").pod["volumes"]
        assert names[-1] in [volume.get("configMap", {}).get("name") for volume in volumes]
        assert f"{GATEWAY}-detector-config" in engine.only("Deployment", f"{GATEWAY}-server").depends_on
    assert len({*names}) == 2


def test_a_gateway_without_a_detector_is_unchanged(built: Engine) -> None:
    name = "isthmus-fra1-restricted-gateway"
    assert "initContainers" not in built.only("Deployment", f"{name}-server").pod
    assert "screening" not in read_config(built, f"{name}-config")
    scraped = built.only("PodMonitor", f"{name}-monitor").spec["podMetricsEndpoints"]
    assert [port["port"] for port in scraped] == ["health"]


def test_additional_entities_of_the_organisation_are_redacted(
    engine: Engine, platform: dict[str, Any]
) -> None:
    public = next(gateway for gateway in platform["gateways"] if gateway["class"] == "public")
    public |= {"redacted": ["prompts-leaving-site"], "screening": internal(platform)["screening"]}
    build(engine, platform)
    read: Any = read_by_the_edge(read_config(engine, "isthmus-fra1-public-gateway-config"), Path("gateway"))
    assert "prompts-leaving-site" in read.screening.demanded("public")


def test_a_guards_model_is_one_of_the_class_and_is_reached_as_one(
    engine: Engine, platform: dict[str, Any]
) -> None:
    confidential = next(gateway for gateway in platform["gateways"] if gateway["class"] == "confidential")
    confidential["screening"] = {
        "guards": [{"name": "judge", "on": "both", "endpoint": "confidential-llama-8b"}]
    }
    build(engine, platform)
    name = "isthmus-fra1-confidential-gateway"
    read: Any = read_by_the_edge(read_config(engine, f"{name}-config"), Path("gateway"))
    (guard,) = read.screening.guards
    server = "confidential-llama-8b.isthmus-confidential.svc"
    assert (guard.model.url, guard.model.server_name) == (f"https://{server}:8443", server)
    assert guard.model.model == "meta-llama/Llama-3.1-8B-Instruct", "not an adapter of some workload's"
    assert engine.only("NetworkPolicy", f"{name}-to-confidential-llama-8b")


JUDGE = {"name": "judge", "on": "both", "endpoint": "guard", "model": "guard-8b"}


def test_a_restricted_gateway_knows_its_guards_model_by_address(engine: Engine) -> None:
    image = f"{REGISTRY}detector@{DIGEST}"
    deploy(engine, screening={"image": image, "guards": [{**JUDGE, "cluster_ip": "10.96.0.9"}]})
    pod = engine.only("Deployment", "g-server").pod
    assert {"ip": "10.96.0.9", "hostnames": ["guard.isthmus-restricted.svc"]} in pod["hostAliases"]
    (rule,) = engine.only("NetworkPolicy", "g-to-guard").spec["egress"]
    assert rule["to"][0]["podSelector"]["matchLabels"]["isthmus.dev/endpoint"] == "guard"
    with pytest.raises(InputError, match="guard model 'guard' of a restricted gateway has no cluster_ip"):
        deploy(Engine(), screening={"image": image, "guards": [JUDGE]})


def test_a_gateway_waits_for_its_guards_model(engine: Engine, platform: dict[str, Any]) -> None:
    judge = {**platform["endpoints"][1], "id": "confidential-guard", "task": "guard", "adapters": []}
    judge |= {"replicas": 1, "gpus": 1, "survive": "none"}
    platform["endpoints"].append(judge)
    confidential = next(gateway for gateway in platform["gateways"] if gateway["class"] == "confidential")
    confidential["screening"] = {
        "guards": [{"name": "judge", "on": "both", "endpoint": "confidential-guard"}]
    }
    build(engine, platform)
    needs = engine.only("Deployment", "isthmus-fra1-confidential-gateway-server").depends_on
    assert any("confidential-guard" in need for need in needs), needs


@pytest.mark.parametrize(
    ("settings", "cpu", "memory"),
    [
        ({"models": []}, "1", "384Mi"),
        ({}, "2", "1600Mi"),
        ({"workers": 1}, "1", "896Mi"),
        ({"cpu": "500m", "memory": "3Gi"}, "500m", "3Gi"),
    ],
)
def test_a_detector_requests_cpu_and_memory_for_its_processes_and_models(
    engine: Engine, platform: dict[str, Any], settings: dict[str, Any], cpu: str, memory: str
) -> None:
    public = next(gateway for gateway in platform["gateways"] if gateway["class"] == "public")
    public["screening"] = {**internal(platform)["screening"], **settings}
    build(engine, platform)
    assert box(engine, "isthmus-fra1-public-gateway-server")["resources"]["limits"] == {
        "cpu": cpu,
        "memory": memory,
    }


def test_the_classes_quota_holds_the_detectors_of_a_roll() -> None:
    def quota(data: dict[str, Any]) -> dict[str, str]:
        platform = CheckedPlatform.model_validate(data)
        return namespace_args(platform, platform.site("fra1"), "public").get("quota", {})

    platform, two = bank(), bank()
    for data, workers in ((platform, 1), (two, 2)):
        public = next(gateway for gateway in data["gateways"] if gateway["class"] == "public")
        public["screening"] = {"workers": workers, "memory": f"{workers}Gi"}
    copies = 2 * (2 + 1)
    assert int(quota(two)["limits.cpu"]) - int(quota(platform)["limits.cpu"]) == copies
    more = int(quota(two)["limits.memory"][:-2]) - int(quota(platform)["limits.memory"][:-2])
    assert more == copies


def test_a_component_alone_takes_it_too(engine: Engine) -> None:
    deploy(engine, "internal", screening={"image": f"{REGISTRY}detector@{DIGEST}", "redacted": ["logs"]})
    assert read_config(engine, "g-config")["screening"]["redacted"] == ["logs"]
    assert read_config(engine, "g-detector-config")["class"] == "internal"
