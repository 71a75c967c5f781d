"""Builds the arguments of trust anchors and workload identities at an AWS site from the platform's contract."""

from __future__ import annotations

from typing import Any

import pulumi

from components.aws.common.actions import CALLS, INVOKE
from components.aws.common.names import partition
from components.aws.identity.trust_anchor import TrustAnchorArgs
from components.aws.identity.workload_identity import WorkloadIdentityArgs
from components.base.platform_lookups import (
    boundary_argument,
    calls_of,
    exception_arguments,
    guardrail_of,
    region_at,
    region_of,
    regions_of,
    tags,
)
from components.cluster.objects import class_namespace, dns_name
from isthmus.contracts.platform.model.aws.account import Trust
from isthmus.contracts.platform.model.platform import Identity, Platform
from isthmus.contracts.platform.rules.aws.account import tier_of
from isthmus.contracts.reference import guardrail_tiers


def trust_args(platform: Platform, trust: Trust) -> TrustAnchorArgs:
    fields = trust.model_dump(
        include={"name", "mode", "ca_certificates", "acm_pca", "trust_anchor"}, exclude_none=True
    )
    arguments: dict[str, Any] = {**fields, "region": region_at(platform, trust.site), "tags": tags(platform)}
    return arguments  # type: ignore[return-value]


def identity_args(
    platform: Platform,
    identity: Identity,
    proof: dict[str, Any],
    vpc: Any,
    account: pulumi.Input[str],
    hosted: list[Any],
) -> WorkloadIdentityArgs:
    """`proof`: `trust_anchor` or `pod`, the way in which its pods authenticate. `hosted`: ARNs of the SageMaker
    endpoints that it may call.
    """
    trust = next((candidate for candidate in platform.trust if candidate.name == identity.trust), None)
    arguments: dict[str, Any] = {
        **role_bounds(platform, identity, vpc, account, hosted),
        **proof,
        "subject": subject(identity),
        "session_seconds": trust.session_seconds if trust is not None else 3600,
    }
    return arguments  # type: ignore[return-value]


def role_bounds(
    platform: Platform, identity: Identity, vpc: Any, account: pulumi.Input[str], hosted: list[Any]
) -> dict[str, Any]:
    """The limits of an identity's role. `hosted`: ARNs of the SageMaker endpoints that it may
    call."""
    arguments: dict[str, Any] = {
        "name": identity.name,
        "sensitivity": identity.class_,
        "actions": _actions(platform, identity),
        "resources": [*_reachable_resources(platform, identity, account), *hosted],
        "bedrock_regions": sorted(
            {
                region
                for endpoint, _ in calls_of(platform, identity, "bedrock")
                for region in (region_of(platform, endpoint), *regions_of(platform, endpoint))
            }
            | set(_guardrail_regions(platform, identity)[1])
        ),
        "tags": tags(platform),
        **exception_arguments(platform, [workload for _, workload in calls_of(platform, identity)]),
    }
    if vpc is not None:
        arguments["source_vpc"] = vpc
        if identity.network_condition == "own-region":
            arguments |= _routed_arguments(platform, identity, account)
    arguments |= boundary_argument(platform.site(identity.site))
    if identity.permissions_boundary:
        arguments["permissions_boundary"] = identity.permissions_boundary
    return arguments


def _actions(platform: Platform, identity: Identity) -> list[str]:
    """Actions that sessions may have, by the services that the identity calls."""
    on_bedrock = INVOKE + (["bedrock:ApplyGuardrail"] if identity.guardrail else [])
    return [
        *(on_bedrock if calls_of(platform, identity, "bedrock") else []),
        *(CALLS if calls_of(platform, identity, "sagemaker") else []),
    ]


def _reachable_resources(platform: Platform, identity: Identity, account: pulumi.Input[str]) -> list[Any]:
    """The widest resources of sessions: models of the class in the regions in which they may be served.

    Profiles and guardrail of the account are patterns, because they are created later. The role's own policy names
    each of them.
    """
    calls = calls_of(platform, identity, "bedrock")
    if not calls:
        return []
    region = region_at(platform, identity.site)
    aws_partition = partition(region)
    patterns: list[Any] = [
        pulumi.Output.format("arn:{}:bedrock:{}:{}:{}/*", aws_partition, region, account, kind)
        for kind in ("application-inference-profile", "provisioned-model", "guardrail")
    ]
    models: set[str] = set()
    for endpoint, _ in calls:
        for model_region in regions_of(platform, endpoint):
            models.add(
                f"arn:{partition(model_region)}:bedrock:{model_region}::foundation-model/{endpoint.model}"
            )
    profiles = sorted({endpoint.inference_profile for endpoint, _ in calls if endpoint.inference_profile})
    patterns += [
        pulumi.Output.format(
            "arn:{}:bedrock:{}:{}:inference-profile/{}", aws_partition, region, account, profile
        )
        for profile in profiles
    ]
    patterns += _guardrail_profile(platform, identity, account)
    return [*patterns, *sorted(models)]


def _guardrail_profile(platform: Platform, identity: Identity, account: pulumi.Input[str]) -> list[Any]:
    """Profile with which the identity's guardrail checks content, in any region. A session's policy must be short,
    so the boundary limits the regions.
    """
    profile, regions = _guardrail_regions(platform, identity)
    if not regions:
        return []
    return [
        pulumi.Output.format(
            f"arn:{partition(regions[0])}:bedrock:*:{{}}:guardrail-profile/{profile}", account
        )
    ]


def _routed_arguments(platform: Platform, identity: Identity, account: pulumi.Input[str]) -> dict[str, Any]:
    """Resources that Bedrock accesses in other regions to serve a call, and those regions."""
    calls = calls_of(platform, identity, "bedrock")
    own_regions = {region_of(platform, endpoint) for endpoint, _ in calls}
    routed_regions = {
        endpoint.model: set(regions_of(platform, endpoint)) - own_regions
        for endpoint, _ in calls
        if set(regions_of(platform, endpoint)) - own_regions
    }
    regions = set().union(
        *routed_regions.values(), set(_guardrail_regions(platform, identity)[1]) - own_regions
    )
    if not regions:
        return {}
    aws_partition = partition(min(regions))
    models = [f"arn:{aws_partition}:bedrock:*::foundation-model/{model}" for model in sorted(routed_regions)]
    return {
        "routed_resources": [*models, *_guardrail_profile(platform, identity, account)],
        "routed_regions": sorted(regions),
    }


def _guardrail_regions(platform: Platform, identity: Identity) -> tuple[str, tuple[str, ...]]:
    """Profile of the identity's guardrail, and the regions in which it checks content. Empty in the Classic tier."""
    guardrail = guardrail_of(platform, identity)
    if guardrail is None or guardrail.mode != "manage" or tier_of(platform, guardrail) != "standard":
        return "", ()
    return guardrail_tiers.guardrail_profile(region_at(platform, guardrail.site))


def subject(identity: Identity) -> str:
    """The name in the certificate with which an identity's translators authenticate."""
    return dns_name(f"{identity.class_}-translator", class_namespace(identity.class_))
