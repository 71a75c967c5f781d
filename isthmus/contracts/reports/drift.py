"""What differs between a stack's state and the world: the command line's contract (`isthmus drift --format json`).

It speaks of changes, data paths and findings as a preview does; beside each change stands who made it, how grave it is,
and whether the platform asked for it. Secrets are masked before they come here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from isthmus.contracts.reports.findings import Finding, Severity
from isthmus.contracts.reports.preview import Change, DataPaths, Diagnostic, Status
from isthmus.contracts.vocabulary import Part

What = Literal["gone", "changed", "added", "foreign"]
"""`gone`: we made it, and it is not there. `changed`: what we set is different. `added`: somebody set on what is ours
what we did not say. `foreign`: it is in our namespaces, under our tags or in our networks, and no state knows it."""
KINDS_OF_DRIFT: tuple[What, ...] = ("gone", "changed", "foreign", "added")
"""In the order of what can hurt."""


class Drifted(Change):
    """One resource that is not as the stack left it: `old` as we said it, `new` as it stands."""

    what: What
    severity: Severity
    where: str = ""
    """Cluster and namespace, or region."""
    by: list[str] = []
    """Field managers that set it, as the API server tells them; empty where nobody says."""
    since: str = ""
    """When the last of them did."""
    expected: str = ""
    """Why the platform itself asked for it; such a change is told of and does not count. Empty: it did not."""
    why: str = ""
    """What it means, in a clause."""


class Unseen(Part):
    """What could not be looked at: there may be drift in it."""

    what: str
    where: str
    why: str


class Drift(Part):
    """What became of one stack since it was last brought up."""

    version: Literal["v1"] = "v1"
    stack: str = Field(min_length=1)
    status: Status
    """`partial`: something could not be looked at, or a way of data not decided; it is never `no drift`."""
    summary: dict[What, int] = {}
    """How many that were not asked for."""
    expected: int = 0
    """How many that were."""
    resources: int = 0
    """How many the state has that were looked at."""
    drifts: list[Drifted] = []
    """The gravest first; what was expected comes last."""
    data_paths: DataPaths = DataPaths.model_construct()
    """Before: by the state. After: by what stands."""
    policy: list[Finding] = []
    """What the drift has brought; what the policies find of the stack as it was built is the preview's to say."""
    unseen: list[Unseen] = []
    diagnostics: list[Diagnostic] = []

    @property
    def unasked(self) -> list[Drifted]:
        """What nobody asked for."""
        return [drifted for drifted in self.drifts if not drifted.expected]
