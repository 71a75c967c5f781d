"""Builds the routes of a gateway as the edge's configuration has them."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.objects import SERVING_PORT, dns_name, replicas_name
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
    cached: NotRequired[float]
    """Price of prompt tokens that the provider's cache had. Absent: that of prompt tokens."""


class GatewayPlace(TypedDict):
    """Platform and price of a place, for records and cost accounting."""

    target: str
    """Platform: onprem-vllm, eks-vllm, sagemaker or bedrock."""
    site: NotRequired[str]
    """Site of the place. Requests to another site than the gateway's count as leaving the site."""
    model_digest: NotRequired[str]
    """Digest of the weights' manifest, `sha256:` and 64 hex digits."""
    by_replica: NotRequired[bool]
    """Whether the headless Service `ENDPOINT-replicas` lists its replicas, among which the gateway chooses."""
    replicas: NotRequired[int]
    """With `by_replica`: replicas that `gpus` counts. Absent: those that are listed."""
    concurrency: NotRequired[int]
    """Requests at once that its replicas serve within their goals, for each copy of the gateway. Absent: no limit."""
    gpus: NotRequired[float]
    """GPUs of all replicas behind its address. Absent: no GPU time is accounted."""
    usd_per_gpu_hour: NotRequired[float]
    """USD for an hour of one of these GPUs."""
    usd_per_million_tokens: NotRequired[TokenPrice]
    """Instead of `usd_per_gpu_hour`, for providers that charge by the token."""
    probed: NotRequired[bool]
    """With `model_probes`: whether the model there is asked. Absent: unless it is billed by the token."""


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


class GatewayFreeze(TypedDict):
    """A time in which no release of a gateway moves on."""

    begin: str
    """Its first moment: ISO 8601 with a time zone."""
    end: str
    """The first moment after it."""


class GatewayJudge(TypedDict):
    """A model of the same gateway that scores a sample of a release's answers by a rubric."""

    workload: str
    """Its workload: a chat of the same gateway, with another model than it judges."""
    rubric: str
    """What a right answer has."""
    percent: float
    """Share of the candidate's answers that are judged, in percent."""
    per_day: int
    """Answers of all versions together that are judged on a day (UTC)."""


class GatewayCanary(TypedDict):
    """A canary: another model server that serves a share of a workload's requests."""

    endpoint: str
    """Id of its endpoint, of the same class and in its namespace."""
    model: str
    """Name of the model in requests to it."""
    percent: float
    """Its share of the people and conversations, in percent."""
    release: NotRequired[str]
    """Name of this attempt. A stopped canary comes back under another name only. Absent: its server and model."""
    steps: NotRequired[list[float]]
    """Shares in percent, ascending, to which people may move the release; `percent` is then 0. Not with a router."""
    shadow_percent: NotRequired[float]
    """Share of people and conversations of which copies of answered requests go to it, in percent. Needs `release`."""
    two_people: NotRequired[bool]
    """Whether a second person must approve each move but an abort. Needed where answers have high impact."""
    judge: NotRequired[GatewayJudge]
    """Who judges answers of both versions. Needs `release`. Absent: nobody. Not with a router."""
    cluster_ip: NotRequired[pulumi.Input[str]]
    """ClusterIP of its Service, if the route has one."""
    picker: NotRequired[ModelPicker]
    """Its endpoint picker, if it has an InferencePool. Only with a router."""
    place: NotRequired[GatewayPlace]
    """Its platform and price."""


class GatewayFallback(TypedDict):
    """Another model of the class, which answers chats when the route's own cannot."""

    endpoint: str
    """Id of an endpoint of the class in its namespace, or name of a model at the translator."""
    model: NotRequired[str]
    """Name of the model in requests to it. Absent for a model at the translator."""
    cluster_ip: NotRequired[pulumi.Input[str]]
    """ClusterIP of its Service, if the route has one."""
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


