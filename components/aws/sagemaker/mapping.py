"""Builds the arguments of SageMaker endpoints and of their callers from the platform's contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi

from components.aws.common.actions import CALLS
from components.aws.common.names import partition
from components.aws.network.private_endpoints import EndpointGrant
from components.aws.sagemaker.access import SageMakerAccessArgs
from components.aws.sagemaker.arguments import SageMakerEndpointArgs
from components.aws.sagemaker.endpoint import endpoint_arn, endpoint_name
from components.aws.sagemaker.role import read_arns, role_arn
from components.aws.sagemaker.storage import bucket_name
from components.base.platform_lookups import boundary_argument, calls_of, region_at, tags
from isthmus.contracts.platform.layers import HostedGiven
from isthmus.contracts.platform.lookups.aws import network_for
from isthmus.contracts.platform.lookups.engine_settings import ENGINE_SETTINGS
from isthmus.contracts.platform.model.aws.account import Network
from isthmus.contracts.platform.model.platform import Endpoint, Identity, Platform, Site
from isthmus.core.errors import InputError


def logical(name: str, endpoint: Endpoint) -> str:
    """The component's name in the stack, from which the endpoint's name in AWS is derived."""
    return f"{name}-{endpoint.id}"


def hosted_at(platform: Platform, site: Site) -> list[Endpoint]:
    """Endpoints on SageMaker at a site."""
    return [
        endpoint
        for endpoint in platform.endpoints
        if endpoint.site == site.name and endpoint.target == "sagemaker"
    ]


def endpoint_args(
    platform: Platform, endpoint: Endpoint, network_component: Any, names: HostedGiven | None = None
) -> SageMakerEndpointArgs:
    """`network_component`: the network of the model. `names`: its names, if another stack sets them."""
    settings, weights = endpoint.sagemaker, endpoint.weights
    if settings is None or weights is None or platform.images.sagemaker is None:
        raise InputError(
            f"endpoint '{endpoint.id}' has no SageMaker settings, weights or image",
            where=f"endpoints.{endpoint.id}.sagemaker",
            fix="Set them in the stack's overrides",
        )
    fields = endpoint.model_dump(exclude_none=True)
    copied_keys = (*ENGINE_SETTINGS, "id", "model", "replicas", "load_timeout_s", "chat_template")
    args: dict[str, Any] = {
        **{key: fields[key] for key in copied_keys if key in fields},
        **settings.model_dump(exclude_none=True),
        "sensitivity": endpoint.class_,
        "region": region_at(platform, endpoint.site),
        "vpc_id": network_component.vpc_id,
        "subnet_ids": network_component.subnets,
        "image": platform.images.sagemaker,
        "weights": weights.model_dump(include={"uri", "digest", "precision"}),
        "tags": tags(platform, **_workload(platform, endpoint)),
        **boundary_argument(platform.site(endpoint.site)),
    }
    if names is not None:
        args["names"] = names.model_dump(include={"endpoint", "role", "bucket"})
    return args  # type: ignore[return-value]


def _workload(platform: Platform, endpoint: Endpoint) -> dict[str, str]:
    """The workload to which the instances' cost is accounted: set only if it is the endpoint's only one."""
    workloads = {
        workload.name
        for gateway in platform.gateways
        for workload in gateway.workloads
        if endpoint.id in workload.endpoint_and_substitutes
    }
    return {"workload": workloads.pop()} if len(workloads) == 1 else {}


def called_arns(name: str, platform: Platform, identity: Identity, account: pulumi.Input[str]) -> list[Any]:
    """ARNs of the SageMaker endpoints that an identity calls, without duplicates."""
    region = region_at(platform, identity.site)
    endpoints = {endpoint.id: endpoint for endpoint, _ in calls_of(platform, identity, "sagemaker")}
    return [endpoint_arn(logical(name, endpoints[id_]), region, account) for id_ in sorted(endpoints)]


def access_args(
    platform: Platform, identity: Identity, role: Any, endpoints: list[Any], vpc: Any
) -> SageMakerAccessArgs:
    arguments: dict[str, Any] = {
        "name": identity.name,
        "sensitivity": identity.class_,
        "role": role,
        "endpoints": endpoints,
        "tags": tags(platform),
    }
    if vpc is not None:
        arguments["source_vpc"] = vpc
    return arguments  # type: ignore[return-value]


def grants(
    name: str,
    platform: Platform,
    network: Network,
    account: pulumi.Input[str],
    callers: Sequence[tuple[Any, list[Any]]],
) -> list[EndpointGrant]:
    """Permissions at the network's private endpoints: calls of each role, and SageMaker's own reads and writes.

    `callers`: roles with the ARNs of the endpoints that they call.
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
            fetches += _fetch_grants(name, endpoint, region, account)
    return [*calls, *fetches]


def _fetch_grants(
    name: str, endpoint: Endpoint, region: str, account: pulumi.Input[str]
) -> list[EndpointGrant]:
    settings, weights = endpoint.sagemaker, endpoint.weights
    assert settings is not None, endpoint.id
    assert weights is not None, endpoint.id
    component_name = logical(name, endpoint)
    uris = [weights.uri, *([settings.shadow.uri] if settings.shadow is not None else [])]
    endpoint_grants: list[EndpointGrant] = [
        {
            "service": "s3",
            "principals": [role_arn(component_name, region, account)],
            "actions": ["s3:GetObject", "s3:ListBucket"],
            "resources": read_arns(uris, region),
        }
    ]
    if settings.capture is not None:
        # Pulumi's AWS provider generates the end of the bucket's name.
        bucket = settings.capture.bucket or f"{bucket_name(component_name)}-*"
        captured = f"arn:{partition(region)}:s3:::{bucket}/{endpoint_name(component_name)}/*"
        capture: EndpointGrant = {
            "service": "s3",
            "principals": [role_arn(component_name, region, account)],
            "actions": ["s3:PutObject"],
            "resources": [captured],
        }
        if settings.capture.bucket is None:
            # Others may create a bucket with a matching name, so the account is required. The organisation's bucket
            # may be in another account.
            capture["account"] = account
        endpoint_grants.append(capture)
    return endpoint_grants
