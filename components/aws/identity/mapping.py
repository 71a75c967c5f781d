"""Builds the arguments of the components at an AWS site from the platform's contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

from components.aws.bedrock.access import BedrockAccessArgs, BedrockModel
from components.aws.bedrock.invocation_logging import InvocationLoggingArgs
from components.aws.common.names import partition
from components.aws.identity.trust_anchor import TrustAnchorArgs
from components.aws.identity.workload_identity import WorkloadIdentityArgs
from components.aws.link.site_link import SiteLinkArgs
from components.aws.network.network import NetworkArgs
from components.aws.sagemaker.access import CALLS
from components.base.platform_lookups import exception_arguments, model_name, region_of, regions_of
from components.cluster.objects import class_namespace, dns_name
from components.gateway.dns_mapping import needed_names
from components.gateway.translator.translator import CloudModel, TranslatorSettings
from isthmus.contracts.platform.model.aws.account import InvocationLogging, Link, Network, Trust
from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Identity, Platform, Site
from isthmus.contracts.platform.rules.aws.account import tier_of
from isthmus.contracts.reference import guardrail_tiers
from isthmus.contracts.vocabulary import Target
from isthmus.core.errors import InputError

INVOKE = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]


def site_of(platform: Platform, name: str) -> Site:
    return next(site for site in platform.sites if site.name == name)


def region_at(platform: Platform, name: str) -> str:
    region = site_of(platform, name).region
    if not region:
        raise InputError(f"site '{name}' has no AWS region", where=f"sites.{name}.region")
    return region


def tags(platform: Platform, **extra: str) -> dict[str, str]:
    return {
        **platform.tags,
        **{f"isthmus.dev/{key.replace('_', '-')}": value for key, value in extra.items()},
    }


def boundary_argument(site: Site) -> dict[str, str]:
    """The organisation's boundary of every role at a site, where it has one."""
    return {"permissions_boundary": site.permissions_boundary} if site.permissions_boundary else {}


def key_argument(site: Site) -> dict[str, str]:
    """The organisation's key of records at a site, where it has one."""
    return {"kms_key": site.kms_key} if site.kms_key else {}


def network_args(platform: Platform, network: Network) -> NetworkArgs:
    fields = network.model_dump(include={"name", "mode", "zones", "subnets", "route_tables", "internet"})
    arguments: dict[str, Any] = {
        **fields,
        "region": region_at(platform, network.site),
        "flow_log_days": network.flow_log_days,
        "dns_mode": network.dns_mode,
        "tags": tags(platform),
        **boundary_argument(site_of(platform, network.site)),
        **key_argument(site_of(platform, network.site)),
    }
    if network.dns_mode == "manage":
        arguments["dns_names"] = needed_names(platform, network)
        arguments["query_log_days"] = network.dns_firewall.query_log_days or network.flow_log_days
    for key in ("cidr", "vpc"):
        if getattr(network, key):
            arguments[key] = getattr(network, key)
    return arguments  # type: ignore[return-value]


def trust_args(platform: Platform, trust: Trust) -> TrustAnchorArgs:
    fields = trust.model_dump(
        include={"name", "mode", "ca_certificates", "acm_pca", "trust_anchor"}, exclude_none=True
    )
    arguments: dict[str, Any] = {**fields, "region": region_at(platform, trust.site), "tags": tags(platform)}
    return arguments  # type: ignore[return-value]


def gateways_of(platform: Platform, identity: Identity) -> list[Gateway]:
    return [gateway for gateway in platform.gateways if gateway.identity == identity.name]


