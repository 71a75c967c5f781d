"""Boundary rules of the platform: where each class may run, and what it may reach."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TYPE_CHECKING

from isthmus.contracts.reference import handling, inference_profiles, jurisdictions
from isthmus.contracts.vocabulary import CALLED_TARGETS
from isthmus.core.errors import FieldError, IsthmusError, Refused

NAMED_DESTINATIONS_ONLY = ("confidential", "restricted")
"""Classes that may only reach listed addresses of the organisation (`handling`: their path)."""

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Platform, Workload


def targets_are_allowed(platform: Platform) -> None:
    """An endpoint runs on a target that its class allows."""
    for index, endpoint in enumerate(platform.endpoints):
        served = [workload.name for _, workload in _workloads_sent_to(platform, endpoint.id)]
        why = handling.refusal(endpoint.class_, endpoint.target, served, platform.exceptions)
        if why:
            fix = f"Set `target` to one that class {endpoint.class_} may use"
            raise FieldError(
                f"endpoint {endpoint.id}: {why}", *("endpoints", index, "target"), fix=fix, refused=True
            )


def classes_stay_apart(platform: Platform) -> None:
    """Gateways and identities use endpoints of their own class only."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, gateway in enumerate(platform.gateways):
        for number, workload in enumerate(gateway.workloads):
            path = ("gateways", index, "workloads", number)
            targets = [(workload.endpoint, (*path, "endpoint"))]
            for key in ("also", "overflow", "fallback"):
                targets += [(name, (*path, key, place)) for place, name in enumerate(getattr(workload, key))]
            targets += [
                (canary.endpoint, (*path, "canary", "endpoint")) for canary in [workload.canary] if canary
            ]
            for name, where in targets:
                if endpoints[name].class_ != gateway.class_:
                    raise FieldError(
                        f"the {gateway.class_} gateway sends workload {workload.name} to endpoint {name} of class "
                        f"{endpoints[name].class_}",
                        *where,
                        fix=f"Use an endpoint of class {gateway.class_}: classes never share an endpoint",
                        refused=True,
                    )
    for index, identity in enumerate(platform.identities):
        for number, name in enumerate(identity.endpoints):
            if endpoints[name].class_ != identity.class_:
                message = (
                    f"identity {identity.name} of class {identity.class_} may call endpoint {name} of another "
                    "class"
                )
                fix = f"Remove {name}, or use an endpoint of class {identity.class_}"
                raise FieldError(message, *("identities", index, "endpoints", number), fix=fix, refused=True)


def identities_only_where_allowed(platform: Platform) -> None:
    """Only classes that may use AWS have AWS identities, and only if they call a model there."""
    kinds = {site.name: site.kind for site in platform.sites}
    identities = {identity.name: identity for identity in platform.identities}
    for index, identity in enumerate(platform.identities):
        if not handling.may_use_aws(identity.class_):
            message = f"identity {identity.name} is for class {identity.class_}, which may not use AWS"
            raise FieldError(message, *("identities", index), fix="Remove the identity", refused=True)
        if kinds[identity.site] != "aws":
            raise FieldError(
                f"site {identity.site} of identity {identity.name} is not an AWS site",
                *("identities", index, "site"),
                fix="Set `site` to an AWS site",
            )
    for index, gateway in enumerate(platform.gateways):
        aws_endpoints = [name for name in _endpoints_reached_by(gateway) if _is_called_api(platform, name)]
        path = ("gateways", index, "identity")
        if gateway.identity is None:
            if aws_endpoints:
                message = (
                    f"gateway {gateway.name} calls {', '.join(aws_endpoints)} in AWS, but has no AWS identity"
                )
                raise FieldError(message, *path, fix="Set `identity` to one of `identities`")
            continue
        if not handling.may_use_aws(gateway.class_):
            message = (
                f"gateway {gateway.name} of class {gateway.class_} has an AWS identity, but the class may not use "
                "AWS"
            )
            raise FieldError(message, *path, fix="Remove `identity`", refused=True)
        identity = identities[gateway.identity]
        if identity.class_ != gateway.class_:
            message = (
                f"gateway {gateway.name} of class {gateway.class_} has an identity of class {identity.class_}"
            )
            fix = f"Set `identity` to one of class {gateway.class_}"
            raise FieldError(message, *path, fix=fix, refused=True)
        if not aws_endpoints:
            message = f"gateway {gateway.name} has an AWS identity, but calls no model in AWS"
            raise FieldError(message, *path, fix="Remove `identity`", refused=True)


