"""What a gateway's sealer takes from its site: the record store, the key and the identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi

if TYPE_CHECKING:
    from components.aws.records.share import RecordsShare


@dataclass(frozen=True)
class Sealed:
    """What a gateway and its sealer are told of where their records go."""

    role: Any
    """ARN of the sealer's role."""
    bucket: Any
    """Name of the bucket."""
    addresses: list[str]
    """At which S3 is reached in a cluster; none on Fargate, where it is reached by its name."""
    share: RecordsShare | None = None
    """None: the organisation's own."""
    gateway_role: Any = None
    """On Fargate: ARN of the role by which the gateway's tasks mount the share."""

    @property
    def dependencies(self) -> list[pulumi.Resource]:
        """What pods wait for."""
        return [] if self.share is None else [self.share, *self.share.targets]

    def folders(self, user: str) -> dict[str, Any]:
        """The share's folders as `gateway` or `sealer` mounts them."""
        assert self.share is not None
        return {
            "file_system": self.share.file_system_id,
            **{folder: self.share.points[f"{user}-{folder}"] for folder in ("records", "seals")},
        }