def calls_of(
    platform: Platform, identity: Identity, target: Target | None = None
) -> list[tuple[Endpoint, str]]:
    """Each endpoint (of a target) that the identity calls, and the workload on whose account."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    return [
        (endpoints[name], workload.name)
        for gateway in gateways_of(platform, identity)
        for workload in gateway.workloads
        for name in workload.reaches
        if name in identity.endpoints and target in (None, endpoints[name].target)
    ]


def identity_args(
    platform: Platform,
    identity: Identity,
    proof: dict[str, Any],
    vpc: Any,
    account: pulumi.Input[str],
    hosted: list[Any],
) -> WorkloadIdentityArgs:
    """`proof`: `trust_anchor` or `pod`, by which the bearer authenticates. `hosted`: ARNs of the endpoints on
    SageMaker that it may call."""
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
    arguments |= boundary_argument(site_of(platform, identity.site))
    if identity.permissions_boundary:
        arguments["permissions_boundary"] = identity.permissions_boundary
    return arguments


def _actions(platform: Platform, identity: Identity) -> list[str]:
    """What sessions may do, by what the identity calls."""
    on_bedrock = INVOKE + (["bedrock:ApplyGuardrail"] if identity.guardrail else [])
    return [
        *(on_bedrock if calls_of(platform, identity, "bedrock") else []),
        *(CALLS if calls_of(platform, identity, "sagemaker") else []),
    ]


def _reachable_resources(platform: Platform, identity: Identity, account: pulumi.Input[str]) -> list[Any]:
    """The widest that sessions may be: models of the class in the regions they may be served in.

    The profiles and the guardrail of the account are patterns, since they are made later; the role's own
    policy names each.
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
    """The profile by which the identity's guardrail looks at content, in whichever region. A session's policy is
    short; the regions are the boundary's to bound."""
    profile, regions = _guardrail_regions(platform, identity)
    if not regions:
        return []
    return [
        pulumi.Output.format(
            f"arn:{partition(regions[0])}:bedrock:*:{{}}:guardrail-profile/{profile}", account
        )
    ]


def _routed_arguments(platform: Platform, identity: Identity, account: pulumi.Input[str]) -> dict[str, Any]:
    """What Bedrock asks for in other regions when it serves a call there, and those regions."""
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
    """Profile of the identity's guardrail and the regions in which it looks at content; none in the Classic tier."""
    guardrail = next(
        (candidate for candidate in platform.guardrails if candidate.name == identity.guardrail), None
    )
    if guardrail is None or guardrail.mode != "manage" or tier_of(platform, guardrail) != "standard":
        return "", ()
    return guardrail_tiers.guardrail_profile(region_at(platform, guardrail.site))


def bedrock_args(platform: Platform, identity: Identity, role: Any, vpc: Any) -> BedrockAccessArgs:
    calls = calls_of(platform, identity, "bedrock")
    ids = {endpoint.id for endpoint, _ in calls}
    arguments: dict[str, Any] = {
        "name": identity.name,
        "sensitivity": identity.class_,
        "role": role,
        "models": [_model(platform, endpoint, workload) for endpoint, workload in calls],
        "provisioned": [
            provision.model_dump(include={"name", "endpoint", "model_units", "commitment"})
            for provision in platform.provisioned
            if provision.endpoint in ids
        ],
        "tags": tags(platform),
        **exception_arguments(platform, [workload for _, workload in calls]),
    }
    if vpc is not None:
        arguments["source_vpc"] = vpc
    if identity.network_condition != "own-region":
        arguments["network_condition"] = identity.network_condition
    guardrail = next(
        (candidate for candidate in platform.guardrails if candidate.name == identity.guardrail), None
    )
    if guardrail is not None:
        exclude = {"name", "site", "class_", "languages", "unfiltered_languages", "tier"}
        arguments["guardrail"] = guardrail.model_dump(exclude=exclude, exclude_none=True)
        if guardrail.mode == "manage" and tier_of(platform, guardrail) == "standard":
            arguments["guardrail"]["tier"] = "standard"
    return arguments  # type: ignore[return-value]


def _model(platform: Platform, endpoint: Endpoint, workload: str) -> BedrockModel:
    model: dict[str, Any] = {
        "id": endpoint.id,
        "workload": workload,
        "model": endpoint.model,
        "region": region_of(platform, endpoint),
    }
    if endpoint.inference_profile:
        model["inference_profile"] = endpoint.inference_profile
        model["destination_regions"] = regions_of(platform, endpoint)
    return model  # type: ignore[return-value]


def subject(identity: Identity) -> str:
    """The name in the certificate by which an identity's translators prove who they are."""
    return dns_name(f"{identity.class_}-translator", class_namespace(identity.class_))


def link_args(platform: Platform, link: Link, network: Network, network_component: Any) -> SiteLinkArgs:
    """`network_component`: the Network component at the link's AWS end."""
    site = site_of(platform, link.from_)
    fields = link.model_dump(
        include={
            *("name", "kind", "mode", "classes", "peer_ip", "site_asn", "amazon_asn", "transit_gateway"),
            *("direct_connect_gateway", "connection", "vlan", "resolvers", "zones"),
        },
        exclude_none=True,
    )
    args: dict[str, Any] = {
        **fields,
        "region": region_at(platform, link.to),
        "vpc_id": network_component.vpc_id,
        "vpc_cidr": network.cidr,
        "subnet_ids": network_component.subnets,
        "route_table_ids": network_component.route_tables,
        "sources": sources(platform, link),
        "site_dns": list(site.dns),
        "tags": tags(platform),
    }
    return args  # type: ignore[return-value]


