"""What the quota of a class's namespace admits."""

from __future__ import annotations

from typing import Any

from components.cluster.quantities import amount
from components.sites.namespace_quota import namespace_quota
from isthmus.contracts.platform.checked import CheckedPlatform
from tests.components.platforms import bank

ROUTER = {
    **{"gateway_class": "istio", "service": "confidential-router-istio", "ca": "internal-ca"},
    **{"control_namespace": "istio-system", "control_port": 15012},
}


def quota(**gateway: Any) -> dict[str, Any]:
    """The amounts that the confidential namespace admits, if its gateway has these fields."""
    data = bank()
    data["gateways"][1] |= gateway
    platform = CheckedPlatform.model_validate(data)
    hard = namespace_quota(platform, platform.site("fra1"), "confidential", ())
    return {resource: amount(value) for resource, value in hard.items()}


def test_a_router_adds_four_proxies_of_half_a_cpu_and_half_a_gibibyte_to_the_quota() -> None:
    without, with_router = quota(), quota(router=ROUTER)
    more = {key: with_router[key] - without[key] for key in without if with_router[key] != without[key]}
    assert more == {
        "pods": 4,
        **dict.fromkeys(("requests.cpu", "limits.cpu"), 2),
        **dict.fromkeys(("requests.memory", "limits.memory"), 2 * 2**30),
    }
