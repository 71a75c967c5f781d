"""Builds the routes of a gateway as the edge's configuration has them."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.objects import SERVING_PORT, dns_name
from components.gateway.callers import GatewayAllowance
from components.gateway.confidence import GatewayConfidence, GatewayReview
from components.serving.arguments import ModelPicker
from isthmus.core.errors import InputError


class TokenPrice(TypedDict):
    """USD for a million tokens, for providers that charge by the token."""

    prompt: float
    """Price of prompt tokens."""
    completion: float
    """Price of answer tokens."""


class GatewayPlace(TypedDict):
    """Platform and price of a place, for records and cost accounting."""

    target: str
    """Platform: onprem-vllm, eks-vllm, sagemaker or bedrock."""
    site: NotRequired[str]
    """Site of the place. Requests to another site than the gateway's count as leaving the site."""
    model_digest: NotRequired[str]
    """Digest of the weights' manifest, `sha256:` and 64 hex digits."""
    gpus: NotRequired[float]
    """GPUs of all replicas behind its address. Absent: no GPU time is accounted."""
    usd_per_gpu_hour: NotRequired[float]
    """USD for an hour of one of these GPUs."""
    usd_per_million_tokens: NotRequired[TokenPrice]
    """Instead of `usd_per_gpu_hour`, for providers that charge by the token."""


class GatewayOther(TypedDict):
    """Another model server that serves a workload as well as the first one."""

    endpoint: str
    """Id of its endpoint, of the same class and in its namespace."""
    model: str
    """Name of the model in requests to it."""
    cluster_ip: NotRequired[pulumi.Input[str]]
    """ClusterIP of its Service, if the route has one."""
    place: NotRequired[GatewayPlace]
    """Its platform and price."""


class GatewayCanary(TypedDict):
    """A canary: another model server that serves a share of a workload's requests."""

    endpoint: str
    """Id of its endpoint, of the same class and in its namespace."""
    model: str
    """Name of the model in requests to it."""
    percent: float
    """Its share of the requests in percent. Each replica of the gateway keeps the share exactly."""
    cluster_ip: NotRequired[pulumi.Input[str]]
    """ClusterIP of its Service, if the route has one."""
    picker: NotRequired[ModelPicker]
    """Its endpoint picker, if it has an InferencePool. Only with a router."""
    place: NotRequired[GatewayPlace]
    """Its platform and price."""


class GatewayOverflow(TypedDict):
    """A model of the translator that serves chat requests when the workload's own endpoint cannot."""

    endpoint: str
    """Name of the model at the translator."""
    when_waiting: NotRequired[int]
    """Overflow also when this many requests wait at the own endpoint. Absent: only when it accepts none."""
    place: NotRequired[GatewayPlace]
    """Its platform and price."""


class GatewayRoute(TypedDict):
    """The route of one workload's requests."""

    workload: str
    """Name of the workload, which callers give as the model."""
    endpoint: str
    """Id of the endpoint: a model server of the class in its namespace, or a model of the translator."""
    model: str
    """Name of the model in requests to the endpoint: a model id, or an adapter's name."""
    cluster_ip: NotRequired[pulumi.Input[str]]
    """ClusterIP of the model server's Service. A restricted gateway needs it, because it has no cluster DNS."""
    task: NotRequired[str]
    """Task: chat (default), embedding or rerank."""
    team: NotRequired[str]
    """Team of the workload, for accounting and shared limits."""
    clients: NotRequired[list[str]]
    """Its client certificates, by DNS name or SPIFFE id. If set, its keys are accepted from these clients only."""
    allowance: NotRequired[GatewayAllowance]
    """Its limits."""
    impact: NotRequired[str]
    """Effect of its answers on people or money: low, material or high. Required with `reviews`."""
    review: NotRequired[GatewayReview]
    """Answers that people review, in addition to those that class and impact require."""
    confidence: NotRequired[GatewayConfidence]
    """Calibrations that give its answers a score. Absent: no scores."""
    cache_salt: NotRequired[str]
    """Name of the prefix cache share: requests with the same salt can use each other's cached prefixes."""
    place: NotRequired[GatewayPlace]
    """Platform and price of the endpoint."""
    also: NotRequired[list[GatewayOther]]
    """Equivalent model servers. A request goes to the one with the shortest queue."""
    canary: NotRequired[GatewayCanary]
    """A model server that serves a share of the requests."""
    overflow: NotRequired[GatewayOverflow]
    """A translator's model for requests that the endpoint cannot serve. Never for a restricted workload."""
    picker: NotRequired[ModelPicker]
    """The endpoint's picker, if it has an InferencePool. Only with a router."""


