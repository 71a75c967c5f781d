"""From the platform's contract to the arguments of the components at an AWS site. Nothing is decided twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi

from components.aws.bedrock_access import BedrockAccessArgs, BedrockModel
from components.aws.invocation_logging import InvocationLoggingArgs
from components.aws.names import partition
from components.aws.network import NetworkArgs
from components.aws.private_endpoints import EndpointGrant
from components.aws.trust_anchor import TrustAnchorArgs
from components.aws.workload_identity import WorkloadIdentityArgs
from components.gateway.translator import TranslatorSettings
from components.governance.budgets import BudgetsArgs
from components.kube import class_namespace, dns_name
from components.link.site_link import SiteLinkArgs
from components.lookups import exception, model_name, region_of, regions_of
from isthmus.contracts.errors import InputError
from isthmus.contracts.platform import Endpoint, Gateway, Identity, Platform, Site
from isthmus.contracts.platform_aws import InvocationLogging, Link, Network, Trust

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


def network_args(platform: Platform, network: Network) -> NetworkArgs:
    given = network.model_dump(include={"name", "mode", "zones", "subnets", "route_tables", "internet"})
    made: dict[str, Any] = {
        **given,
        "region": region_at(platform, network.site),
        "flow_log_days": network.flow_log_days,
        "tags": tags(platform),
        **bounded(site_of(platform, network.site)),
    }
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


def served_by(platform: Platform, identity: Identity) -> list[tuple[Endpoint, str]]:
    """Each endpoint on Bedrock that the identity calls, and the workload on whose account."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    return [
        (endpoints[name], workload.name)
        for gateway in gateways_of(platform, identity)
        for workload in gateway.workloads
        for name in (workload.endpoint, *workload.overflow)
        if name in identity.endpoints
    ]


def identity_args(
    platform: Platform, identity: Identity, proof: dict[str, Any], vpc: Any, account: pulumi.Input[str]
) -> WorkloadIdentityArgs:
    """`proof`: by what its bearer proves who it is, `trust_anchor` or `pod`."""
    trust = next((each for each in platform.trust if each.name == identity.trust), None)
    made: dict[str, Any] = {
        "name": identity.name,
        "sensitivity": identity.class_,
        **proof,
        "subject": subject(identity),
        "actions": INVOKE + (["bedrock:ApplyGuardrail"] if identity.guardrail else []),
        "resources": _reach(platform, identity, account),
        "session_seconds": trust.session_seconds if trust is not None else 3600,
        "bedrock_regions": sorted(
            {
                each
                for endpoint, _ in served_by(platform, identity)
                for each in (region_of(platform, endpoint), *regions_of(platform, endpoint))
            }
        ),
        "tags": tags(platform),
        **exception(platform, [workload for _, workload in served_by(platform, identity)]),
    }
    if vpc is not None:
        made["source_vpc"] = vpc
    made |= bounded(site_of(platform, identity.site))
    if identity.permissions_boundary:
        made["permissions_boundary"] = identity.permissions_boundary
    return made  # type: ignore[return-value]


def _reach(platform: Platform, identity: Identity, account: pulumi.Input[str]) -> list[Any]:
    """The widest that sessions may be: models of the class in the regions they may be served in.

    The profiles and the guardrail of the account are patterns, since they are made later; the role's own
    policy names each.
    """
    region = region_at(platform, identity.site)
    of = partition(region)
    wide: list[Any] = [
        pulumi.Output.format("arn:{}:bedrock:{}:{}:{}/*", of, region, account, kind)
        for kind in ("application-inference-profile", "provisioned-model", "guardrail")
    ]
    exact: set[str] = set()
    for endpoint, _ in served_by(platform, identity):
        for each in regions_of(platform, endpoint):
            exact.add(f"arn:{partition(each)}:bedrock:{each}::foundation-model/{endpoint.model}")
    profiles = sorted({e.inference_profile for e, _ in served_by(platform, identity) if e.inference_profile})
    wide += [
        pulumi.Output.format("arn:{}:bedrock:{}:{}:inference-profile/{}", of, region, account, profile)
        for profile in profiles
    ]
    return [*wide, *sorted(exact)]


