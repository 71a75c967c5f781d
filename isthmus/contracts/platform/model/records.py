"""A gateway's audit records: where it writes them, who seals them, and what content it keeps. Parts of
`isthmus.contracts.platform`; data only."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints

from isthmus.contracts.platform.model.aws.account import network_for
from isthmus.contracts.platform.model.aws.eks import cluster_at
from isthmus.contracts.platform.model.aws.fargate import SecretArn
from isthmus.contracts.reference import handling
from isthmus.contracts.vocabulary import DnsLabel, KubeName, Part
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import AuditStore, Gateway, Platform

Address = Annotated[str, StringConstraints(pattern=r"^(\d{1,3}\.){3}\d{1,3}$")]


class KeptContent(Part):
    """What was asked and answered, encrypted under a key for each subject and day."""

    volume: KubeName
    """The PersistentVolume with those keys; no snapshots, no backups: a copy of a key is a key."""
    days: Annotated[dict[DnsLabel, Annotated[int, Field(ge=1, le=3660)]], Field(min_length=1)]
    """By workload: for how many days; no other workload's content is kept."""


class GatewayAudit(Part):
    """The chain of records of a gateway's copies, and the sealer that puts them into the site's store."""

    volume: KubeName | None = None
    """The PersistentVolume with folders `records` and `seals`, shared by many machines (ReadWriteMany). Absent at an
    AWS site: a share is made there (Amazon EFS)."""
    sealer_volume: KubeName | None = None
    """A second PersistentVolume that is the same share: one binds to one namespace only, and the sealer has its own."""
    secret: KubeName | SecretArn
    """Secret in the class's namespace with `sealer.pem` and `site.key`; with `content`, with `wrapping.key`. On Fargate
    the ARN of a secret that is JSON with `seal_key` and `site_key`."""
    sealer_secret: KubeName | SecretArn
    """Secret in the sealer's namespace with `sealer.key.pem`, which no gateway has; on-prem with `credentials` and
    `ca.crt` too. On Fargate the ARN of a secret that is JSON with `signing_key`."""
    earlier_keys: bool = False
    """Whether that Secret has `earlier.pem` (on Fargate `earlier_keys`) too: public keys of the signing keys before
    this one."""
    policy: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,119}$")] | None = None
    """What records name as the policy's version; absent: a digest of the gateway's own configuration."""
    max_unsealed_s: Annotated[int, Field(ge=2, le=86400)] | None = None
    """Seconds that a record may wait for its seal before requests are refused; never more than the class's own."""
    content: KeptContent | None = None
    """Absent: nothing of what was said is kept."""


UNSEALED_S = {"internal": 3600, "confidential": 180, "restricted": 180}
"""The most that `max_unsealed_s` may say, as the edge has it (`edge.config.audit`, to which a test holds it)."""

SEAL_PUT = ("s3:PutObject", "s3:PutObjectRetention")
READ_BACK = ("s3:GetObject", "s3:GetObjectVersion")
SEALS_LISTED = ("s3:ListBucket", "s3:ListBucketVersions")
SEAL_LOCK = ("s3:GetBucketObjectLockConfiguration",)
SEAL_OPEN = ("kms:Decrypt", "kms:GenerateDataKey")
"""All that a sealer's role in AWS may do: put below its prefix, read that back, list it, see the lock, use the key."""

Place = Literal["on-prem", "eks", "fargate"]


def place_of(platform: Platform, gateway: Gateway) -> Place:
    """Where a gateway's copies run, which is where its records are written."""
    if gateway.runs_on == "fargate":
        return "fargate"
    return "on-prem" if platform.site(gateway.site).kind == "on-prem" else "eks"


def sealed_at(platform: Platform, gateway: Gateway) -> AuditStore | None:
    """The store of the gateway's site."""
    return next((store for store in platform.audit if store.site == gateway.site), None)


def sealed_in_aws(platform: Platform, site: str) -> list[Gateway]:
    """Gateways of an AWS site whose records a sealer with an AWS identity seals."""
    return [
        each
        for each in platform.gateways
        if each.site == site and each.audit is not None and place_of(platform, each) != "on-prem"
    ]


def share_is_made(gateway: Gateway) -> bool:
    """Whether the share of a gateway at an AWS site is made here, and not the organisation's own."""
    return gateway.audit is not None and gateway.audit.volume is None


def prefix_of(gateway: Gateway) -> str:
    """Where its seals lie in the store."""
    return f"{gateway.site}/{gateway.class_}"


def port_of(endpoint: str) -> int:
    """Of a store's https address."""
    return urlsplit(endpoint).port or 443


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


def endpoint_is_made(platform: Platform, site: str) -> bool:
    """Whether sealers in the cluster of an AWS site get an endpoint of S3 of their own, at addresses that follow from
    the network's."""
    from isthmus.contracts.platform.rules.aws.eks import network_of

    cluster, store = (
        cluster_at(platform, site),
        next((one for one in platform.audit if one.site == site), None),
    )
    if cluster is None or cluster.mode != "manage" or store is None or store.address is not None:
        return False
    return network_of(platform, cluster).mode == "manage"


CHECKS = (gateways_keep_records,)