def destinations_are_allowed(platform: Platform) -> None:
    """Restricted gateways reach on-prem networks only, confidential gateways networks of the sites only."""
    on_prem, anywhere = site_networks(platform, on_prem_only=True), site_networks(platform)
    kinds = {site.name: site.kind for site in platform.sites}
    for index, gateway in enumerate(platform.gateways):
        if gateway.class_ == "restricted" and kinds[gateway.site] != "on-prem":
            message = f"the restricted gateway is at {gateway.site}, which is not an on-prem site"
            fix = "Set `site` to an on-prem site"
            raise FieldError(message, *("gateways", index, "site"), fix=fix, refused=True)
        for number, destination in enumerate(gateway.destinations):
            path = ("gateways", index, "destinations", number, "cidr")
            try:
                network = ipaddress.IPv4Network(destination.cidr)
            except ValueError:
                raise FieldError(f"`{destination.cidr}` is not a network", *path) from None
            if gateway.class_ not in NAMED_DESTINATIONS_ONLY:
                continue
            allowed = on_prem if gateway.class_ == "restricted" else anywhere
            if not any(network.subnet_of(allowed_network) for allowed_network in allowed):
                listed = ", ".join(str(allowed_network) for allowed_network in allowed) or "none"
                label = "the on-prem sites'" if gateway.class_ == "restricted" else "the sites' own"
                raise FieldError(
                    f"the {gateway.class_} gateway could reach `{destination.cidr}`, which is outside {label} networks",
                    *path,
                    fix=f"Use a network within {listed}",
                    refused=True,
                )


def proxies_are_allowed(platform: Platform) -> None:
    """Own certificate authorities are for public and internal work; a proxy is for public work over AWS's public
    names."""
    anywhere = site_networks(platform)
    for index, gateway in enumerate(platform.gateways):
        key = next((key for key in ("proxy", "ca_bundle") if getattr(gateway, key) is not None), None)
        if key is None:
            continue
        path = ("gateways", index, key)
        if gateway.class_ in NAMED_DESTINATIONS_ONLY:
            message = f"the {gateway.class_} gateway may not have `{key}`: it may reach listed addresses only"
            raise FieldError(message, *path, fix=f"Remove `{key}`", refused=True)
        if gateway.identity is None:
            message = f"gateway {gateway.name} has `{key}`, but no AWS identity that would use it"
            raise FieldError(message, *path, fix=f"Remove `{key}`")
        if gateway.proxy is None:
            continue
        if gateway.class_ != "public" or any(
            gateway.class_ in entry.classes and entry.mode != "off" for entry in platform.networks
        ):
            raise FieldError(
                f"{gateway.class_} work uses private endpoints in AWS, which a proxy would bypass",
                *path,
                fix="Remove `proxy`; for public work, you can remove class public from the networks instead",
                refused=True,
            )
        host, _, port = gateway.proxy.url.removeprefix("http://").rpartition(":")
        place = ("gateways", index, "proxy", "url")
        try:
            address = ipaddress.IPv4Address(host)
        except ValueError:
            raise FieldError(f"`{host}` is not an address", *place) from None
        if not 1 <= int(port) <= 65535:
            raise FieldError(f"`{port}` is not a port", *place, fix="Ports are 1 to 65535")
        if not any(address in network for network in anywhere):
            raise FieldError(
                f"the proxy `{host}` is outside the sites' own networks",
                *place,
                fix=f"Use a proxy within {', '.join(map(str, anywhere)) or 'a network of a site (none has one)'}",
                refused=True,
            )


def databases_are_on_site_networks(platform: Platform) -> None:
    """Databases of callers are on the sites' networks; for restricted gateways on-prem."""
    on_prem, anywhere = site_networks(platform, on_prem_only=True), site_networks(platform)
    for index, gateway in enumerate(platform.gateways):
        if gateway.database is None:
            continue
        path = ("gateways", index, "database", "address")
        allowed = on_prem if gateway.class_ == "restricted" else anywhere
        try:
            address = ipaddress.IPv4Address(gateway.database.address)
        except ValueError:
            raise FieldError(f"`{gateway.database.address}` is not an address", *path) from None
        if not any(address in network for network in allowed):
            raise FieldError(
                f"the database of the {gateway.class_} gateway, {address}, is outside the allowed networks",
                *path,
                fix=f"Use an address within {', '.join(map(str, allowed)) or 'a network of a site (none has one)'}",
                refused=True,
            )


