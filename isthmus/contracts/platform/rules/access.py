"""Rules for callers outside the cluster: which classes may be called from which addresses, and by which names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.platform.lookups.aws import network_for
from isthmus.contracts.platform.model.access import GatewayAccess
from isthmus.contracts.reference.gateway_access import range_problem, wrong_annotation
from isthmus.core.errors import FieldError, caught, raise_all
from isthmus.core.ip_addresses import INSIDE, address, is_within

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Gateway, Platform, Site

Path = tuple[str | int, ...]


def accesses_fit_their_class(platform: Platform) -> None:
    """Callers outside a cluster come from ranges that the class allows, by a load balancer that fits the site."""
    raise_all(
        error
        for index, gateway in enumerate(platform.gateways)
        if gateway.access is not None
        for check in (_check_ranges, _check_place, _check_annotations)
        for error in caught(check, platform, gateway, gateway.access, ("gateways", index, "access"))
    )


def access_hosts_are_unique(platform: Platform) -> None:
    """A name leads to one gateway: its certificate vouches for it."""
    holders: dict[str, str] = {}
    for index, gateway in enumerate(platform.gateways):
        if gateway.access is None:
            continue
        path = ("gateways", index, "access", "host")
        if gateway.access.host.endswith((".svc", ".cluster.local")):
            message = f"`{gateway.access.host}` is a name inside the cluster"
            raise FieldError(message, *path, fix="Use a name of your own DNS, like llm.bank.example")
        holder = holders.setdefault(gateway.access.host, gateway.name)
        if holder != gateway.name:
            message = (
                f"gateways {holder} and {gateway.name} have the same name outside, {gateway.access.host}"
            )
            raise FieldError(message, *path, fix="Give each gateway its own name")


def _check_ranges(platform: Platform, gateway: Gateway, access: GatewayAccess, path: Path) -> None:
    site = platform.site(gateway.site)
    for number, text in enumerate(access.source_ranges):
        problem = range_problem(gateway.class_, text, site.cidrs)
        if problem:
            where = (*path, "source_ranges", number)
            raise FieldError(problem.what, *where, fix=problem.fix, refused=problem.refused)
        if text in access.source_ranges[:number]:
            raise FieldError(
                f"`{text}` appears twice", *path, "source_ranges", number, fix="Remove one of them"
            )


def _check_place(platform: Platform, gateway: Gateway, access: GatewayAccess, path: Path) -> None:
    if gateway.runs_on != "kubernetes":
        message = f"gateway {gateway.name} runs on Fargate, whose load balancer stays inside its networks"
        fix = "Remove `access`, and add the callers' networks to `fargate.clients`"
        raise FieldError(message, *path, fix=fix)
    site = platform.site(gateway.site)
    if site.kind == "aws":
        for key in ("address", "load_balancer_class"):
            if getattr(access, key) is not None:
                message = f"at {site.name} the AWS Load Balancer Controller decides what `{key}` says"
                raise FieldError(message, *path, key, fix=f"Remove `{key}`")
    _check_address(gateway, site, access, path)
    if access.internet_facing:
        _check_internet_facing(platform, gateway, site, path)


def _check_address(gateway: Gateway, site: Site, access: GatewayAccess, path: Path) -> None:
    """A fixed address of another class than public is private, and that of a restricted gateway is the site's."""
    if access.address is None:
        return
    where = (*path, "address")
    address(access.address, *where)
    if gateway.class_ != "public" and not is_within(access.address, INSIDE):
        message = f"{access.address} is an address of the internet, and class {gateway.class_} has private ones only"
        raise FieldError(message, *where, fix="Use a private address of the site", refused=True)
    if gateway.class_ == "restricted" and not is_within(access.address, site.cidrs):
        message = f"restricted work would be called at {access.address}, outside the networks of {site.name}"
        raise FieldError(message, *where, fix=f"Use an address within {', '.join(site.cidrs)}", refused=True)


def _check_internet_facing(platform: Platform, gateway: Gateway, site: Site, path: Path) -> None:
    where = (*path, "internet_facing")
    if gateway.class_ != "public":
        message = f"gateway {gateway.name} of class {gateway.class_} would have addresses of the internet"
        fix = "Remove `internet_facing`: only class public may have it"
        raise FieldError(message, *where, fix=fix, refused=True)
    if site.kind != "aws":
        message = f"at {site.name} the load balancer's address decides where it is reached"
        raise FieldError(
            message, *where, fix="Remove `internet_facing`, and set `address` if you need a fixed one"
        )
    network = network_for(platform, site.name, gateway.class_)
    if network is not None and network.mode == "manage":
        message = f"network {network.name} has no subnets for load balancers that the internet reaches"
        fix = "Use an existing network of yours with such subnets (`mode: existing`), or remove `internet_facing`"
        raise FieldError(message, *where, fix=fix)


def _check_annotations(platform: Platform, gateway: Gateway, access: GatewayAccess, path: Path) -> None:
    for key in access.annotations:
        if wrong_annotation(key):
            raise FieldError(
                f"the annotation {key} would decide about callers, addresses or TLS, which `access` decides",
                *path,
                "annotations",
                key,
                fix="Remove it: only the gateway opens TLS, and `source_ranges` says who may call",
                refused=True,
            )


CHECKS = (access_hosts_are_unique, accesses_fit_their_class)
