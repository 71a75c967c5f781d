"""Checks the records that gateways keep: volumes, secrets, kept content and the store of seals."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from isthmus.contracts.platform.lookups.aws import cluster_at, network_for
from isthmus.contracts.platform.lookups.records import Place, endpoint_is_made, place_of
from isthmus.contracts.platform.model.records import UNSEALED_S
from isthmus.contracts.reference import handling
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Gateway, Platform


def gateways_keep_records(platform: Platform) -> None:
    """Every class keeps records, so every gateway writes them, and a sealer takes them to the site's store."""
    for index, gateway in enumerate(platform.gateways):
        path = ("gateways", index, "audit")
        months = handling.of(gateway.class_).records_months_min
        if gateway.audit is None:
            raise FieldError(
                f"gateway {gateway.name} keeps no records, and class {gateway.class_} keeps them {months} months",
                *path,
                fix=f"State {_WANTED[place_of(platform, gateway)]} (docs/stacks.md)",
                refused=True,
            )
        if platform.images.translator is None:
            what = f"no image of the translator is named, and the sealer of {gateway.name} runs it"
            raise FieldError(what, "images", "translator", fix="Name it by digest")
        _content_is_allowed(gateway, index)
        _volumes_and_secrets_fit(platform, gateway, index)
        if place_of(platform, gateway) == "on-prem":
            _store_is_reached(platform, gateway)
        else:
            _store_is_aws_own(platform, gateway)


_WANTED: dict[Place, str] = {
    "on-prem": "volume, sealer_volume, secret and sealer_secret",
    "eks": "secret and sealer_secret",
    "fargate": "secret and sealer_secret, each by the ARN of a secret",
}


def _volumes_and_secrets_fit(platform: Platform, gateway: Gateway, index: int) -> None:
    """Volumes and Secrets of the kind that there is where the gateway runs."""
    audit, place = gateway.audit, place_of(platform, gateway)
    assert audit is not None
    path = ("gateways", index, "audit")
    for key in ("volume", "sealer_volume"):
        if place == "on-prem" and getattr(audit, key) is None:
            what = f"gateway {gateway.name} names no {key}, and an on-prem site's share is the organisation's own"
            raise FieldError(what, *path, key, fix="Name a PersistentVolume of the share (docs/audit.md)")
        if place == "fargate" and getattr(audit, key) is not None:
            what = f"gateway {gateway.name} runs on Fargate, where there is no PersistentVolume"
            raise FieldError(what, *path, key, fix="Leave it out: its share is made")
    if (audit.volume is None) != (audit.sealer_volume is None):
        missing = "volume" if audit.volume is None else "sealer_volume"
        what = f"gateway {gateway.name} names one volume of its share and no {missing}"
        raise FieldError(what, *path, missing, fix="Name both, or neither for a share that is made")
    for key in ("secret", "sealer_secret"):
        if str(getattr(audit, key)).startswith("arn:") != (place == "fargate"):
            what = f"gateway {gateway.name} runs on {gateway.runs_on}, and its {key} is "
            what += "no secret of AWS Secrets Manager" if place == "fargate" else "one of AWS"
            fix = "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME" if place == "fargate" else "a Secret"
            raise FieldError(what, *path, key, fix=f"Name {fix}")
    if audit.secret == audit.sealer_secret and place == "fargate":
        what = f"the gateway {gateway.name} would be started with its sealer's signing key"
        raise FieldError(what, *path, "sealer_secret", fix="Name a secret of its own", refused=True)
    if place == "fargate" and audit.content is not None:
        what = f"gateway {gateway.name} runs on Fargate, where no content is kept"
        raise FieldError(what, *path, "content", fix="Leave it out (docs/components-fargate.md)")
    cluster = cluster_at(platform, gateway.site) if place == "eks" else None
    if cluster is not None and cluster.mode == "existing":
        if audit.volume is None:
            what = f"the cluster of gateway {gateway.name} is the organisation's own, and so is its share"
            raise FieldError(what, *path, "volume", fix="Name volume and sealer_volume (docs/audit.md)")
        if cluster.eks_name is None:
            what = f"the sealer of {gateway.name} is bound to a cluster by its name in EKS, and {cluster.name} has none"
            number = platform.clusters.index(cluster)
            raise FieldError(
                what, "clusters", number, "eks_name", fix=f"Name `eks_name` of cluster {cluster.name}"
            )