def destinations_of(route: GatewayRoute) -> "list[GatewayRoute | GatewayOther | GatewayCanary]":
    """The model servers of a route except its overflow: the first, `also`, the canary."""
    canary = [route["canary"]] if "canary" in route else []
    return [route, *route.get("also", []), *canary]


def route_config(route: GatewayRoute, sensitivity: str, namespace: str, cloud: set[str]) -> dict[str, Any]:
    """One route of the edge's configuration. The translator's name of a model is the endpoint's id."""
    through_translator = route["endpoint"] in cloud
    server = dns_name(f"{sensitivity}-translator" if through_translator else route["endpoint"], namespace)
    config: dict[str, Any] = {
        "workload": route["workload"],
        "url": f"https://{server}:{SERVING_PORT}",
        "server_name": server,
        "model": route["endpoint"] if through_translator else route["model"],
    }
    unsupported = [key for key in ("task", "cache_salt", "also", "canary", "overflow") if key in route]
    if through_translator and unsupported:
        raise InputError(
            f"a model behind the translator cannot have {' or '.join(unsupported)}",
            where=f"routes.{route['workload']}.{unsupported[0]}",
            fix="Remove it: only routes to a model server have it",
        )
    config |= {key: value for key, value in route.items() if key in ("task", "cache_salt")}
    config |= route.get("place", {})
    if "also" in route:
        config["also"] = [_other_server("also", other, route, namespace, cloud) for other in route["also"]]
    if "canary" in route:
        canary = route["canary"]
        config["canary"] = {
            **_other_server("canary", canary, route, namespace, cloud),
            "percent": canary["percent"],
        }
    return config | overflow_of(route, sensitivity, namespace, cloud)


def _other_server(
    key: str, other: GatewayOther | GatewayCanary, route: GatewayRoute, namespace: str, cloud: set[str]
) -> dict[str, Any]:
    """Another model server of a route, in the format of the edge's configuration."""
    if other["endpoint"] == route["endpoint"] or other["endpoint"] in cloud:
        raise InputError(
            f"'{other['endpoint']}' is not another model server",
            where=f"routes.{route['workload']}.{key}.endpoint",
            fix="Set endpoint to another endpoint of the class",
        )
    server = dns_name(other["endpoint"], namespace)
    server_config = {
        "url": f"https://{server}:{SERVING_PORT}",
        "server_name": server,
        "model": other["model"],
    }
    return {**server_config, **other.get("place", {})}


def overflow_of(route: GatewayRoute, sensitivity: str, namespace: str, cloud: set[str]) -> dict[str, Any]:
    """A route's overflow in the format of the edge's configuration: a model of the class's own translator."""
    if "overflow" not in route:
        return {}
    overflow = route["overflow"]
    if sensitivity == "restricted" or overflow["endpoint"] not in cloud:
        raise InputError(
            "restricted requests may not overflow to another endpoint"
            if sensitivity == "restricted"
            else f"'{overflow['endpoint']}' is not a model of this gateway's translator",
            where=f"routes.{route['workload']}.overflow",
            fix="Remove overflow"
            if sensitivity == "restricted"
            else "Set it to one of the translator's models",
        )
    server = dns_name(f"{sensitivity}-translator", namespace)
    server_config = {
        "url": f"https://{server}:{SERVING_PORT}",
        "server_name": server,
        "model": overflow["endpoint"],
    }
    waiting_limit = {"when_waiting": overflow["when_waiting"]} if "when_waiting" in overflow else {}
    return {"overflow": {**server_config, **waiting_limit, **overflow.get("place", {})}}
