"""Layers: which parts of a platform a stack builds, what a layer tells the one above, and by what they agree.

A stack owns all of a platform, or one layer. What a layer needs of the one below it takes from that stack's
output, `Given`. The two hold together by a digest of the part of the platform that the lower one builds, not of the
whole plan: a new release of a model leaves the digests of the layers below as they were, so nothing of them is touched.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from isthmus.contracts.vocabulary import Part
from isthmus.core.errors import EnvironmentFault

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform

Layer = Literal["all", "foundation", "platform", "serving"]
LAYERS: tuple[Layer, ...] = ("foundation", "platform", "serving")
"""From the lowest to the highest; `all` is one stack in place of them."""
BELOW: dict[Layer, tuple[Layer, ...]] = {
    "all": (),
    "foundation": (),
    "platform": ("foundation",),
    "serving": ("platform",),
}
"""The layers that a layer takes something from."""
GIVEN = "layer"
"""The stack's output by which a layer says what it is and what it gives."""
RUNS_HERE = ("onprem-vllm", "eks-vllm", "sagemaker")
"""Targets whose models a serving stack runs. A model on Bedrock runs nowhere of ours: its roles and routes are the
platform's."""

_FOUNDATION = (
    *("name", "sites", "networks", "links", "trust", "audit", "trails", "invocation_logging"),
    *("tags", "contacts", "lifecycle", "imports"),
)
_NOT_PLATFORM = ("audit", "trails", "invocation_logging", "blueprint")
_OF_A_RELEASE = (
    *("weights", "precision", "max_model_len", "max_num_seqs", "gpu_memory_utilization", "kv_cache_dtype"),
    *("adapters", "engine_version", "engine_args", "load_timeout_s", "certificate_secret"),
    *("speculative", "drain_s", "tool_call_parser", "reasoning_parser", "chat_template", "compile_cache"),
)
"""Fields of an endpoint that nothing below serving is made from: what a release of a model changes. A field that is
not named here is the platform's, too, so that one forgotten costs a run that changes nothing and hides nothing."""
_OF_A_HOSTED_RELEASE = (
    *(
        "instance_type",
        "inference_ami",
        "volume_gib",
        "key",
        "weights_key",
        "autoscaling",
        "rollback",
        "rollout",
    ),
    "log_days",
)
"""The same of its part `sagemaker`: who may call it, and what it may fetch and write, is made from none of these."""
_IMAGES_OF_A_RELEASE = ("vllm", "vllm_cpu", "sagemaker")


class NetworkGiven(Part):
    """A network as the foundation has made or found it."""

    vpc_id: str
    subnets: list[str]
    route_tables: list[str]


class AnchorGiven(Part):
    """A trust anchor."""

    arn: str


class DoorGiven(Part):
    """The addresses of a model server: its Service's and, where a replica spans machines, its groups' leaders'."""

    cluster_ip: str
    leaders: list[str] = []


class RecordsGiven(Part):
    """Where the records of an account lie, as far as they are made here: ARNs, for who may read them."""

    bucket: str | None = None
    key: str | None = None
    log_group: str | None = None


class HostedGiven(Part):
    """What a model on SageMaker is called, and where it stands: roles and private endpoints name it so already."""

    endpoint: str
    """Its name in AWS."""
    role: str
    """Name of the role by which SageMaker fetches for it."""
    bucket: str
    """How the name of the bucket with its captured content begins."""
    vpc_id: str
    subnets: list[str]


class ClusterGiven(Part):
    """How the API server of a cluster in AWS is reached."""

    name: str
    """In EKS."""
    endpoint: str
    certificate_authority: str
    """Base64 of its PEM."""


class Given(Part):
    """What a layer says of itself."""

    isthmus: Literal["v1"]
    estate: str
    layer: Layer
    digest: str
    """Of the part of the platform that it was built from."""
    networks: dict[str, NetworkGiven] = {}
    anchors: dict[str, AnchorGiven] = {}
    records: dict[str, RecordsGiven] = {}
    """By site in AWS with an audit store."""
    doors: dict[str, DoorGiven] = {}
    """By endpoint."""
    hosted: dict[str, HostedGiven] = {}
    """By endpoint on SageMaker."""
    clusters: dict[str, ClusterGiven] = {}
    """By site in AWS whose cluster is made here."""


GIVES = tuple(each for each in Given.model_fields if each not in ("isthmus", "estate", "layer", "digest"))
"""The parts of that: what layers above build on, each by name."""


