"""Routes of a gateway: their destinations."""

from __future__ import annotations

from components.gateway.routes import GatewayRoute, destinations_of


def test_the_destinations_of_a_route_are_its_server_its_equivalents_and_its_canary() -> None:
    route: GatewayRoute = {"workload": "kyc", "endpoint": "llama", "model": "llama"}
    assert [server["endpoint"] for server in destinations_of(route)] == ["llama"]
    route["also"] = [{"endpoint": "second", "model": "llama"}]
    route["canary"] = {"endpoint": "next", "model": "llama-next", "percent": 5}
    assert [server["endpoint"] for server in destinations_of(route)] == ["llama", "second", "next"]
