"""Routes of a gateway: their destinations and the edge's configuration of them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from components.gateway.routes import GatewayRoute, destinations_of, route_config
from isthmus.core.errors import InputError

NAMESPACE = "isthmus-internal"


def route(**more: Any) -> GatewayRoute:
    return cast(GatewayRoute, {"workload": "kyc", "endpoint": "llama", "model": "llama", **more})


def configured(sensitivity: str = "internal", cloud: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return route_config(route(**more), sensitivity, f"isthmus-{sensitivity}", set(cloud))


def test_the_destinations_of_a_route_are_its_server_its_equivalents_its_canary_and_its_fallbacks() -> None:
    assert [server["endpoint"] for server in destinations_of(route())] == ["llama"]
    several = route(
        also=[{"endpoint": "second", "model": "llama"}],
        canary={"endpoint": "next", "model": "llama-next", "percent": 5},
        fallback=[{"endpoint": "small", "model": "qwen"}],
    )
    assert [server["endpoint"] for server in destinations_of(several)] == ["llama", "second", "next", "small"]


def test_a_fallback_is_a_model_server_or_a_model_of_the_translator() -> None:
    config = configured(
        cloud=("haiku",),
        fallback=[
            {"endpoint": "small", "model": "qwen", "place": {"target": "onprem-vllm"}},
            {"endpoint": "haiku"},
        ],
    )
    assert config["fallback"] == [
        {
            "url": f"https://small.{NAMESPACE}.svc:8443",
            "server_name": f"small.{NAMESPACE}.svc",
            "model": "qwen",
            "target": "onprem-vllm",
        },
        {
            "url": f"https://internal-translator.{NAMESPACE}.svc:8443",
            "server_name": f"internal-translator.{NAMESPACE}.svc",
            "model": "haiku",
        },
    ]


def test_a_restricted_route_has_no_fallback_behind_the_translator() -> None:
    with pytest.raises(InputError, match="restricted requests may not fall back"):
        configured("restricted", ("haiku",), fallback=[{"endpoint": "haiku"}])


def test_a_model_is_not_its_own_fallback() -> None:
    with pytest.raises(InputError, match="'llama' is not another model"):
        configured(fallback=[{"endpoint": "llama", "model": "llama"}])