def digest(platform: Platform, layer: Layer) -> str:
    """Digest of what a layer is built from: another one means that its stack must be run before those above it."""
    given = platform.model_dump(mode="json", by_alias=True, exclude_none=True)
    if layer == "foundation":
        given = {key: given[key] for key in _FOUNDATION if key in given}
    elif layer == "platform":
        given = {key: value for key, value in given.items() if key not in _NOT_PLATFORM}
        given["endpoints"] = [_below_serving(each) for each in given["endpoints"]]
        given["images"] = _without(given["images"], _IMAGES_OF_A_RELEASE)
    text = json.dumps([layer, given], sort_keys=True, ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def reached(platform: Platform, layer: Layer, serves: frozenset[str] | None = None) -> Platform:
    """The platform with the sites alone that a layer has something at: no other credentials are needed.

    `serves`: of a serving stack, the endpoints that it runs; None: every one. Not to be validated or built from.
    """
    kinds = {"foundation": ("aws",), "serving": ()}.get(layer, ("aws", "on-prem"))
    mine = [each for each in platform.endpoints if serves is None or each.id in serves]
    hosting: set[str] = set()
    if layer == "serving":
        hosting = {each.site for each in mine if each.target in ("sagemaker", "eks-vllm")}
        # Every cluster, where it has models in one: the plan before may have had them in another.
        kinds = ("on-prem",) if any(each.target == "onprem-vllm" for each in mine) else ()
    sites = [site for site in platform.sites if site.kind in kinds or site.name in hosting]
    more: dict[str, Any] = {}
    if layer == "foundation":
        more = {"endpoints": []}
    elif layer in ("platform", "serving"):
        more = {"networks": []}
    return platform.model_copy(update={"sites": sites, **more})


def taken(said: Any, platform: Platform, estate: str, layer: Layer, stack: str) -> Given:
    """What the stack of a lower layer gives, from its output; `EnvironmentFault` where it fits another platform."""
    fix = f"Run `isthmus up {stack}` first, or `isthmus up {estate}` for the whole estate"
    where = f"stack {stack}"
    if not said:
        raise EnvironmentFault(f"the layer {layer} of estate {estate} is not up", where=where, fix=fix)
    try:
        given = Given.model_validate(said)
    except ValidationError:
        raise EnvironmentFault(
            f"what the stack says of its layer is of another version of Isthmus, or of no layer {layer}",
            where=where,
            fix=fix,
        ) from None
    if (given.estate, given.layer) != (estate, layer):
        raise EnvironmentFault(
            f"the stack was built as layer {given.layer} of estate {given.estate}, not as {layer} of {estate}",
            where=where,
            fix="Correct `isthmus:of` and `isthmus:layer`, or destroy it and build it as what it is to be",
        )
    if given.digest != digest(platform, layer):
        raise EnvironmentFault(
            f"the layer {layer} of estate {estate} stands as another plan or other overrides say",
            where=where,
            fix=fix,
        )
    lacks = _lacking(given, platform)
    if lacks:
        raise EnvironmentFault(
            f"the stack was built by another version of Isthmus: it does not give {lacks}",
            where=where,
            fix=fix,
        )
    return given


def _lacking(given: Given, platform: Platform) -> str:
    """What a layer of this version would give and this one does not; empty where it is whole."""
    aws = {site.name for site in platform.sites if site.kind == "aws"}
    if given.layer == "foundation":
        wanted = {each.site for each in platform.audit if each.site in aws} - set(given.records)
        return f"the records of {', '.join(sorted(wanted))}" if wanted else ""
    hosted = {each.id for each in platform.endpoints if each.target == "sagemaker"} - set(given.hosted)
    if hosted:
        return f"the names of {', '.join(sorted(hosted))} on SageMaker"
    clusters = {each.site for each in platform.clusters if each.mode == "manage"} - set(given.clusters)
    return f"the address of the cluster at {', '.join(sorted(clusters))}" if clusters else ""


def _below_serving(endpoint: dict[str, Any]) -> dict[str, Any]:
    """Of an endpoint, what the layers below serving are made from."""
    made = _without(endpoint, _OF_A_RELEASE)
    weights = endpoint.get("weights") or {}
    uri = str(weights.get("uri"))
    if endpoint["target"] == "sagemaker":
        # Whether its role may fetch them is said by the private endpoint.
        hosted = _without(endpoint.get("sagemaker") or {}, _OF_A_HOSTED_RELEASE)
        shadow, capture = hosted.pop("shadow", None), hosted.pop("capture", None)
        made.pop("replicas")
        return made | {
            "weights": uri,
            "sagemaker": hosted,
            "shadow": (shadow or {}).get("uri"),
            "captured": capture is not None and (capture.get("bucket") or "its own"),
        }
    if uri.startswith("s3://"):
        # The way to the store is the platform's to open, and the job's share of the quota.
        store = weights.get("store") or {}
        made["fetched"] = [store.get("endpoint"), store.get("address"), weights.get("cache")]
    # A durable platform protects a namespace that holds claims on volumes with weights.
    made["claimed"] = uri.startswith("pvc://") and bool(weights.get("volume"))
    return made


def _without(part: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key not in fields}
