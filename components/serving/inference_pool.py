"""An InferencePool: the replicas of an endpoint as a router's picker sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

from components.cluster.objects import GATEWAY_LABEL, HEALTH_PORT, SERVING_PORT, custom, metadata, router_name
from isthmus.core.errors import InputError

if TYPE_CHECKING:
    from components.serving.arguments import ModelDoorArgs, ModelServerArgs


def check(args: ModelServerArgs | ModelDoorArgs) -> None:
    """Raises `InputError` for a picker that nothing would ask."""
    if "picker" in args and not args.get("router"):
        raise InputError(
            "nothing would ask the picker: no router is named",
            where=f"{args['id']}.picker",
            fix="Name router, or leave picker out",
        )


def make(
    name: str,
    args: ModelServerArgs | ModelDoorArgs,
    namespace: str,
    own: dict[str, str],
    serving: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Made where a picker is named."""
    picker = args.get("picker")
    if picker is None:
        return
    spec = {
        "selector": {"matchLabels": serving},
        "targetPorts": [{"number": SERVING_PORT}],
        "endpointPickerRef": {
            "name": picker["service"],
            "port": {"number": picker.get("port", 9002)},
            # Without its word requests would go to any replica, and one team's load onto another's.
            "failureMode": "FailClose",
        },
    }
    meta = metadata(args["id"], own, namespace=namespace)
    custom(f"{name}-pool", "inference.networking.k8s.io/v1", "InferencePool", meta, {"spec": spec}, opts)


def ways_in(args: ModelServerArgs | ModelDoorArgs) -> list[dict[str, Any]]:
    """Who else may reach its replicas: the router's proxies to ask them, the picker to read their metrics."""
    made: list[dict[str, Any]] = []
    if args.get("router"):
        proxies = {"podSelector": {"matchLabels": {GATEWAY_LABEL: router_name(args["sensitivity"])}}}
        made.append({"from": [proxies], "ports": [{"protocol": "TCP", "port": SERVING_PORT}]})
    picker = args.get("picker")
    if picker is not None:
        pods = {"podSelector": {"matchLabels": dict(picker["labels"])}}
        made.append({"from": [pods], "ports": [{"protocol": "TCP", "port": HEALTH_PORT}]})
    return made
