"""`audit` of a gateway: where it writes its records, by whose seals it goes, and what content it keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from edge.config.base import DataClass, File, Name, Strict

UNSEALED_S: dict[DataClass, int | None] = {
    "public": None,
    "internal": 3600,
    "confidential": 180,
    "restricted": 180,
}
"""Seconds that the oldest record may wait for its seal before requests are refused, where the file says nothing.
Where a crash or a hand may lose more than a few minutes of records, nothing is served; None: it may wait."""
CONTENT_DAYS: dict[DataClass, int | None] = {
    "public": 0,
    "internal": 0,
    "confidential": 30,
    "restricted": None,
}
"""How long content is kept. A test compares it with `isthmus.contracts.reference.handling`. None: see the regimes."""


class Content(Strict):
    """What was asked and answered, encrypted under a key for each subject and day."""

    keys: Path
    """Folder of the keys; destroying one erases what it encrypts."""
    wrapping_key: File
    """64 hexadecimal digits, under which the keys lie wrapped."""
    days: Annotated[dict[Name, Annotated[int, Field(ge=1, le=3660)]], Field(min_length=1)]
    """By workload: for how many days; no other workload's content is kept."""


class AuditSettings(Strict):
    """The gateway's chain of records."""

    records: Path
    """Folder on a volume that outlives the process."""
    seals: Path
    """Folder in which the sealer leaves its latest seal."""
    seal_key: File
    """The sealer's public key, PEM."""
    site_key: File
    """64 hexadecimal digits, for HMACs of prompts and users."""
    policy: Name
    """Version of the policy by which this gateway was configured; in each record."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,119}$")] | None = None
    """Who writes; absent: the host's name, which is the pod's."""
    max_unsealed_s: Annotated[int, Field(ge=2, le=86400)] | None = None
    rotate_mib: Annotated[int, Field(ge=1, le=1024)] = 64
    keep_sealed_h: Annotated[float, Field(ge=0, le=720)] = 24
    """How long what is sealed stays on the volume too."""
    content: Content | None = None

    def limit_s(self, data_class: DataClass) -> int | None:
        """Seconds that a record may wait for its seal; None: for ever."""
        return self.max_unsealed_s if self.max_unsealed_s is not None else UNSEALED_S[data_class]

    def problem(self, data_class: DataClass) -> str | None:
        """What the class forbids of this."""
        max_unsealed_s = UNSEALED_S[data_class]
        if (
            max_unsealed_s is not None
            and self.max_unsealed_s is not None
            and self.max_unsealed_s > max_unsealed_s
        ):
            return f"audit.max_unsealed_s: class {data_class} takes {max_unsealed_s} or less"
        max_days = CONTENT_DAYS[data_class]
        for workload, days in self.content.days.items() if self.content else ():
            if max_days is not None and days > max_days:
                retention = f"at most {max_days} days" if max_days else "not"
                return f"audit.content.days.{workload}: class {data_class} keeps content {retention}"
        return None
