"""From the platform's contract to the arguments of the components at an AWS site. Nothing is decided twice."""

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
from components.base.platform_lookups import exception, model_name, region_of, regions_of
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
        raise InputError(f"site '{name}' names no region", where=f"sites.{name}.region")
    return region


def tags(platform: Platform, **more: str) -> dict[str, str]:
    return {**platform.tags, **{f"isthmus.dev/{key.replace('_', '-')}": value for key, value in more.items()}}


def bounded(site: Site) -> dict[str, str]:
    """The organisation's boundary of every role at a site, where it has one."""
    return {"permissions_boundary": site.permissions_boundary} if site.permissions_boundary else {}


def sealed(site: Site) -> dict[str, str]:
    """The organisation's key of records at a site, where it has one."""
    return {"kms_key": site.kms_key} if site.kms_key else {}


def network_args(platform: Platform, network: Network) -> NetworkArgs:
    given = network.model_dump(include={"name", "mode", "zones", "subnets", "route_tables", "internet"})
    made: dict[str, Any] = {
        **given,
        "region": region_at(platform, network.site),
        "flow_log_days": network.flow_log_days,
        "dns_mode": network.dns_mode,
        "tags": tags(platform),
        **bounded(site_of(platform, network.site)),
        **sealed(site_of(platform, network.site)),
    }
    if network.dns_mode == "manage":
        made["dns_names"] = needed_names(platform, network)
        made["query_log_days"] = network.dns_firewall.query_log_days or network.flow_log_days
    for key in ("cidr", "vpc"):
        if getattr(network, key):
            made[key] = getattr(network, key)
    return made  # type: ignore[return-value]


def trust_args(platform: Platform, trust: Trust) -> TrustAnchorArgs:
    given = trust.model_dump(
        include={"name", "mode", "ca_certificates", "acm_pca", "trust_anchor"}, exclude_none=True
    )
    made: dict[str, Any] = {**given, "region": region_at(platform, trust.site), "tags": tags(platform)}
    return made  # type: ignore[return-value]


def gateways_of(platform: Platform, identity: Identity) -> list[Gateway]:
    return [gateway for gateway in platform.gateways if gateway.identity == identity.name]