def bedrock_regions_match_the_profile(platform: Platform) -> None:
    """destination_regions of a Bedrock endpoint are exactly the regions that its inference profile routes to."""
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.target != "bedrock":
            continue
        path = ("endpoints", index, "inference_profile" if endpoint.inference_profile else "site")
        try:
            regions = inference_profiles.destinations(endpoint.inference_profile, _region(platform, endpoint))
        except IsthmusError as error:
            raise FieldError(error.what, *path, fix=error.fix, refused=isinstance(error, Refused)) from None
        if endpoint.destination_regions and set(endpoint.destination_regions) != set(regions):
            raise FieldError(
                f"destination_regions of {endpoint.id} differ from the regions of its inference profile",
                *("endpoints", index, "destination_regions"),
                fix=f"Set destination_regions to [{', '.join(regions)}]",
            )
        if (
            endpoint.inference_profile
            and inference_profiles.model_of(endpoint.inference_profile) != endpoint.model
        ):
            message = (
                f"the inference profile `{endpoint.inference_profile}` does not call model `{endpoint.model}`"
            )
            raise FieldError(message, *path, fix="Use a profile of that model, or correct `model`")


def residency_is_met(platform: Platform) -> None:
    """Gateway, endpoints and regions that get a workload's data are within its residency."""
    sites = {site.name: site for site in platform.sites}
    endpoints = {endpoint.id: (index, endpoint) for index, endpoint in enumerate(platform.endpoints)}
    for index, gateway in enumerate(platform.gateways):
        for workload in gateway.workloads:
            try:
                _check_residency(
                    workload, sites[gateway.site].jurisdiction, gateway.site, ("gateways", index, "site")
                )
                for name in workload.reaches:
                    number, endpoint = endpoints[name]
                    path = ("endpoints", number, "site")
                    _check_residency(workload, sites[endpoint.site].jurisdiction, endpoint.site, path)
                    if endpoint.target == "bedrock":
                        for region in inference_profiles.destinations(
                            endpoint.inference_profile, _region(platform, endpoint)
                        ):
                            place = jurisdictions.region_jurisdiction(region)
                            _check_residency(
                                workload, place, region, ("endpoints", number, "inference_profile")
                            )
            except IsthmusError as error:
                raise FieldError(error.what, *("gateways", index, "workloads"), fix=error.fix) from None


def _check_residency(workload: Workload, place: str, where: str, path: tuple[str | int, ...]) -> None:
    if not jurisdictions.meets_residency(place, workload.residency):
        raise FieldError(
            f"data of workload {workload.name} could reach {where} in `{place}`, outside its residency "
            f"({', '.join(workload.residency)})",
            *path,
            fix="Use a site, region or inference profile within the residency, or change `residency`",
            refused=True,
        )


def _workloads_sent_to(platform: Platform, endpoint: str) -> list[tuple[Gateway, Workload]]:
    return [
        (gateway, workload)
        for gateway in platform.gateways
        for workload in gateway.workloads
        if endpoint in workload.reaches
    ]


def _endpoints_reached_by(gateway: Gateway) -> list[str]:
    names = [name for workload in gateway.workloads for name in workload.reaches]
    return sorted(set(names))


def _is_called_api(platform: Platform, endpoint: str) -> bool:
    return any(entry.id == endpoint and entry.target in CALLED_TARGETS for entry in platform.endpoints)


def _region(platform: Platform, endpoint: Endpoint) -> str:
    return endpoint.region or platform.site(endpoint.site).region or ""


def site_networks(platform: Platform, *, on_prem_only: bool = False) -> list[ipaddress.IPv4Network]:
    """The networks of the sites: those on-prem, then those in AWS. Raises `FieldError`."""
    on_prem = _networks(platform, "on-prem")
    return on_prem if on_prem_only else [*on_prem, *_networks(platform, "aws")]


def _networks(platform: Platform, kind: str) -> list[ipaddress.IPv4Network]:
    networks: list[ipaddress.IPv4Network] = []
    for index, site in enumerate(platform.sites):
        if site.kind != kind:
            continue
        for number, text in enumerate(site.cidrs):
            try:
                networks.append(ipaddress.IPv4Network(text))
            except ValueError:
                raise FieldError(f"`{text}` is not a network", *("sites", index, "cidrs", number)) from None
    return networks


CHECKS: tuple[Callable[[Platform], None], ...] = (
    targets_are_allowed,
    classes_stay_apart,
    identities_only_where_allowed,
    destinations_are_allowed,
    databases_are_on_site_networks,
    proxies_are_allowed,
    bedrock_regions_match_the_profile,
    residency_is_met,
)