def sources(platform: Platform, link: Link) -> list[str]:
    """Networks of the on-prem site that may cross a link."""
    return list(link.sources or site_of(platform, link.from_).cidrs)


def logging_args(platform: Platform, logging: InvocationLogging) -> InvocationLoggingArgs:
    arguments: dict[str, Any] = {
        **logging.model_dump(include={"name", "mode", "text", "retention_days"}),
        "region": region_at(platform, logging.site),
        "tags": tags(platform),
        **boundary_argument(site_of(platform, logging.site)),
        **key_argument(site_of(platform, logging.site)),
    }
    return arguments  # type: ignore[return-value]


@dataclass(frozen=True)
class CloudSide:
    """What a translator on-prem is told of its AWS side."""

    trust_anchor: Any
    profile: Any
    role: Any
    model_ids: Any
    """Output of a map: `model_name` to the ARN that is called."""
    guardrail: dict[str, Any] | None
    """`id` and `version`, outputs both."""
    runtime_url: Any | None
    """URL of Bedrock's private endpoint; None: its public name (public work without a network)."""
    sessions_url: Any | None
    """URL of the private endpoint at which sessions are asked for."""
    hosted: Mapping[str, Any] = field(default_factory=dict)
    """Names in AWS of the endpoints on SageMaker that it calls, by id."""
    hosted_url: Any | None = None
    """URL of SageMaker's private endpoint."""


def hosted_model(name: str, endpoint: Endpoint, region: str, cloud_side: CloudSide) -> dict[str, Any]:
    """A model on SageMaker as a translator offers it."""
    model: dict[str, Any] = {
        "name": name,
        "provider": "sagemaker",
        "region": region,
        "endpoint": cloud_side.hosted[endpoint.id],
        "model": endpoint.model,
    }
    return {**model, "endpoint_url": cloud_side.hosted_url} if cloud_side.hosted_url is not None else model


def cloud_models(platform: Platform, identity: Identity, cloud_side: CloudSide) -> list[CloudModel]:
    """What an identity's translator calls: its models by workload, the guardrail on each."""
    models: list[dict[str, Any]] = []
    for endpoint, workload in calls_of(platform, identity):
        name = model_name(endpoint.id, workload)
        if endpoint.target == "sagemaker":
            models.append(hosted_model(name, endpoint, region_of(platform, endpoint), cloud_side))
            continue
        model: dict[str, Any] = {
            "name": name,
            "region": region_of(platform, endpoint),
            "inference_profile": endpoint.inference_profile or endpoint.model,
            "model_id": cloud_side.model_ids.apply(lambda ids, name=name: ids[name]),
        }
        if cloud_side.guardrail is not None:
            model["guardrail"] = dict(cloud_side.guardrail)
        if cloud_side.runtime_url is not None:
            model["endpoint_url"] = cloud_side.runtime_url
        models.append(model)
    return models  # type: ignore[return-value]


def translator_args(platform: Platform, gateway: Gateway, cloud_side: CloudSide) -> TranslatorSettings:
    """The translator of a gateway: its models by workload, the guardrail on each, and its identity."""
    identity = next(candidate for candidate in platform.identities if candidate.name == gateway.identity)
    trust = next((candidate for candidate in platform.trust if candidate.name == identity.trust), None)
    fields = gateway.model_dump(include={"proxy", "ca_bundle"}, exclude_none=True)
    arguments: dict[str, Any] = {
        **fields,
        "image": platform.images.translator,
        "models": cloud_models(platform, identity, cloud_side),
        "replicas": gateway.replicas,
        **({"max_replicas": gateway.max_replicas} if gateway.max_replicas is not None else {}),
    }
    if trust is None:
        arguments["pod_identity"] = cloud_side.role
        return arguments  # type: ignore[return-value]
    proof: dict[str, Any] = {
        "trust_anchor_arn": cloud_side.trust_anchor,
        "profile_arn": cloud_side.profile,
        "role_arn": cloud_side.role,
        "region": region_at(platform, identity.site),
        "session_seconds": trust.session_seconds,
        "image": platform.images.credential_helper,
        "certificate_hours": trust.certificate_hours,
    }
    if cloud_side.sessions_url is not None:
        proof["endpoint_url"] = cloud_side.sessions_url
    if identity.certificate_secret:
        proof["certificate_secret"] = identity.certificate_secret
    elif trust.issuer is not None:
        proof["issuer"] = trust.issuer.model_dump()
    arguments["identity"] = proof
    return arguments  # type: ignore[return-value]
