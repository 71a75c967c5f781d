"""Audit records of gateways: where they are written and sealed, and which content is kept. Data model and its rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from isthmus.contracts.platform.model.aws.fargate import SecretArn
from isthmus.contracts.vocabulary import DnsLabel, KubeName, Part

if TYPE_CHECKING:
    pass

Address = Annotated[str, StringConstraints(pattern=r"^(\d{1,3}\.){3}\d{1,3}$")]


class KeptContent(Part):
    """Stored prompts and answers, encrypted with a key for each subject and day."""

    volume: KubeName
    """The PersistentVolume with those keys; no snapshots, no backups: a copy of a key is a key."""
    days: Annotated[dict[DnsLabel, Annotated[int, Field(ge=1, le=3660)]], Field(min_length=1)]
    """By workload: for how many days; no other workload's content is kept."""


class GatewayAudit(Part):
    """Audit records of a gateway, and the sealer that writes them to the site's store."""

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


SEAL_PUT = ("s3:PutObject", "s3:PutObjectRetention")
SEAL_READ = ("s3:GetObject", "s3:GetObjectVersion")
SEAL_LIST = ("s3:ListBucket", "s3:ListBucketVersions")
SEAL_LOCK = ("s3:GetBucketObjectLockConfiguration",)
SEAL_USE_KEY = ("kms:Decrypt", "kms:GenerateDataKey")
"""Actions of a sealer's AWS role: write below its prefix, read it back, list it, see the lock, use the key."""
