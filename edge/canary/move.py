"""A move of a release: what a person signs, whether it holds, and which move may follow which."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edge import ssh_signatures
from edge.ssh_signatures import ANOTHER_KEY

NAMESPACE, APPROVAL = "isthmus-release", "isthmus-release-approval"
"""Namespaces of signatures (`ssh-keygen -Y sign -n`) of who moves and who approves. A signature with another namespace
is not valid there."""
Act = Literal["start", "next", "abort"]


@dataclass(frozen=True)
class Move:
    """One change of the share of a release."""

    data_class: str
    site: str
    workload: str
    model: str
    """The model's name for callers."""
    release: str
    number: int
    """Of all moves of the workload, from 1."""
    act: Act
    from_percent: float
    to_percent: float
    steps: tuple[float, ...]
    """The shares that the platform allows, ascending, in percent."""
    by: str
    """The person's database user."""
    reason: str
    """A word."""

    def text(self) -> str:
        """What the person signs: JSON with sorted keys."""
        fields = {
            "isthmus": "release move 1",
            "class": self.data_class,
            "site": self.site,
            "workload": self.workload,
            "model": self.model,
            "release": self.release,
            "number": self.number,
            "act": self.act,
            "from": _plain(self.from_percent),
            "to": _plain(self.to_percent),
            "steps": [_plain(step) for step in self.steps],
            "by": self.by,
            "reason": self.reason,
        }
        return json.dumps(fields, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_row(cls, row: Any) -> Move:
        """A row of `isthmus.release_moves`."""
        same = (
            "site",
            "workload",
            "model",
            "release",
            "number",
            "act",
            "from_percent",
            "to_percent",
            "by",
            "reason",
        )
        return cls(data_class=row["class"], steps=tuple(row["steps"]), **{key: row[key] for key in same})

    @classmethod
    def from_text(cls, text: str) -> Move:
        """The move of a text that somebody signed."""
        fields = json.loads(text)
        same = ("site", "workload", "model", "release", "number", "act", "by", "reason")
        return cls(
            data_class=fields["class"],
            from_percent=float(fields["from"]),
            to_percent=float(fields["to"]),
            steps=tuple(map(float, fields["steps"])),
            **{key: fields[key] for key in same},
        )

    def signing_problem(self, signed: str, signature: str, keys: Iterable[str]) -> str:
        """Why this is not what one of these people signed; empty: it is. `signed`: the text beside the signature."""
        if signed != self.text():
            return "its fields are not those that were signed"
        return signature_problem(signed, signature, keys)

    def approval_problem(self, signature: str, approval: str, keys: Iterable[str]) -> str:
        """Why no second person approved it; empty: one did. An abort needs none. `signature`: of the first person."""
        if self.act == "abort":
            return ""
        if not approval:
            return "the workload needs two people, and nobody approved it"
        others = [key for key in keys if signature_problem(self.text(), signature, [key])]
        problem = signature_problem(self.text(), approval, others, APPROVAL)
        return f"its approval does not count: {problem}" if problem else ""

    def people_problem(
        self, signed: str, signature: str, approval: str, keys: Iterable[str], *, needs_two: bool
    ) -> str:
        """Why the people whom it needs did not make it; empty: they did.

        Args:
            signed: the text beside the signature.
            signature: of the first person.
            approval: signature of the second person; empty: nobody approved it.
            keys: public keys of the people who may.
            needs_two: whether it needs a second person.
        """
        keys = [*keys]
        problem = self.signing_problem(signed, signature, keys)
        return problem or (self.approval_problem(signature, approval, keys) if needs_two else "")

    def problem_after(self, before: Move | None) -> str:
        """Why it may not follow this move of the same release; empty: it may. None: it is the first move."""
        if self.act == "abort":  # whatever was before it: a move that does not count may stand between
            return "" if self.to_percent == 0 else "an abort leads to a share of 0"
        if before is not None and before.act == "abort":
            return "the release was aborted before"
        if self.from_percent != (0 if before is None else before.to_percent):
            return "it begins at another share"
        if (self.act == "start") is not (before is None):
            return "a release starts once, before everything else"
        if before is not None and self.steps != before.steps:
            return "the release was started with other steps"
        if self.to_percent != following_step(self.steps, self.from_percent):
            return "it does not lead to the following step"
        return ""


def following_step(steps: Sequence[float], percent: float) -> float | None:
    """The step after a share; None after the last one. A share of 0 comes before the first step."""
    return next((step for step in steps if step > percent), None)


def signature_problem(text: str, signature: str, keys: Iterable[str], namespace: str = NAMESPACE) -> str:
    """Why none of these people signed the text; empty: one of them did. `keys`: `ssh-ed25519 BASE64 COMMENT`."""
    problems: list[str] = []
    for key in keys:
        try:
            ssh_signatures.verify(signature, text, namespace, key)
        except ssh_signatures.BadSignature as error:
            problems.append(str(error))
        else:
            return ""
    nobody = (
        "nobody who may release signed it"
        if namespace == NAMESPACE
        else "nobody else who may release gave it"
    )
    return next((problem for problem in problems if problem != ANOTHER_KEY), nobody)


def _plain(percent: float) -> float | int:
    """A percentage as people write it: 5, not 5.0. What is no finite number stays as it is: nobody signed it."""
    return int(percent) if math.isfinite(percent) and percent == int(percent) else percent
