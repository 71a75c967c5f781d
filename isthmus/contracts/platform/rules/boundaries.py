"""The platform's boundaries: which class may be where, and reach what. Rules of `platform_checks`."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TYPE_CHECKING

from isthmus.contracts.reference import handling, inference_profiles, jurisdictions
from isthmus.contracts.vocabulary import CALLED_TARGETS
from isthmus.core.errors import FieldError, IsthmusError, Refused

NAMED_WAYS_ONLY = ("confidential", "restricted")
"""Classes whose ways out are addresses of the organisation's own, named one by one (`handling`: their path)."""

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Platform, Workload


def handling_is_kept(platform: Platform) -> None:
    """No endpoint on a target that its class forbids."""
    for index, endpoint in enumerate(platform.endpoints):
        served = [workload.name for _, workload in _served(platform, endpoint.id)]
        why = handling.refusal(endpoint.class_, endpoint.target, served, platform.exceptions)
        if why:
            fix = f"Use a target that class {endpoint.class_} may use"
            raise FieldError(
                f"endpoint {endpoint.id}: {why}", *("endpoints", index, "target"), fix=fix, refused=True
            )


def classes_stay_apart(platform: Platform) -> None:
    """A gateway sends its class's work to endpoints of its class; an identity serves one class too."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, gateway in enumerate(platform.gateways):
        for number, workload in enumerate(gateway.workloads):
            path = ("gateways", index, "workloads", number)
            targets = [(workload.endpoint, (*path, "endpoint"))]
            for key in ("also", "overflow"):
                targets += [(name, (*path, key, place)) for place, name in enumerate(getattr(workload, key))]
            targets += [(each.endpoint, (*path, "canary", "endpoint")) for each in [workload.canary] if each]
            for name, where in targets:
                if endpoints[name].class_ != gateway.class_:
                    raise FieldError(
                        f"the {gateway.class_} gateway sends {workload.name} to endpoint {name} of class "
                        f"{endpoints[name].class_}: classes share no endpoint",
                        *where,
                        refused=True,
                    )
    for index, identity in enumerate(platform.identities):
        for number, name in enumerate(identity.endpoints):
            if endpoints[name].class_ != identity.class_:
                what = f"identity {identity.name} of class {identity.class_} may call {name} of another class"
                raise FieldError(what, *("identities", index, "endpoints", number), refused=True)


def identities_only_where_allowed(platform: Platform) -> None:
    """An AWS identity only for a class that may use AWS, and only where a model there is used."""
    kinds = {site.name: site.kind for site in platform.sites}
    identities = {identity.name: identity for identity in platform.identities}
    for index, identity in enumerate(platform.identities):
        if not handling.may_use_aws(identity.class_):
            what = f"an AWS identity for class {identity.class_}, which may not use AWS"
            raise FieldError(what, *("identities", index), fix="Take it out", refused=True)
        if kinds[identity.site] != "aws":
            raise FieldError(
                f"the identity's site {identity.site} is not in AWS", *("identities", index, "site")
            )
    for index, gateway in enumerate(platform.gateways):
        cloud = [name for name in _endpoints_of(gateway) if _is_api(platform, name)]
        path = ("gateways", index, "identity")
        if gateway.identity is None:
            if cloud:
                what = f"gateway {gateway.name} sends work to {', '.join(cloud)} and has no AWS identity"
                raise FieldError(what, *path, fix="Name one of `identities`")
            continue
        if not handling.may_use_aws(gateway.class_):
            what = f"gateway {gateway.name} of class {gateway.class_} has an AWS identity"
            raise FieldError(what, *path, fix="Take it out", refused=True)
        identity = identities[gateway.identity]
        if identity.class_ != gateway.class_:
            what = f"gateway {gateway.name} of class {gateway.class_} has the identity of {identity.class_}"
            raise FieldError(what, *path, refused=True)
        if not cloud:
            what = f"gateway {gateway.name} has an AWS identity and no model in AWS"
            raise FieldError(what, *path, fix="Take it out", refused=True)


def ways_out_are_named(platform: Platform) -> None:
    """Restricted: on-prem addresses only. Confidential: addresses of the sites only (a private link)."""
    on_prem = _networks(platform, "on-prem")
    own = [*on_prem, *_networks(platform, "aws")]
    kinds = {site.name: site.kind for site in platform.sites}
    for index, gateway in enumerate(platform.gateways):
        if gateway.class_ == "restricted" and kinds[gateway.site] != "on-prem":
            what = f"the restricted gateway stands at {gateway.site}, which is not on-prem"
            raise FieldError(what, *("gateways", index, "site"), refused=True)
        for number, destination in enumerate(gateway.destinations):
            path = ("gateways", index, "destinations", number, "cidr")
            try:
                network = ipaddress.IPv4Network(destination.cidr)
            except ValueError:
                raise FieldError(f"`{destination.cidr}` is not a network", *path) from None
            if gateway.class_ not in NAMED_WAYS_ONLY:
                continue
            allowed = on_prem if gateway.class_ == "restricted" else own
            if not any(network.subnet_of(one) for one in allowed):
                listed = ", ".join(str(one) for one in allowed) or "none"
                whose = "the on-prem sites'" if gateway.class_ == "restricted" else "the sites' own"
                raise FieldError(
                    f"the {gateway.class_} gateway could reach `{destination.cidr}`, "
                    f"outside {whose} networks",
                    *path,
                    fix=f"Name a part of {listed}",
                    refused=True,
                )


def proxies_are_the_sites_and_for_few(platform: Platform) -> None:
    """A translator's authorities never for a class whose ways out are named; its proxy for public work alone, and
    only where that goes by AWS's public names: from private endpoints a proxy would lead away."""
    own = [*_networks(platform, "on-prem"), *_networks(platform, "aws")]
    for index, gateway in enumerate(platform.gateways):
        given = next((key for key in ("proxy", "ca_bundle") if getattr(gateway, key) is not None), None)
        if given is None:
            continue
        path = ("gateways", index, given)
        if gateway.class_ in NAMED_WAYS_ONLY:
            what = f"the {gateway.class_} gateway may have no `{given}`: its ways out are named addresses"
            raise FieldError(what, *path, fix="Leave it out", refused=True)
        if gateway.identity is None:
            what = f"nothing behind gateway {gateway.name} leaves the site: it has no AWS identity"
            raise FieldError(what, *path, fix="Leave it out")
        if gateway.proxy is None:
            continue
        if gateway.class_ != "public" or any(
            gateway.class_ in one.classes and one.mode != "off" for one in platform.networks
        ):
            raise FieldError(
                f"{gateway.class_} work reaches AWS by private endpoints, past which a proxy would lead",
                *path,
                fix="Leave it out, or take class public out of the networks' classes",
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
        if not any(address in network for network in own):
            raise FieldError(
                f"the proxy `{host}` lies outside the sites' own networks",
                *place,
                fix=f"Name the organisation's own, within {', '.join(map(str, own)) or 'none'}",
                refused=True,
            )


def databases_are_on_the_sites(platform: Platform) -> None:
    """Who calls and how much is known on the sites' own networks only, of restricted callers on-prem only."""
    on_prem = _networks(platform, "on-prem")
    own = [*on_prem, *_networks(platform, "aws")]
    for index, gateway in enumerate(platform.gateways):
        if gateway.database is None:
            continue
        path = ("gateways", index, "database", "address")
        allowed = on_prem if gateway.class_ == "restricted" else own
        try:
            address = ipaddress.IPv4Address(gateway.database.address)
        except ValueError:
            raise FieldError(f"`{gateway.database.address}` is not an address", *path) from None
        if not any(address in network for network in allowed):
            raise FieldError(
                f"the database of the {gateway.class_} gateway lies outside the sites' own networks",
                *path,
                fix=f"Name one within {', '.join(map(str, allowed)) or 'none'}",
                refused=True,
            )


def destinations_are_the_profiles(platform: Platform) -> None:
    """destination_regions of a Bedrock endpoint are all that its profile may route to, known and complete."""
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.target != "bedrock":
            continue
        path = ("endpoints", index, "inference_profile" if endpoint.inference_profile else "site")
        try:
            wanted = inference_profiles.destinations(endpoint.inference_profile, _region(platform, endpoint))
        except IsthmusError as error:
            raise FieldError(error.what, *path, fix=error.fix, refused=isinstance(error, Refused)) from None
        if endpoint.destination_regions and set(endpoint.destination_regions) != set(wanted):
            raise FieldError(
                f"destination_regions of {endpoint.id} are not what its profile routes to",
                *("endpoints", index, "destination_regions"),
                fix=f"Its profile routes to these: [{', '.join(wanted)}]",
            )
        if (
            endpoint.inference_profile
            and inference_profiles.model_of(endpoint.inference_profile) != endpoint.model
        ):
            what = f"the profile `{endpoint.inference_profile}` calls another model than `{endpoint.model}`"
            raise FieldError(what, *path)


def residency_is_met(platform: Platform) -> None:
    """Every place that a workload's data can reach lies within its residency: gateway, endpoint, regions."""
    sites = {site.name: site for site in platform.sites}
    endpoints = {endpoint.id: (index, endpoint) for index, endpoint in enumerate(platform.endpoints)}
    for index, gateway in enumerate(platform.gateways):
        for workload in gateway.workloads:
            try:
                _meets(workload, sites[gateway.site].jurisdiction, gateway.site, ("gateways", index, "site"))
                for name in workload.reaches:
                    number, endpoint = endpoints[name]
                    path = ("endpoints", number, "site")
                    _meets(workload, sites[endpoint.site].jurisdiction, endpoint.site, path)
                    if endpoint.target == "bedrock":
                        for region in inference_profiles.destinations(
                            endpoint.inference_profile, _region(platform, endpoint)
                        ):
                            place = jurisdictions.of_region(region)
                            _meets(workload, place, region, ("endpoints", number, "inference_profile"))
            except IsthmusError as error:
                raise FieldError(error.what, *("gateways", index, "workloads"), fix=error.fix) from None


def _meets(workload: Workload, place: str, where: str, path: tuple[str | int, ...]) -> None:
    if not jurisdictions.meets(place, workload.residency):
        raise FieldError(
            f"data of workload {workload.name} could reach {where} in `{place}`, outside its residency "
            f"({', '.join(workload.residency)})",
            *path,
            refused=True,
        )


def _served(platform: Platform, endpoint: str) -> list[tuple[Gateway, Workload]]:
    return [
        (gateway, workload)
        for gateway in platform.gateways
        for workload in gateway.workloads
        if endpoint in workload.reaches
    ]


def _endpoints_of(gateway: Gateway) -> list[str]:
    named = [name for workload in gateway.workloads for name in workload.reaches]
    return sorted(set(named))


def _is_api(platform: Platform, endpoint: str) -> bool:
    return any(one.id == endpoint and one.target in CALLED_TARGETS for one in platform.endpoints)


def _region(platform: Platform, endpoint: Endpoint) -> str:
    return endpoint.region or platform.site(endpoint.site).region or ""


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
    handling_is_kept,
    classes_stay_apart,
    identities_only_where_allowed,
    ways_out_are_named,
    databases_are_on_the_sites,
    proxies_are_the_sites_and_for_few,
    destinations_are_the_profiles,
    residency_is_met,
)
