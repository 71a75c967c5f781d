"""Checks the records that gateways keep: volumes, secrets, kept content and the store of seals."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from edge.classes import CLASS_DEMANDS
from isthmus.contracts.platform.lookups.aws import cluster_at, network_for
from isthmus.contracts.platform.lookups.records import Place, has_managed_s3_endpoint, place_of
from isthmus.contracts.reference import handling
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Gateway, Platform
    from isthmus.contracts.platform.model.records import GatewayAudit


def check_gateway_audit(platform: Platform) -> None:
    """Every gateway writes audit records, and its sealer can write them to the site's store."""
    for index, gateway in enumerate(platform.gateways):
        path = ("gateways", index, "audit")
        months = handling.handling_of(gateway.class_).records_months_min
        if gateway.audit is None:
            raise FieldError(
                f"gateway {gateway.name} has no `audit`, but class {gateway.class_} must keep records for "
                f"{months} months",
                *path,
                fix=f"Set `audit` with {_REQUIRED_KEYS[place_of(platform, gateway)]} (docs/stacks.md)",
                refused=True,
            )
        if platform.images.translator is None:
            message = f"`images` has no translator, which the sealer of gateway {gateway.name} runs"
            raise FieldError(
                message, "images", "translator", fix="Set `images.translator` to the image by digest"
            )
        _check_kept_content(gateway, index)
        _check_volumes_and_secrets(platform, gateway, index)
        if place_of(platform, gateway) == "on-prem":
            _check_on_prem_store(platform, gateway)
        else:
            _check_s3_store(platform, gateway)


_REQUIRED_KEYS: dict[Place, str] = {
    "on-prem": "volume, sealer_volume, secret and sealer_secret",
    "eks": "secret and sealer_secret",
    "fargate": "secret and sealer_secret, each by the ARN of a secret",
}


def _check_volumes_and_secrets(platform: Platform, gateway: Gateway, index: int) -> None:
    """Volumes and secrets must be of the kind that the gateway's host supports."""
    assert gateway.audit is not None
    place = place_of(platform, gateway)
    _check_volumes(gateway, gateway.audit, place, index)
    _check_secrets(gateway, gateway.audit, place, index)
    if place == "fargate" and gateway.audit.content is not None:
        message = f"gateway {gateway.name} runs on Fargate, which does not support `audit.content`"
        raise FieldError(
            message,
            *("gateways", index, "audit", "content"),
            fix="Remove `content` (docs/components-fargate.md)",
        )
    if place == "eks":
        _check_existing_cluster(platform, gateway, gateway.audit, index)


def _check_volumes(gateway: Gateway, audit: GatewayAudit, place: Place, index: int) -> None:
    """On-prem both volumes are set, on Fargate neither, elsewhere both or neither."""
    path = ("gateways", index, "audit")
    for key in ("volume", "sealer_volume"):
        if place == "on-prem" and getattr(audit, key) is None:
            message = f"gateway {gateway.name} has no {key}, which an on-prem site needs for its records"
            raise FieldError(
                message,
                *path,
                key,
                fix=f"Set `{key}` to a PersistentVolume of your file share (docs/audit.md)",
            )
        if place == "fargate" and getattr(audit, key) is not None:
            message = f"gateway {gateway.name} runs on Fargate, which has no PersistentVolumes"
            raise FieldError(message, *path, key, fix=f"Remove `{key}`: Isthmus makes the file share")
    if (audit.volume is None) != (audit.sealer_volume is None):
        missing = "volume" if audit.volume is None else "sealer_volume"
        message = f"gateway {gateway.name} has only one of volume and sealer_volume: {missing} is missing"
        raise FieldError(
            message, *path, missing, fix="Set both, or remove both to let Isthmus make the share"
        )


def _check_secrets(gateway: Gateway, audit: GatewayAudit, place: Place, index: int) -> None:
    """Secrets are ARNs on Fargate and names elsewhere; the gateway does not get the sealer's signing key."""
    path = ("gateways", index, "audit")
    for key in ("secret", "sealer_secret"):
        if str(getattr(audit, key)).startswith("arn:") != (place == "fargate"):
            message = f"gateway {gateway.name} runs on {gateway.runs_on}, but its {key} is "
            message += "not a secret of AWS Secrets Manager" if place == "fargate" else "a secret of AWS"
            fix = (
                "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME"
                if place == "fargate"
                else "the name of a Kubernetes Secret"
            )
            raise FieldError(message, *path, key, fix=f"Set `{key}` to {fix}")
    if audit.secret == audit.sealer_secret and place == "fargate":
        message = (
            f"`secret` and `sealer_secret` of gateway {gateway.name} are the same, so the gateway would get the "
            "signing key"
        )
        raise FieldError(
            message, *path, "sealer_secret", fix="Set `sealer_secret` to another secret", refused=True
        )


