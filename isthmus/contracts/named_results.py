"""The result of an evaluation that a candidate names, as it was read from the project's files."""

from __future__ import annotations

from isthmus.contracts.signed_results import SignedResult
from isthmus.contracts.vocabulary import Part


class NamedResult(Part):
    """What the files say about a candidate's result. It has no question and no answer."""

    workload: str
    """Workload of the candidate that names it."""
    file: str
    """Its path below the folder `evaluations`."""
    sha256: str
    """Digest that the platform names."""
    signed: SignedResult | None
    """The result, without the scores of single cases. None: it cannot be read."""
    fault: str = ""
    """Why it cannot be read."""
    definition_sha256: str | None
    """Digest of the workload's `evaluation.yaml`. None: it cannot be read."""
    prompt_sha256: str | None
    """Digest of the workload's system prompt. None: there is none."""
