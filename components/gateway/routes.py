"""Builds the routes of a gateway as the edge's configuration has them."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.objects import SERVING_PORT, dns_name
from components.gateway.callers import GatewayAllowance
from components.gateway.confidence import GatewayConfidence, GatewayReview
from components.serving.arguments import ModelPicker
from isthmus.core.errors import InputError


class TokenPrice(TypedDict):
    """USD for a million tokens, where a provider charges by them."""

    prompt: float
    """Of prompts."""
    completion: float
    """Of answers."""


class GatewayPlace(TypedDict):
    """On what a place runs and what it costs: for records and accounts."""

    target: str
    """onprem-vllm, eks-vllm, sagemaker or bedrock."""
    site: NotRequired[str]
    """Where it stands: what goes to another site than the gateway's own leaves it."""
    model_digest: NotRequired[str]
    """Of the weights' manifest, `sha256:` and 64 digits."""
    gpus: NotRequired[float]
    """All behind its address, replicas together; absent: no GPU time is accounted."""
    usd_per_gpu_hour: NotRequired[float]
    """What an hour of one of these costs."""
    usd_per_million_tokens: NotRequired[TokenPrice]
    """In place of that, where a provider charges by the token."""


class GatewayOther(TypedDict):
    """Another model server that serves a workload as well as the first."""

    endpoint: str
    """Id of its endpoint, of the class and in its namespace."""
    model: str
    """What it is asked for."""
    cluster_ip: NotRequired[pulumi.Input[str]]
    """Address of its Service, where the route names one."""
    place: NotRequired[GatewayPlace]
    """On what it runs."""


class GatewayCanary(TypedDict):
    """Another model server, which takes a share of a workload's requests."""

    endpoint: str
    """Id of its endpoint, of the class and in its namespace."""
    model: str
    """What it is asked for."""
    percent: float
    """Its share of the requests, in percent: exact for each copy of the gateway."""
    cluster_ip: NotRequired[pulumi.Input[str]]
    """Address of its Service, where the route names one."""
    picker: NotRequired[ModelPicker]
    """Its picker, where it has an InferencePool; with a router only."""
    place: NotRequired[GatewayPlace]
    """On what it runs."""


class GatewayOverflow(TypedDict):
    """A model of the translator, which takes the chats that the workload's own endpoint cannot take."""

    endpoint: str
    """Its name at the translator."""
    when_waiting: NotRequired[int]
    """Also when so many requests wait at the own endpoint; absent: only when that takes none."""
    place: NotRequired[GatewayPlace]
    """On what it runs."""


class GatewayRoute(TypedDict):
    """Where one workload's requests go."""

    workload: str
    """The workload's name: what its callers give as model."""
    endpoint: str
    """Id of the endpoint: a model server of the class in its namespace, or a model of the translator."""
    model: str
    """What the endpoint is asked for: a model's id, or an adapter's name."""
    cluster_ip: NotRequired[pulumi.Input[str]]
    """Address of the model server's Service; a restricted gateway needs it, since it asks no cluster DNS."""
    task: NotRequired[str]
    """What it is asked for: chat (default), embedding or rerank."""
    team: NotRequired[str]
    """Whose workload it is: what it takes is accounted so."""
    clients: NotRequired[list[str]]
    """Client certificates that speak for it, by DNS name or SPIFFE id; its keys are then taken from them only."""
    allowance: NotRequired[GatewayAllowance]
    """What it may use."""
    impact: NotRequired[str]
    """What its answers do to people or money: low, material or high. With `reviews` each workload says it."""
    review: NotRequired[GatewayReview]
    """Which of its answers people look at, beside those that class and impact demand."""
    confidence: NotRequired[GatewayConfidence]
    """By which calibrations its answers get a score; absent: they bear none."""
    cache_salt: NotRequired[str]
    """Whose prefixes its requests may hit in the engine's cache: those of requests with the same salt."""
    place: NotRequired[GatewayPlace]
    """On what the endpoint runs."""
    also: NotRequired[list[GatewayOther]]
    """Further model servers that are as good: a request goes where the least wait."""
    canary: NotRequired[GatewayCanary]
    """A model server that takes a share of the requests."""
    overflow: NotRequired[GatewayOverflow]
    """Where requests go that the endpoint cannot take; never for a restricted workload."""
    picker: NotRequired[ModelPicker]
    """The endpoint's picker, where it has an InferencePool; with a router only."""


def destinations_of(route: GatewayRoute) -> "list[GatewayRoute | GatewayOther | GatewayCanary]":
    """The model servers of a route except its overflow: the first, `also`, the canary."""
    canary = [route["canary"]] if "canary" in route else []
    return [route, *route.get("also", []), *canary]


def route_config(route: GatewayRoute, sensitivity: str, namespace: str, cloud: set[str]) -> dict[str, Any]:
    """One route of the edge's configuration: a translator knows a model by its endpoint's id."""
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
    """Another model server of a route, as the edge's configuration has it."""
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
    """A route's overflow, as the edge's configuration has it: a model of the class's own translator."""
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
