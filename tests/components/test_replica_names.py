"""The headless Service that lists the replicas of a model server, and the gateway that chooses among them."""

from typing import Any

import pytest
from ruamel.yaml import YAML

from components import InferenceGateway, ModelServer
from edge.config import check as read_by_the_edge
from isthmus.contracts.platform.lookups.serving import lists_replicas
from isthmus.contracts.platform.model.serving import Scaling
from isthmus.core.errors import InputError
from tests.blueprints import bank
from tests.components.conftest import Engine
from tests.components.test_canaries import args as gateway_args
from tests.components.test_model_server import args as model_args


def test_a_headless_service_lists_the_replicas_beside_the_service_with_an_address(engine: Engine) -> None:
    engine.deploy(ModelServer, "llama", model_args(sensitivity="internal", by_replica=True))
    service, listing = (engine.only("Service", f"llama-{end}").spec for end in ("service", "replicas"))
    assert listing["clusterIP"] == "None"
    assert "clusterIP" not in service
    assert listing["selector"] == service["selector"]
    assert listing["ports"] == [{"name": "https", "port": 8443, "targetPort": 8443, "protocol": "TCP"}]
    assert engine.only("Service", "llama-replicas").inputs["metadata"]["name"] == "llama-replicas"
    assert "publishNotReadyAddresses" not in listing, "a replica that is not ready would get requests"


def test_a_restricted_model_server_lists_no_replicas(engine: Engine) -> None:
    with pytest.raises(InputError, match="no resolver of the cluster"):
        engine.deploy(ModelServer, "llama", model_args(by_replica=True))


def test_the_gateway_looks_up_replicas_and_verifies_the_name_of_the_service(
    engine: Engine, tmp_path: Any
) -> None:
    place = {"target": "onprem-vllm", "by_replica": True, "replicas": 3, "gpus": 6.0, "usd_per_gpu_hour": 2.5}
    names = {"image": "registry.example/coredns@sha256:" + "0" * 64}
    engine.deploy(InferenceGateway, "g", {**gateway_args("internal", place=place), "names": names})
    config = YAML(typ="safe").load(engine.only("ConfigMap", "g-config").inputs["data"]["config.yaml"])
    (route,) = config["routes"]
    assert route["url"] == "https://llama-replicas.isthmus-internal.svc:8443"
    assert route["server_name"] == "llama.isthmus-internal.svc"
    assert (route["by_replica"], route["replicas"]) == (True, 3)
    read: Any = read_by_the_edge(config, tmp_path)
    assert read.routes[0].by_replica
    corefile = engine.only("ConfigMap", "g-resolver-config").inputs["data"]["Corefile"]
    assert "'llama-replicas.isthmus-internal.svc.cluster.local.'" in corefile


def test_replicas_are_listed_where_there_may_be_several_and_the_gateway_has_a_resolver() -> None:
    base = bank.platform().model_copy(update={"scaling": []})
    endpoint = next(
        endpoint
        for endpoint in base.endpoints
        if endpoint.target == "onprem-vllm" and endpoint.class_ != "restricted"
    )

    def listed(platform: Any = base, **fields: Any) -> bool:
        return lists_replicas(platform, endpoint.model_copy(update=fields))

    assert listed(replicas=2)
    assert not listed(replicas=1)
    assert not listed(replicas=2, class_="restricted")
    assert not listed(replicas=2, target="sagemaker")
    scaled = base.model_copy(
        update={"scaling": [Scaling(endpoint=endpoint.id, min_replicas=1, max_replicas=4)]}
    )
    assert listed(scaled, replicas=1)


def test_every_other_place_of_a_route_is_called_by_its_replicas_too(engine: Engine) -> None:
    place = {"target": "onprem-vllm", "by_replica": True}
    others = {
        "also": [{"endpoint": "second", "model": "m", "place": place}],
        "canary": {"endpoint": "third", "model": "m", "percent": 1.0, "place": place},
        "fallback": [{"endpoint": "fourth", "model": "m", "place": place}],
    }
    engine.deploy(InferenceGateway, "g", gateway_args("internal", **others))
    config = YAML(typ="safe").load(engine.only("ConfigMap", "g-config").inputs["data"]["config.yaml"])
    (route,) = config["routes"]
    called = [*route["also"], route["canary"], *route["fallback"]]
    assert [server["url"].split(".")[0] for server in called] == [
        *("https://second-replicas", "https://third-replicas", "https://fourth-replicas")
    ]