def _content_is_allowed(gateway: Gateway, index: int) -> None:
    audit = gateway.audit
    if audit is None:
        return
    path = ("gateways", index, "audit")
    most = UNSEALED_S.get(gateway.class_)
    if most is not None and audit.max_unsealed_s is not None and audit.max_unsealed_s > most:
        what = f"records of class {gateway.class_} wait at most {most} s for their seal"
        raise FieldError(what, *path, "max_unsealed_s", fix=f"Say {most} or less", refused=True)
    own = {workload.name for workload in gateway.workloads}
    allowed = handling.of(gateway.class_).content_days_max
    for workload, days in audit.content.days.items() if audit.content else ():
        where = (*path, "content", "days", workload)
        if workload not in own:
            raise FieldError(f"gateway {gateway.name} serves no workload {workload}", *where)
        if allowed is not None and days > allowed:
            kept = f"at most {allowed} days" if allowed else "not"
            what = f"content of class {gateway.class_} is kept {kept}, and of {workload} for {days} days"
            raise FieldError(what, *where, fix="Say less, or leave it out", refused=True)


def _store_is_reached(platform: Platform, gateway: Gateway) -> None:
    """The sealer is let out to the store's address alone, and knows its name by that."""
    at = next(index for index, store in enumerate(platform.audit) if store.site == gateway.site)
    store = platform.audit[at]
    if store.address is None:
        raise FieldError(
            f"the store {store.name} names no address, and a network policy cannot hold the sealer to a name",
            *("audit", at, "address"),
            fix="Name the address at which its endpoint is reached, e.g. 10.40.0.9",
        )
    _lies_within(platform, at, "on-prem", "the on-prem sites' networks")


def _lies_within(platform: Platform, at: int, kind: str, whose: str) -> None:
    store = platform.audit[at]
    networks = [
        ipaddress.ip_network(cidr) for site in platform.sites if site.kind == kind for cidr in site.cidrs
    ]
    try:
        address = ipaddress.IPv4Address(store.address or "")
    except ValueError:
        raise FieldError(f"`{store.address}` is not an address", "audit", at, "address") from None
    if not any(address in network for network in networks):
        raise FieldError(
            f"the store {store.name} at {store.address} lies outside {whose}",
            *("audit", at, "address"),
            fix=f"Name one within {', '.join(map(str, networks)) or 'none'}",
            refused=True,
        )


def _store_is_aws_own(platform: Platform, gateway: Gateway) -> None:
    """A sealer at an AWS site bears a role of AWS's, and goes to S3 by an endpoint of the site's network."""
    at = next(index for index, store in enumerate(platform.audit) if store.site == gateway.site)
    store = platform.audit[at]
    path = ("audit", at)
    if store.endpoint is not None:
        what = f"the store of {gateway.site} is no bucket of S3, and the sealer of {gateway.name} bears a role of AWS's"
        raise FieldError(what, *path, "endpoint", fix="Leave it out, and name a bucket of S3")
    if network_for(platform, gateway.site, gateway.class_) is None:
        what = f"no network at {gateway.site} carries {gateway.class_} work, and the sealer needs a way to S3"
        fix = f"Add class {gateway.class_} to one of `networks` at {gateway.site}"
        raise FieldError(what, "networks", fix=fix)
    if place_of(platform, gateway) == "fargate":
        return
    if store.address is not None:
        _lies_within(platform, at, "aws", "the networks of the sites in AWS")
    elif not endpoint_is_made(platform, gateway.site):
        what = f"where S3 is reached at {gateway.site} is not known: network or cluster are the organisation's own"
        raise FieldError(what, *path, "address", fix="Name an address of your interface endpoint of S3 there")


CHECKS = (gateways_keep_records,)