def served_by(
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
    """`proof`: by what its bearer proves who it is, `trust_anchor` or `pod`. `hosted`: ARNs of the endpoints on
    SageMaker that it may call."""
    trust = next((each for each in platform.trust if each.name == identity.trust), None)
    made: dict[str, Any] = {
        **bounds(platform, identity, vpc, account, hosted),
        **proof,
        "subject": subject(identity),
        "session_seconds": trust.session_seconds if trust is not None else 3600,
    }
    return made  # type: ignore[return-value]


def bounds(
    platform: Platform, identity: Identity, vpc: Any, account: pulumi.Input[str], hosted: list[Any]
) -> dict[str, Any]:
    """What bounds an identity's role, whoever assumes it. `hosted`: ARNs of the endpoints on SageMaker that it may
    call."""
    made: dict[str, Any] = {
        "name": identity.name,
        "sensitivity": identity.class_,
        "actions": _actions(platform, identity),
        "resources": [*_reach(platform, identity, account), *hosted],
        "bedrock_regions": sorted(
            {
                each
                for endpoint, _ in served_by(platform, identity, "bedrock")
                for each in (region_of(platform, endpoint), *regions_of(platform, endpoint))
            }
            | set(_guardrail_regions(platform, identity)[1])
        ),
        "tags": tags(platform),
        **exception(platform, [workload for _, workload in served_by(platform, identity)]),
    }
    if vpc is not None:
        made["source_vpc"] = vpc
        if identity.network_condition == "own-region":
            made |= _routed(platform, identity, account)
    made |= bounded(site_of(platform, identity.site))
    if identity.permissions_boundary:
        made["permissions_boundary"] = identity.permissions_boundary
    return made


def _actions(platform: Platform, identity: Identity) -> list[str]:
    """What sessions may do, by what the identity calls."""
    on_bedrock = INVOKE + (["bedrock:ApplyGuardrail"] if identity.guardrail else [])
    return [
        *(on_bedrock if served_by(platform, identity, "bedrock") else []),
        *(CALLS if served_by(platform, identity, "sagemaker") else []),
    ]


def _reach(platform: Platform, identity: Identity, account: pulumi.Input[str]) -> list[Any]:
    """The widest that sessions may be: models of the class in the regions they may be served in.

    The profiles and the guardrail of the account are patterns, since they are made later; the role's own
    policy names each.
    """
    served = served_by(platform, identity, "bedrock")
    if not served:
        return []
    region = region_at(platform, identity.site)
    of = partition(region)
    wide: list[Any] = [
        pulumi.Output.format("arn:{}:bedrock:{}:{}:{}/*", of, region, account, kind)
        for kind in ("application-inference-profile", "provisioned-model", "guardrail")
    ]
    exact: set[str] = set()
    for endpoint, _ in served:
        for each in regions_of(platform, endpoint):
            exact.add(f"arn:{partition(each)}:bedrock:{each}::foundation-model/{endpoint.model}")
    profiles = sorted({e.inference_profile for e, _ in served if e.inference_profile})
    wide += [
        pulumi.Output.format("arn:{}:bedrock:{}:{}:inference-profile/{}", of, region, account, profile)
        for profile in profiles
    ]
    wide += _guardrail_profile(platform, identity, account)
    return [*wide, *sorted(exact)]


def _guardrail_profile(platform: Platform, identity: Identity, account: pulumi.Input[str]) -> list[Any]:
    """The profile by which the identity's guardrail looks at content, in whichever region. A session's policy is
    short; the regions are the boundary's to bound."""
    named, regions = _guardrail_regions(platform, identity)
    if not regions:
        return []
    return [
        pulumi.Output.format(f"arn:{partition(regions[0])}:bedrock:*:{{}}:guardrail-profile/{named}", account)
    ]


def _routed(platform: Platform, identity: Identity, account: pulumi.Input[str]) -> dict[str, Any]:
    """What Bedrock asks for in other regions when it serves a call there, and those regions."""
    served = served_by(platform, identity, "bedrock")
    own = {region_of(platform, endpoint) for endpoint, _ in served}
    routed = {
        endpoint.model: set(regions_of(platform, endpoint)) - own
        for endpoint, _ in served
        if set(regions_of(platform, endpoint)) - own
    }
    regions = set().union(*routed.values(), set(_guardrail_regions(platform, identity)[1]) - own)
    if not regions:
        return {}
    of = partition(min(regions))
    models = [f"arn:{of}:bedrock:*::foundation-model/{model}" for model in sorted(routed)]
    return {
        "routed_resources": [*models, *_guardrail_profile(platform, identity, account)],
        "routed_regions": sorted(regions),
    }


def _guardrail_regions(platform: Platform, identity: Identity) -> tuple[str, tuple[str, ...]]:
    """Profile of the identity's guardrail and the regions in which it looks at content; none in the Classic tier."""
    found = next((each for each in platform.guardrails if each.name == identity.guardrail), None)
    if found is None or found.mode != "manage" or tier_of(platform, found) != "standard":
        return "", ()
    return guardrail_tiers.profile(region_at(platform, found.site))


def bedrock_args(platform: Platform, identity: Identity, role: Any, vpc: Any) -> BedrockAccessArgs:
    served = served_by(platform, identity, "bedrock")
    ids = {endpoint.id for endpoint, _ in served}
    made: dict[str, Any] = {
        "name": identity.name,
        "sensitivity": identity.class_,
        "role": role,
        "models": [_model(platform, endpoint, workload) for endpoint, workload in served],
        "provisioned": [
            each.model_dump(include={"name", "endpoint", "model_units", "commitment"})
            for each in platform.provisioned
            if each.endpoint in ids
        ],
        "tags": tags(platform),
        **exception(platform, [workload for _, workload in served]),
    }
    if vpc is not None:
        made["source_vpc"] = vpc
    if identity.network_condition != "own-region":
        made["network_condition"] = identity.network_condition
    guardrail = next((each for each in platform.guardrails if each.name == identity.guardrail), None)
    if guardrail is not None:
        exclude = {"name", "site", "class_", "languages", "unfiltered_languages", "tier"}
        made["guardrail"] = guardrail.model_dump(exclude=exclude, exclude_none=True)
        if guardrail.mode == "manage" and tier_of(platform, guardrail) == "standard":
            made["guardrail"]["tier"] = "standard"
    return made  # type: ignore[return-value]


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


def link_args(platform: Platform, link: Link, network: Network, made: Any) -> SiteLinkArgs:
    """`made`: the Network component at the link's AWS end."""
    site = site_of(platform, link.from_)
    given = link.model_dump(
        include={
            *("name", "kind", "mode", "classes", "peer_ip", "site_asn", "amazon_asn", "transit_gateway"),
            *("direct_connect_gateway", "connection", "vlan", "resolvers", "zones"),
        },
        exclude_none=True,
    )
    args: dict[str, Any] = {
        **given,
        "region": region_at(platform, link.to),
        "vpc_id": made.vpc_id,
        "vpc_cidr": network.cidr,
        "subnet_ids": made.subnets,
        "route_table_ids": made.route_tables,
        "sources": sources(platform, link),
        "site_dns": list(site.dns),
        "tags": tags(platform),
    }
    return args  # type: ignore[return-value]


def sources(platform: Platform, link: Link) -> list[str]:
    """Networks of the on-prem site that may cross a link."""
    return list(link.sources or site_of(platform, link.from_).cidrs)


def logging_args(platform: Platform, logging: InvocationLogging) -> InvocationLoggingArgs:
    made: dict[str, Any] = {
        **logging.model_dump(include={"name", "mode", "text", "retention_days"}),
        "region": region_at(platform, logging.site),
        "tags": tags(platform),
        **bounded(site_of(platform, logging.site)),
        **sealed(site_of(platform, logging.site)),
    }
    return made  # type: ignore[return-value]


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


def hosted_model(name: str, endpoint: Endpoint, region: str, side: CloudSide) -> dict[str, Any]:
    """A model on SageMaker as a translator offers it."""
    made: dict[str, Any] = {
        "name": name,
        "provider": "sagemaker",
        "region": region,
        "endpoint": side.hosted[endpoint.id],
        "model": endpoint.model,
    }
    return {**made, "endpoint_url": side.hosted_url} if side.hosted_url is not None else made


def cloud_models(platform: Platform, identity: Identity, side: CloudSide) -> list[CloudModel]:
    """What an identity's translator calls: its models by workload, the guardrail on each."""
    models: list[dict[str, Any]] = []
    for endpoint, workload in served_by(platform, identity):
        name = model_name(endpoint.id, workload)
        if endpoint.target == "sagemaker":
            models.append(hosted_model(name, endpoint, region_of(platform, endpoint), side))
            continue
        model: dict[str, Any] = {
            "name": name,
            "region": region_of(platform, endpoint),
            "inference_profile": endpoint.inference_profile or endpoint.model,
            "model_id": side.model_ids.apply(lambda ids, name=name: ids[name]),
        }
        if side.guardrail is not None:
            model["guardrail"] = dict(side.guardrail)
        if side.runtime_url is not None:
            model["endpoint_url"] = side.runtime_url
        models.append(model)
    return models  # type: ignore[return-value]


def translator_args(platform: Platform, gateway: Gateway, side: CloudSide) -> TranslatorSettings:
    """The translator of a gateway: its models by workload, the guardrail on each, and its identity."""
    identity = next(each for each in platform.identities if each.name == gateway.identity)
    trust = next((each for each in platform.trust if each.name == identity.trust), None)
    out = gateway.model_dump(include={"proxy", "ca_bundle"}, exclude_none=True)
    made: dict[str, Any] = {
        **out,
        "image": platform.images.translator,
        "models": cloud_models(platform, identity, side),
        "replicas": gateway.replicas,
        **({"max_replicas": gateway.max_replicas} if gateway.max_replicas is not None else {}),
    }
    if trust is None:
        made["pod_identity"] = side.role
        return made  # type: ignore[return-value]
    proof: dict[str, Any] = {
        "trust_anchor_arn": side.trust_anchor,
        "profile_arn": side.profile,
        "role_arn": side.role,
        "region": region_at(platform, identity.site),
        "session_seconds": trust.session_seconds,
        "image": platform.images.credential_helper,
        "certificate_hours": trust.certificate_hours,
    }
    if side.sessions_url is not None:
        proof["endpoint_url"] = side.sessions_url
    if identity.certificate_secret:
        proof["certificate_secret"] = identity.certificate_secret
    elif trust.issuer is not None:
        proof["issuer"] = trust.issuer.model_dump()
    made["identity"] = proof
    return made  # type: ignore[return-value]
