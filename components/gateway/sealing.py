"""What a gateway's sealer takes from its site: the record store, the key and the identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi

if TYPE_CHECKING:
    from components.aws.records.share import RecordsShare


@dataclass(frozen=True)
class Sealed:
    """Where a gateway and its sealer put their records."""

    role: Any
    """ARN of the sealer's role."""
    bucket: Any
    """Name of the bucket."""
    addresses: list[str]
    """Addresses of S3 for a cluster. Empty on Fargate, which uses the host name."""
    share: RecordsShare | None = None
    """None: the organisation's own share."""
    gateway_role: Any = None
    """On Fargate: ARN of the role with which the gateway's tasks mount the share."""

    @property
    def dependencies(self) -> list[pulumi.Resource]:
        """Resources that must exist before pods start."""
        return [] if self.share is None else [self.share, *self.share.targets]

    def folders(self, user: str) -> dict[str, Any]:
        """The share's folders with the access points of `gateway` or `sealer`."""
        assert self.share is not None
        return {
            "file_system": self.share.file_system_id,
            **{folder: self.share.points[f"{user}-{folder}"] for folder in ("records", "seals")},
        }
