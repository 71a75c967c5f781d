"""Report of `isthmus drift --format json`: differences between a stack's state and the live resources.

Changes, data paths and findings have the same form as in a preview. A change also has the field managers that made
it, its severity, and whether the platform expects it. Secrets are masked before the report is built.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from isthmus.contracts.reports.findings import Finding, Severity
from isthmus.contracts.reports.preview import Change, DataPaths, Diagnostic, Status
from isthmus.contracts.vocabulary import Part

What = Literal["gone", "changed", "added", "foreign"]
"""Kind of drift.

`gone`: Isthmus created the resource, and it no longer exists. `changed`: a value that Isthmus sets is different.
`added`: a value that Isthmus does not set was added to a resource of the stack. `foreign`: a resource in the
stack's namespaces, with its tags or in its networks that is in no state."""
KINDS_OF_DRIFT: tuple[What, ...] = ("gone", "changed", "foreign", "added")
"""Sort order of reports: the most harmful kind first."""


class Drifted(Change):
    """One resource with drift. In its `properties`, `old` is the value in the state and `new` the live value."""

    what: What
    severity: Severity
    where: str = ""
    """Cluster and namespace, AWS region, or name of the resource's provider."""
    by: list[str] = []
    """Field managers that set the changed values, from the Kubernetes API server. Empty if it does not tell."""
    since: str = ""
    """Time of the last of these changes, ISO 8601. Empty if the API server does not tell."""
    expected: str = ""
    """Reason if the platform itself causes the change, for example autoscaling. Expected changes are listed but not
    counted as drift. Empty: the change is not expected."""
    why: str = ""
    """What the drift means, as a clause."""


class Unseen(Part):
    """Objects that could not be read, so drift in them is unknown."""

    what: str
    where: str
    why: str


class Drift(Part):
    """Drift of one stack since its last `isthmus up`."""

    version: Literal["v1"] = "v1"
    stack: str = Field(min_length=1)
    status: Status
    """`partial`: an object could not be read, a new data path or finding is undecided, or the engine reported an
    error. A partial report never means "no drift"."""
    summary: dict[What, int] = {}
    """Number of unexpected drifts of each kind."""
    expected: int = 0
    """Number of expected drifts."""
    resources: int = 0
    """Number of resources in the state, without components and providers."""
    drifts: list[Drifted] = []
    """Unexpected drifts first, sorted by severity; then the expected ones."""
    data_paths: DataPaths = DataPaths.model_construct()
    """Before: data paths of the state. After: data paths of the live resources."""
    policy: list[Finding] = []
    """Findings that the drift causes. Findings that the deployed stack already has are in its preview."""
    unseen: list[Unseen] = []
    diagnostics: list[Diagnostic] = []

    @property
    def unasked(self) -> list[Drifted]:
        """The unexpected drifts."""
        return [drifted for drifted in self.drifts if not drifted.expected]
