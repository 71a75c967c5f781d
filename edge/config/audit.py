"""Settings `audit` of a gateway: the folder of its records, the sealer it trusts, and the content it keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from edge.classes import CLASS_DEMANDS, DataClass
from edge.config.base import File, Name, Strict


class Content(Strict):
    """Keeps requests and answers, encrypted under one key for each subject and day."""

    keys: Path
    """Folder of the keys. To destroy a key is to erase what it encrypts."""
    wrapping_key: File
    """64 hexadecimal digits: the key that encrypts the keys in the folder."""
    days: Annotated[dict[Name, Annotated[int, Field(ge=1, le=3660)]], Field(min_length=1)]
    """Days by workload. The content of other workloads is not kept."""


class AuditSettings(Strict):
    """The gateway's audit records."""

    records: Path
    """Folder on a volume that outlives the process."""
    seals: Path
    """Folder in which the sealer leaves its latest seal."""
    seal_key: File
    """The sealer's public key, PEM."""
    site_key: File
    """64 hexadecimal digits, for HMACs of prompts and users."""
    policy: Name
    """Version of the policy that configured this gateway. Each record names it."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,119}$")] | None = None
    """Name of the writer in its records. Absent: the host name, which in a pod is the pod's name."""
    max_unsealed_s: Annotated[int, Field(ge=2, le=86400)] | None = None
    rotate_mib: Annotated[int, Field(ge=1, le=1024)] = 64
    keep_sealed_h: Annotated[float, Field(ge=0, le=720)] = 24
    """Hours for which sealed records stay on the volume."""
    content: Content | None = None

    def limit_s(self, data_class: DataClass) -> int | None:
        """Seconds that a record may wait for its seal. None: any time."""
        return (
            self.max_unsealed_s
            if self.max_unsealed_s is not None
            else CLASS_DEMANDS[data_class].unsealed_s_max
        )

    def problem(self, data_class: DataClass) -> str | None:
        """The first setting that the class forbids, as a message, or None."""
        max_unsealed_s = CLASS_DEMANDS[data_class].unsealed_s_max
        if (
            max_unsealed_s is not None
            and self.max_unsealed_s is not None
            and self.max_unsealed_s > max_unsealed_s
        ):
            return f"audit.max_unsealed_s: class {data_class} allows {max_unsealed_s} or less"
        max_days = CLASS_DEMANDS[data_class].content_days_max
        for workload, days in self.content.days.items() if self.content else ():
            if max_days is not None and days > max_days:
                retention = f"for at most {max_days} days" if max_days else "for no time"
                return f"audit.content.days.{workload}: class {data_class} allows content {retention}"
        return None