class GatewaySlo(TypedDict):
    """Times that 95 % of a workload's requests keep, in milliseconds: boundaries of its histograms."""

    ttft_p95_ms: NotRequired[float]
    """Time to the first token."""
    tpot_p95_ms: NotRequired[float]
    """Time for each further token."""
    answer_p95_ms: NotRequired[float]
    """Time to the last token."""


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
    interfaces: NotRequired[list[str]]
    """How applications may ask it beside chat: completions, responses, messages, tokenize, batches, idempotency."""
    team: NotRequired[str]
    """Team of the workload, for accounting and shared limits."""
    clients: NotRequired[list[str]]
    """Its client certificates, by DNS name or SPIFFE id. If set, its keys are accepted from these clients only."""
    allowance: NotRequired[GatewayAllowance]
    """Its limits."""
    people: NotRequired[GatewayAllowance]
    """Limits of each person who calls it with an access token."""
    mode: NotRequired[str]
    """interactive (default) or batch. Requests of batch workloads wait until no interactive one does."""
    weight: NotRequired[int]
    """Its share of a place at its limit, compared with the other workloads there (default 1)."""
    slo: NotRequired[GatewaySlo]
    """Its goals."""
    impact: NotRequired[str]
    """Effect of its answers on people or money: low, material or high. Required with `reviews`."""
    review: NotRequired[GatewayReview]
    """Answers that people review, in addition to those that class and impact require."""
    webhook: NotRequired[str]
    """Webhook of the notifier that is told when an answer is decided."""
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
    fallback: NotRequired[list[GatewayFallback]]
    """Other models of the class, in order, for chats that its own model cannot serve. Not with a router."""
    picker: NotRequired[ModelPicker]
    """The endpoint's picker, if it has an InferencePool. Only with a router."""


_OF_RELEASE = ("release", "steps", "shadow_percent", "two_people", "judge")
"""Settings of a canary that the edge has too."""


def destinations_of(
    route: GatewayRoute,
) -> "list[GatewayRoute | GatewayOther | GatewayCanary | GatewayFallback]":
    """The endpoints of a route except its overflow: the first, `also`, the canary, fallbacks."""
    canary = [route["canary"]] if "canary" in route else []
    return [route, *route.get("also", []), *canary, *route.get("fallback", [])]


def route_config(route: GatewayRoute, sensitivity: str, namespace: str, cloud: set[str]) -> dict[str, Any]:
    """One route of the edge's configuration. The translator's name of a model is the endpoint's id."""
    through_translator = route["endpoint"] in cloud
    service = f"{sensitivity}-translator" if through_translator else route["endpoint"]
    config: dict[str, Any] = {
        "workload": route["workload"],
        **_address(service, route.get("place"), namespace),
        "model": route["endpoint"] if through_translator else route["model"],
    }
    unsupported = [key for key in ("task", "cache_salt", "also", "canary", "overflow") if key in route]
    if through_translator and unsupported:
        raise InputError(
            f"a model behind the translator cannot have {' or '.join(unsupported)}",
            where=f"routes.{route['workload']}.{unsupported[0]}",
            fix="Remove it: only routes to a model server have it",
        )
    config |= {key: value for key, value in route.items() if key in ("task", "cache_salt", "interfaces")}
    config |= route.get("place", {})
    if "also" in route:
        config["also"] = [_other_server("also", other, route, namespace, cloud) for other in route["also"]]
    if "canary" in route:
        canary = route["canary"]
        config["canary"] = {
            **_other_server("canary", canary, route, namespace, cloud),
            "percent": canary["percent"],
            **{key: value for key, value in canary.items() if key in _OF_RELEASE},
        }
    if "fallback" in route:
        config["fallback"] = [
            _fallback(fallback, route, sensitivity, namespace, cloud) for fallback in route["fallback"]
        ]
    return config | overflow_of(route, sensitivity, namespace, cloud)


def _fallback(
    fallback: GatewayFallback, route: GatewayRoute, sensitivity: str, namespace: str, cloud: set[str]
) -> dict[str, Any]:
    """A fallback of a route in the format of the edge's configuration."""
    endpoint = fallback["endpoint"]
    through_translator = endpoint in cloud
    if endpoint == route["endpoint"] or (through_translator and sensitivity == "restricted"):
        raise InputError(
            f"'{endpoint}' is not another model"
            if endpoint == route["endpoint"]
            else "restricted requests may not fall back to a model behind the translator",
            where=f"routes.{route['workload']}.fallback",
            fix="Remove it, or name another endpoint of the class",
        )
    service = f"{sensitivity}-translator" if through_translator else endpoint
    server_config = {
        **_address(service, fallback.get("place"), namespace),
        "model": endpoint if through_translator else fallback.get("model", endpoint),
    }
    return {**server_config, **fallback.get("place", {})}


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
    address = _address(other["endpoint"], other.get("place"), namespace)
    return {**address, "model": other["model"], **other.get("place", {})}


def _address(service: str, place: GatewayPlace | None, namespace: str) -> dict[str, str]:
    """URL and server name of a Service. With `by_replica` the URL has the name that lists its replicas, and their
    certificate has the name of the Service.
    """
    called = replicas_name(service) if place is not None and place.get("by_replica") else service
    return {
        "url": f"https://{dns_name(called, namespace)}:{SERVING_PORT}",
        "server_name": dns_name(service, namespace),
    }


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
