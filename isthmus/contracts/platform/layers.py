"""Layers of a platform: which parts a stack builds, and what a layer passes to the layers above.

A stack builds a whole platform or one layer. A layer reads what it needs from the output of the stack below (`Given`).
The output has a digest of the part of the platform that the lower layer builds. A new release of a model does not
change the digests of the layers below, so their stacks need no run.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from isthmus.contracts.vocabulary import Part
from isthmus.core.digests import sha256_of
from isthmus.core.errors import EnvironmentFault

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform

Layer = Literal["all", "foundation", "platform", "serving"]
LAYERS: tuple[Layer, ...] = ("foundation", "platform", "serving")
"""From the lowest to the highest; `all` is one stack in place of them."""
LAYERS_BELOW: dict[Layer, tuple[Layer, ...]] = {
    "all": (),
    "foundation": (),
    "platform": ("foundation",),
    "serving": ("platform",),
}
"""The layers that a layer takes something from."""
LAYER_OUTPUT = "layer"
"""The stack's output by which a layer says what it is and what it gives."""
HOSTED_TARGETS = ("onprem-vllm", "eks-vllm", "sagemaker")
"""Targets whose models a serving stack runs. A model on Bedrock runs nowhere of ours: its roles and routes are the
platform's."""

_FOUNDATION_FIELDS = (
    *("name", "sites", "networks", "links", "trust", "audit", "trails", "invocation_logging"),
    *("tags", "contacts", "lifecycle", "imports"),
)
_FIELDS_NOT_OF_PLATFORM = ("audit", "trails", "invocation_logging", "blueprint")
_RELEASE_FIELDS = (
    *("weights", "precision", "adapters", "engine_version", "engine_args", "load_timeout_s", "speculative"),
    *(
        "certificate_secret",
        "drain_s",
        "tool_call_parser",
        "reasoning_parser",
        "chat_template",
        "compile_cache",
    ),
)
"""Fields of an endpoint that only a release of a model changes, beside vLLM's flags. Nothing below serving is made from
them. A field that is not named here is the platform's, too: one that was forgotten costs a needless run, no more."""
_SAGEMAKER_RELEASE_FIELDS = (
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
_RELEASE_IMAGES = ("vllm", "vllm_cpu", "sagemaker")


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


OUTPUT_PARTS = tuple(
    name for name in Given.model_fields if name not in ("isthmus", "estate", "layer", "digest")
)
"""The parts of that: what layers above build on, each by name."""


def digest(platform: Platform, layer: Layer) -> str:
    """Digest of the part of the platform that a layer builds. If it changes, run its stack before those above it."""
    fields = platform.model_dump(mode="json", by_alias=True, exclude_none=True)
    if layer == "foundation":
        fields = {key: fields[key] for key in _FOUNDATION_FIELDS if key in fields}
    elif layer == "platform":
        fields = {key: value for key, value in fields.items() if key not in _FIELDS_NOT_OF_PLATFORM}
        fields["endpoints"] = [_below_serving(endpoint) for endpoint in fields["endpoints"]]
        fields["images"] = _without(fields["images"], _RELEASE_IMAGES)
    text = json.dumps([layer, fields], sort_keys=True, ensure_ascii=False)
    return sha256_of(text)


def with_sites_of_layer(platform: Platform, layer: Layer, serves: frozenset[str] | None = None) -> Platform:
    """The platform with only those sites where a layer has resources, so that no other credentials are needed.

    `serves`: ids of the endpoints of a serving stack; None: all. The result is not valid for building.
    """
    kinds = {"foundation": ("aws",), "serving": ()}.get(layer, ("aws", "on-prem"))
    endpoints = [endpoint for endpoint in platform.endpoints if serves is None or endpoint.id in serves]
    aws_sites: set[str] = set()
    if layer == "serving":
        aws_sites = {endpoint.site for endpoint in endpoints if endpoint.target in ("sagemaker", "eks-vllm")}
        # Every cluster, where it has models in one: the plan before may have had them in another.
        kinds = ("on-prem",) if any(endpoint.target == "onprem-vllm" for endpoint in endpoints) else ()
    sites = [site for site in platform.sites if site.kind in kinds or site.name in aws_sites]
    cleared: dict[str, Any] = {}
    if layer == "foundation":
        cleared = {"endpoints": []}
    elif layer in ("platform", "serving"):
        cleared = {"networks": []}
    return platform.model_copy(update={"sites": sites, **cleared})


def read_output(output: Any, platform: Platform, estate: str, layer: Layer, stack: str) -> Given:
    """Parse the output of the stack below.

    Raises `EnvironmentFault` if it is missing, or if the stack was built for another platform, estate or layer.
    """
    fix = f"Run `isthmus up {stack}` first, or `isthmus up {estate}` for the whole estate"
    where = f"stack {stack}"
    if not output:
        raise EnvironmentFault(
            f"layer {layer} of estate {estate} has not been deployed", where=where, fix=fix
        )
    try:
        given = Given.model_validate(output)
    except ValidationError:
        raise EnvironmentFault(
            f"the stack's output for layer {layer} is not valid; another version of Isthmus may have written it",
            where=where,
            fix=fix,
        ) from None
    if (given.estate, given.layer) != (estate, layer):
        raise EnvironmentFault(
            f"the stack was built as layer {given.layer} of estate {given.estate}, but it is used here as "
            f"layer {layer} of estate {estate}",
            where=where,
            fix="Correct `isthmus:of` and `isthmus:layer` of the stack that uses it; or, if that one is right, destroy "
            f"stack {stack} and deploy it again",
        )
    if given.digest != digest(platform, layer):
        raise EnvironmentFault(
            f"layer {layer} of estate {estate} was deployed from another plan or other overrides",
            where=where,
            fix=fix,
        )
    missing = _missing_parts(given, platform)
    if missing:
        raise EnvironmentFault(
            f"the stack was deployed by another version of Isthmus: its output lacks {missing}",
            where=where,
            fix=fix,
        )
    return given


def _missing_parts(given: Given, platform: Platform) -> str:
    """Parts that this version expects in the output and that are missing, in words; empty if it is complete."""
    aws = {site.name for site in platform.sites if site.kind == "aws"}
    if given.layer == "foundation":
        missing = {store.site for store in platform.audit if store.site in aws} - set(given.records)
        return f"where the audit records of {', '.join(sorted(missing))} are stored" if missing else ""
    hosted = {endpoint.id for endpoint in platform.endpoints if endpoint.target == "sagemaker"} - set(
        given.hosted
    )
    if hosted:
        return f"the names of {', '.join(sorted(hosted))} on SageMaker"
    clusters = {cluster.site for cluster in platform.clusters if cluster.mode == "manage"} - set(
        given.clusters
    )
    return f"the address of the cluster at {', '.join(sorted(clusters))}" if clusters else ""


def _below_serving(endpoint: dict[str, Any]) -> dict[str, Any]:
    """The fields of an endpoint that the layers below serving depend on."""
    # Imported here: it needs the platform's models, and commands that only find a stack do not.
    from isthmus.contracts.platform.lookups.engine_settings import VLLM_FLAGS

    fields = _without(endpoint, (*VLLM_FLAGS, *_RELEASE_FIELDS))
    weights = endpoint.get("weights") or {}
    uri = str(weights.get("uri"))
    if endpoint["target"] == "sagemaker":
        # Whether its role may fetch them is said by the private endpoint.
        hosted = _without(endpoint.get("sagemaker") or {}, _SAGEMAKER_RELEASE_FIELDS)
        shadow, capture = hosted.pop("shadow", None), hosted.pop("capture", None)
        fields.pop("replicas")
        return fields | {
            "weights": uri,
            "sagemaker": hosted,
            "shadow": (shadow or {}).get("uri"),
            "captured": capture is not None and (capture.get("bucket") or "its own"),
        }
    if uri.startswith("s3://"):
        # The way to the store is the platform's to open, and the job's share of the quota.
        store = weights.get("store") or {}
        fields["fetched"] = [store.get("endpoint"), store.get("address"), weights.get("cache")]
    # A durable platform protects a namespace that holds claims on volumes with weights.
    fields["claimed"] = uri.startswith("pvc://") and bool(weights.get("volume"))
    return fields


def _without(part: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key not in fields}
