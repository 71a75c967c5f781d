"""A loosening that an entry `changes` of the base commit's `trust.yaml` can approve."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date

from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.trust import Trust


@dataclass(frozen=True)
class Approvals:
    """The base commit's trust, on the day of the comparison."""

    trust: Trust
    today: date

    def change(self, what: str, old: str, new: str, value: str) -> RuleChange:
        """The change of `what`. It is only shown if the trust names `value`, which is the entry to propose."""
        return RuleChange(
            kind="reach" if self.trust.find("changes", value, self.today) else "trust",
            what=what,
            old=old,
            new=new,
            loosens=True,
            entry=("changes", value),
        )


def short_digest(content: bytes) -> str:
    """The first twelve hexadecimal digits of the SHA-256, which an entry can name."""
    return hashlib.sha256(content).hexdigest()[:12]