def _check_existing_cluster(platform: Platform, gateway: Gateway, audit: GatewayAudit, index: int) -> None:
    """An existing EKS cluster has a file share and a name, because Isthmus makes neither."""
    cluster = cluster_at(platform, gateway.site)
    if cluster is None or cluster.mode != "existing":
        return
    if audit.volume is None:
        message = (
            f"gateway {gateway.name} runs in an existing cluster, where Isthmus does not make its file share"
        )
        raise FieldError(
            message,
            *("gateways", index, "audit", "volume"),
            fix="Set volume and sealer_volume (docs/stacks.md)",
        )
    if cluster.eks_name is None:
        message = f"cluster {cluster.name} has no eks_name, which the sealer of gateway {gateway.name} needs"
        raise FieldError(
            message,
            *("clusters", platform.clusters.index(cluster), "eks_name"),
            fix=f"Set `eks_name` of cluster {cluster.name} to its name in EKS",
        )


def _check_kept_content(gateway: Gateway, index: int) -> None:
    audit = gateway.audit
    if audit is None:
        return
    path = ("gateways", index, "audit")
    max_seconds = CLASS_DEMANDS[gateway.class_].unsealed_s_max
    if max_seconds is not None and audit.max_unsealed_s is not None and audit.max_unsealed_s > max_seconds:
        message = (
            f"max_unsealed_s is {audit.max_unsealed_s}, but records of class {gateway.class_} may wait at most "
            f"{max_seconds} s"
        )
        raise FieldError(
            message, *path, "max_unsealed_s", fix=f"Set max_unsealed_s to {max_seconds} or less", refused=True
        )
    names = {workload.name for workload in gateway.workloads}
    allowed = handling.handling_of(gateway.class_).content_days_max
    for workload, days in audit.content.days.items() if audit.content else ():
        where = (*path, "content", "days", workload)
        if workload not in names:
            raise FieldError(f"gateway {gateway.name} has no workload `{workload}`", *where)
        if allowed is not None and days > allowed:
            limit = f"at most {allowed} days" if allowed else "no stored content"
            message = (
                f"content of workload {workload} is kept for {days} days, but class {gateway.class_} allows "
                f"{limit}"
            )
            fix = "Remove the workload from `days`"
            if allowed:
                fix = f"Set {allowed} days or fewer, or remove the workload from `days`"
            raise FieldError(message, *where, fix=fix, refused=True)


def _check_on_prem_store(platform: Platform, gateway: Gateway) -> None:
    """The network policy of the sealer allows the store's address only, so the address must be known."""
    index = next(index for index, store in enumerate(platform.audit) if store.site == gateway.site)
    store = platform.audit[index]
    if store.address is None:
        raise FieldError(
            f"the audit store {store.name} has no address, and network policies need addresses instead of names",
            *("audit", index, "address"),
            fix="Set `address` to the address of its endpoint, e.g. 10.40.0.9",
        )
    _check_store_address(platform, index, "on-prem", "the on-prem sites' networks")


def _check_store_address(platform: Platform, index: int, kind: str, networks_label: str) -> None:
    store = platform.audit[index]
    networks = [
        ipaddress.ip_network(cidr) for site in platform.sites if site.kind == kind for cidr in site.cidrs
    ]
    try:
        address = ipaddress.IPv4Address(store.address or "")
    except ValueError:
        raise FieldError(f"`{store.address}` is not an address", "audit", index, "address") from None
    if not any(address in network for network in networks):
        raise FieldError(
            f"the audit store {store.name} at {store.address} is outside {networks_label}",
            *("audit", index, "address"),
            fix=f"Name one within {', '.join(map(str, networks)) or 'none'}",
            refused=True,
        )


def _check_s3_store(platform: Platform, gateway: Gateway) -> None:
    """A sealer at an AWS site has an AWS role and reaches S3 through an endpoint of the site's network."""
    index = next(index for index, store in enumerate(platform.audit) if store.site == gateway.site)
    store = platform.audit[index]
    path = ("audit", index)
    if store.endpoint is not None:
        message = f"the store of {gateway.site} has an endpoint, but the sealer of {gateway.name} writes to AWS S3 only"
        raise FieldError(
            message, *path, "endpoint", fix="Remove `endpoint`, and set `bucket` to an S3 bucket"
        )
    if network_for(platform, gateway.site, gateway.class_) is None:
        message = (
            f"no network at {gateway.site} carries class {gateway.class_}, so the sealer cannot reach S3"
        )
        fix = f"Add class {gateway.class_} to one of `networks` at {gateway.site}"
        raise FieldError(message, "networks", fix=fix)
    if place_of(platform, gateway) == "fargate":
        return
    if store.address is not None:
        _check_store_address(platform, index, "aws", "the networks of the sites in AWS")
    elif not has_managed_s3_endpoint(platform, gateway.site):
        message = f"the address of S3 at {gateway.site} is not known, because the network or the cluster already exists"
        raise FieldError(
            message, *path, "address", fix="Set `address` to an address of your S3 interface endpoint there"
        )


CHECKS = (check_gateway_audit,)
