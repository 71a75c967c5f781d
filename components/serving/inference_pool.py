"""Creates an InferencePool: the replicas of an endpoint for a router's endpoint picker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

from components.cluster.objects import (
    GATEWAY_LABEL,
    HEALTH_PORT,
    SERVING_PORT,
    custom_resource,
    metadata,
    router_name,
)
from isthmus.core.errors import InputError

if TYPE_CHECKING:
    from components.serving.arguments import ModelDoorArgs, ModelServerArgs


def check(args: ModelServerArgs | ModelDoorArgs) -> None:
    """Raise `InputError` for a picker without a router."""
    if "picker" in args and not args.get("router"):
        raise InputError(
            "a picker needs a router, but none is set",
            where=f"{args['id']}.picker",
            fix="Set router, or remove picker",
        )


def create(
    name: str,
    args: ModelServerArgs | ModelDoorArgs,
    namespace: str,
    labels: dict[str, str],
    serving_selector: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Create the InferencePool if a picker is set."""
    picker = args.get("picker")
    if picker is None:
        return
    spec = {
        "selector": {"matchLabels": serving_selector},
        "targetPorts": [{"number": SERVING_PORT}],
        "endpointPickerRef": {
            "name": picker["service"],
            "port": {"number": picker.get("port", 9002)},
            # Failing open would send requests to any replica, and mix the load of teams.
            "failureMode": "FailClose",
        },
    }
    meta = metadata(args["id"], labels, namespace=namespace)
    custom_resource(
        f"{name}-pool", "inference.networking.k8s.io/v1", "InferencePool", meta, {"spec": spec}, opts
    )


def extra_ingress_rules(args: ModelServerArgs | ModelDoorArgs) -> list[dict[str, Any]]:
    """Ingress rules of the replicas for the router's proxies (requests) and the picker (metrics)."""
    rules: list[dict[str, Any]] = []
    if args.get("router"):
        proxies = {"podSelector": {"matchLabels": {GATEWAY_LABEL: router_name(args["sensitivity"])}}}
        rules.append({"from": [proxies], "ports": [{"protocol": "TCP", "port": SERVING_PORT}]})
    picker = args.get("picker")
    if picker is not None:
        pods = {"podSelector": {"matchLabels": dict(picker["labels"])}}
        rules.append({"from": [pods], "ports": [{"protocol": "TCP", "port": HEALTH_PORT}]})
    return rules