def bedrock_args(platform: Platform, identity: Identity, role: Any, vpc: Any) -> BedrockAccessArgs:
    served = served_by(platform, identity)
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
    guardrail = next((each for each in platform.guardrails if each.name == identity.guardrail), None)
    if guardrail is not None:
        made["guardrail"] = guardrail.model_dump(exclude={"name", "site", "class_"}, exclude_none=True)
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


@dataclass(frozen=True)
class Caller:
    """Who calls through a private endpoint."""

    role: Any
    subject: str
    """Name in its certificate; empty for one that shows none."""
    models: Any
    """ARNs of what it may invoke."""


def grants(network: Network, callers: list[Caller], anchors: list[Any]) -> list[EndpointGrant]:
    """Who may call what through the network's endpoints: each role its own models and no other's."""
    made: list[EndpointGrant] = []
    for service in network.services:
        if service == "bedrock-runtime":
            actions = [*INVOKE, "bedrock:ApplyGuardrail"]
            for caller in callers:
                made.append(
                    {
                        "service": service,
                        "principals": [caller.role],
                        "actions": actions,
                        "resources": caller.models,
                    }
                )
        elif service == "rolesanywhere" and any(caller.subject for caller in callers):
            # Asked before there is a role: the certificate's name stands for it.
            made.append(
                {
                    "service": service,
                    "principals": [caller.subject for caller in callers if caller.subject],
                    "actions": ["rolesanywhere:CreateSession"],
                    "resources": anchors,
                }
            )
        elif service == "sts":
            made.append(
                {
                    "service": service,
                    "principals": [caller.role for caller in callers],
                    "actions": ["sts:GetCallerIdentity"],
                    "resources": ["*"],
                }
            )
        else:
            raise InputError(
                f"network '{network.name}' asks for a private endpoint of {service}, which nothing here calls",
                where=f"networks.{network.name}.services",
                todo="Callers of this platform need bedrock-runtime, rolesanywhere and sts; make others with"
                " PrivateEndpoints, for callers of your own",
            )
    return made


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
    }
    return made  # type: ignore[return-value]


def budgets_args(platform: Platform, site: Site, roles: dict[str, Any]) -> BudgetsArgs | None:
    """The budgets in the account of a site; `roles`: an identity's name to its role's. None: there are none."""
    mine = [budget for budget in platform.budgets if budget.site == site.name]
    first = next((each.name for each in platform.sites if each.kind == "aws"), None)
    watched = platform.anomalies.mode == "manage" and (platform.anomalies.site or first) == site.name
    if not mine and not watched:
        return None
    settings: list[dict[str, Any]] = []
    for budget in mine:
        entry: dict[str, Any] = budget.model_dump(exclude={"site"})
        if budget.action == "deny":
            entry["role_names"] = _denied_roles(platform, budget.scope, budget.of, roles)
        settings.append(entry)
    made: dict[str, Any] = {
        "name": site.name,
        "platform": platform.name,
        "budgets": settings,
        "notify": list(platform.contacts.cost),
        "cost_tags": platform.cost_tags,
        "tags": tags(platform),
        **bounded(site),
    }
    if watched:
        made["anomaly_usd"] = platform.anomalies.threshold_usd
    return made  # type: ignore[return-value]


def _denied_roles(platform: Platform, scope: str, of: str, roles: dict[str, Any]) -> list[Any]:
    """Of each identity of the class at the site, or of each that serves this workload alone."""
    found: list[Any] = []
    for identity in platform.identities:
        if identity.name not in roles:
            continue
        served = {workload for _, workload in served_by(platform, identity)}
        if (scope == "class" and identity.class_ == of) or (scope == "workload" and served == {of}):
            found.append(roles[identity.name])
    return found


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


def translator_args(platform: Platform, gateway: Gateway, side: CloudSide) -> TranslatorSettings:
    """The translator of a gateway: its models by workload, the guardrail on each, and its identity."""
    identity = next(each for each in platform.identities if each.name == gateway.identity)
    trust = next((each for each in platform.trust if each.name == identity.trust), None)
    models: list[dict[str, Any]] = []
    for endpoint, workload in served_by(platform, identity):
        name = model_name(endpoint.id, workload)
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
    out = gateway.model_dump(include={"proxy", "ca_bundle"}, exclude_none=True)
    made: dict[str, Any] = {
        **out,
        "image": platform.images.translator,
        "models": models,
        "replicas": gateway.replicas,
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
