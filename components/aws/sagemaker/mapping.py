"""From the platform's contract to the arguments of endpoints on Amazon SageMaker, and of who calls them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi

from components.aws.common.names import partition
from components.aws.identity.mapping import bounded, region_at, served_by, site_of, tags
from components.aws.network.private_endpoints import EndpointGrant
from components.aws.sagemaker.access import CALLS, SageMakerAccessArgs
from components.aws.sagemaker.arguments import SageMakerEndpointArgs
from components.aws.sagemaker.endpoint import endpoint_arn, endpoint_name
from components.aws.sagemaker.role import reads, role_arn
from components.aws.sagemaker.storage import bucket_name
from isthmus.contracts.platform.layers import HostedGiven
from isthmus.contracts.platform.lookups.aws import network_for
from isthmus.contracts.platform.model.aws.account import Network
from isthmus.contracts.platform.model.platform import Endpoint, Identity, Platform, Site
from isthmus.core.errors import InputError


def logical(name: str, endpoint: Endpoint) -> str:
    """The component's name in the stack, from which the endpoint's in AWS follows."""
    return f"{name}-{endpoint.id}"


def hosted_at(platform: Platform, site: Site) -> list[Endpoint]:
    """Endpoints on SageMaker at a site."""
    return [one for one in platform.endpoints if one.site == site.name and one.target == "sagemaker"]


def endpoint_args(
    platform: Platform, endpoint: Endpoint, made: Any, told: HostedGiven | None = None
) -> SageMakerEndpointArgs:
    """`made`: the network in which the model stands. `told`: by what names, where another stack says so."""
    settings, weights = endpoint.sagemaker, endpoint.weights
    if settings is None or weights is None or platform.images.sagemaker is None:
        raise InputError(
            f"endpoint '{endpoint.id}' names no machines, weights or image of SageMaker",
            where=f"endpoints.{endpoint.id}.sagemaker",
            fix="Name them in the stack's overrides",
        )
    given = endpoint.model_dump(exclude_none=True)
    same = (
        *("id", "model", "precision", "tensor_parallel", "replicas", "max_model_len", "max_num_seqs"),
        *("gpu_memory_utilization", "kv_cache_dtype", "engine_version", "engine_args", "load_timeout_s"),
        *("model_family", "tool_call_parser", "reasoning_parser", "chat_template"),
    )
    args: dict[str, Any] = {
        **{key: given[key] for key in same if key in given},
        **settings.model_dump(exclude_none=True),
        "sensitivity": endpoint.class_,
        "region": region_at(platform, endpoint.site),
        "vpc_id": made.vpc_id,
        "subnet_ids": made.subnets,
        "image": platform.images.sagemaker,
        "weights": weights.model_dump(include={"uri", "digest", "precision"}),
        "tags": tags(platform, **_workload(platform, endpoint)),
        **bounded(site_of(platform, endpoint.site)),
    }
    if told is not None:
        args["names"] = told.model_dump(include={"endpoint", "role", "bucket"})
    return args  # type: ignore[return-value]


def _workload(platform: Platform, endpoint: Endpoint) -> dict[str, str]:
    """Whose cost its machines are: a workload's only where it is alone on them."""
    served = {
        workload.name
        for gateway in platform.gateways
        for workload in gateway.workloads
        if endpoint.id in (workload.endpoint, *workload.overflow)
    }
    return {"workload": served.pop()} if len(served) == 1 else {}


def called(name: str, platform: Platform, identity: Identity, account: pulumi.Input[str]) -> list[Any]:
    """ARNs of the endpoints on SageMaker that an identity calls, each once."""
    region = region_at(platform, identity.site)
    found = {endpoint.id: endpoint for endpoint, _ in served_by(platform, identity, "sagemaker")}
    return [endpoint_arn(logical(name, found[one]), region, account) for one in sorted(found)]


def access_args(
    platform: Platform, identity: Identity, role: Any, endpoints: list[Any], vpc: Any
) -> SageMakerAccessArgs:
    made: dict[str, Any] = {
        "name": identity.name,
        "sensitivity": identity.class_,
        "role": role,
        "endpoints": endpoints,
        "tags": tags(platform),
    }
    if vpc is not None:
        made["source_vpc"] = vpc
    return made  # type: ignore[return-value]


def grants(
    name: str,
    platform: Platform,
    network: Network,
    account: pulumi.Input[str],
    callers: Sequence[tuple[Any, list[Any]]],
) -> list[EndpointGrant]:
    """Who calls which endpoint through the network, and what SageMaker fetches and writes there.

    `callers`: each role, and the ARNs of the endpoints that it calls.
    """
    region = region_at(platform, network.site)
    calls: list[EndpointGrant] = [
        {"service": "sagemaker.runtime", "principals": [role], "actions": list(CALLS), "resources": arns}
        for role, arns in callers
        if arns
    ]
    fetches: list[EndpointGrant] = []
    for endpoint in platform.endpoints:
        if endpoint.target != "sagemaker":
            continue
        if network_for(platform, endpoint.site, endpoint.class_) is network:
            fetches += _fetches(name, endpoint, region, account)
    return [*calls, *fetches]


def _fetches(name: str, endpoint: Endpoint, region: str, account: pulumi.Input[str]) -> list[EndpointGrant]:
    settings, weights = endpoint.sagemaker, endpoint.weights
    assert settings is not None, endpoint.id
    assert weights is not None, endpoint.id
    own = logical(name, endpoint)
    uris = [weights.uri, *([settings.shadow.uri] if settings.shadow is not None else [])]
    made: list[EndpointGrant] = [
        {
            "service": "s3",
            "principals": [role_arn(own, region, account)],
            "actions": ["s3:GetObject", "s3:ListBucket"],
            "resources": reads(uris, region),
        }
    ]
    if settings.capture is not None:
        # Ours has a name of which AWS's plugin makes the end up.
        bucket = settings.capture.bucket or f"{bucket_name(own)}-*"
        captured = f"arn:{partition(region)}:s3:::{bucket}/{endpoint_name(own)}/*"
        capture: EndpointGrant = {
            "service": "s3",
            "principals": [role_arn(own, region, account)],
            "actions": ["s3:PutObject"],
            "resources": [captured],
        }
        if settings.capture.bucket is None:
            # Anybody may make a bucket whose name fits the pattern. The organisation's own may be another account's.
            capture["account"] = account
        made.append(capture)
    return made
