"""What a person approved of a preview: its digest, alone or in the preview's own file; and how another one differs.

An approval is of one stack, as it stood. A file says more than a digest: which changes were approved, so that a refusal
names those that are new, gone or different. It was written by `isthmus preview --format json`, and has been through
other hands since.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.contracts.reports.preview import Change, Op, Preview
from isthmus.core.errors import InputError, Refused
from isthmus.engine.automation.events import resource_label
from isthmus.engine.preview.changes import counts, digest
from isthmus.reports.format.escaping import visible

OPTION = "--approved"
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_SHOWN_CHANGES = 5
"""Changes that a refusal names of each kind."""
_ALLOWED_STEPS: Mapping[Op, tuple[Op, ...]] = {
    "create": ("create", "update"),
    "update": ("update",),
    "replace": ("replace", "create", "update"),
    "delete": ("delete", "update"),
    "import": ("import", "update"),
    "read": ("read",),
}
"""What was approved for a resource → what a step of several may do to it: no more than that."""


@dataclass(frozen=True)
class Approval:
    """Of one stack."""

    digest: str
    """`sha256:…`"""
    changes: tuple[Change, ...] | None = None
    """None: a digest alone was given."""
    file: str = ""

    def differs(self, fresh: Preview) -> str:
        """What a fresh preview has that was not approved, in words; empty where it is the same."""
        if fresh.digest == self.digest:
            return ""
        if self.changes is None:
            return f"a fresh preview comes to {fresh.digest}: {_summary(fresh.changes)}"
        return describe_differences(self.changes, fresh.changes)


def parse_approvals(text: str, stacks: Sequence[str]) -> dict[str, Approval]:
    """By stack, what `--approved` says of those that are to be built: a digest, or a file that `isthmus preview` wrote.

    Raises `InputError` for what is neither, and for a file of other stacks; `Refused` for a preview that was seen in
    part or failed, which has nothing that could be approved.
    """
    if match := _DIGEST.fullmatch(text):
        if len(stacks) != 1:
            raise InputError(
                f"a digest is of one stack, and {len(stacks)} are to be built",
                where=OPTION,
                fix="Give the file of `isthmus preview --format json -o FILE` for all of them",
            )
        return {stacks[0]: Approval(f"sha256:{match[1]}")}
    previews = _read_previews(Path(text))
    names = [preview.stack for preview in previews]
    if sorted(names) != sorted(stacks):
        raise InputError(
            f"it is the preview of {visible(', '.join(names))}, and {', '.join(stacks)} is to be built",
            where=text,
            fix="Approve a preview of the same stacks",
        )
    file = str(Path(text).resolve())
    return {preview.stack: _approval(preview, file) for preview in previews}


def reread_approval(file: str, stack: str, digest: str) -> Approval:
    """Of one stack of a file that was read before, in another process. `InputError` where it is another by now."""
    approvals = {
        preview.stack: _approval(preview, file)
        for preview in _read_previews(Path(file))
        if preview.stack == stack
    }
    if stack not in approvals or approvals[stack].digest != digest:
        raise InputError("it was changed while it was read", where=file, fix="Run the same command again")
    return approvals[stack]


def changes_beyond(approved: Iterable[Change], step: Iterable[Change]) -> list[str]:
    """Changes of one step of a build that go beyond what was approved for the whole of it, named."""
    allowed: dict[str, tuple[Op, ...]] = {
        change.urn: _ALLOWED_STEPS.get(change.op, ()) for change in approved
    }
    return [
        f"{change.op} {_label(change)}" for change in step if change.op not in allowed.get(change.urn, ())
    ]


def describe_differences(approved: Iterable[Change], fresh: Iterable[Change]) -> str:
    """In words, what two accounts of a change differ in."""
    approved_by_urn, fresh_by_urn = (
        {change.urn: change for change in changes} for changes in (approved, fresh)
    )
    differing = [
        (approved_by_urn[urn], fresh_by_urn[urn])
        for urn in fresh_by_urn
        if urn in approved_by_urn
        and _change_digest(approved_by_urn[urn]) != _change_digest(fresh_by_urn[urn])
    ]
    groups = (
        (
            "new",
            [
                f"{change.op} {_label(change)}"
                for change in fresh_by_urn.values()
                if change.urn not in approved_by_urn
            ],
        ),
        (
            "gone",
            [
                f"{change.op} {_label(change)}"
                for change in approved_by_urn.values()
                if change.urn not in fresh_by_urn
            ],
        ),
        (
            "different",
            [_difference(approved_change, fresh_change) for approved_change, fresh_change in differing],
        ),
    )
    return "; ".join(f"{heading}: {first_few(lines)}" for heading, lines in groups if lines)


def first_few(lines: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    hidden_count = len(lines) - _SHOWN_CHANGES
    return ", ".join(lines[:_SHOWN_CHANGES]) + (f" and {hidden_count} more" if hidden_count > 0 else "")


def _read_previews(file: Path) -> list[Preview]:
    from pydantic import ValidationError

    if not file.is_file():
        raise InputError(
            f"`{visible(str(file))}` is neither a digest (sha256: and 64 hexadecimal digits) nor a file",
            where=OPTION,
            fix="Give the digest of a preview, or the file of `isthmus preview --format json -o FILE`",
        )
    try:
        content: Any = json.loads(file.read_text("utf-8"))
        return [
            Preview.model_validate(document)
            for document in (content if isinstance(content, list) else [content])
        ]
    except (OSError, ValueError, ValidationError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InputError(
            f"it is no preview of this version ({visible(why)})",
            where=str(file),
            fix="Give the file of `isthmus preview --format json -o FILE`",
        ) from error


def _approval(preview: Preview, file: str) -> Approval:
    where = f"{file} (stack {preview.stack})"
    if preview.baseline != "state":
        raise InputError(
            "it compares two commits, and says nothing of what stands",
            where=where,
            fix="Approve what `isthmus preview` gives",
        )
    if preview.status != "complete" or not preview.digest:
        raise Refused(
            f"the preview is {preview.status}: what was not seen whole cannot be approved",
            where=where,
            fix="Preview again, and approve that",
        )
    if preview.digest != digest(preview.changes):
        raise InputError(
            "its digest is not that of the changes in it",
            where=where,
            fix="The file was changed since it was written: preview again, and approve that",
        )
    return Approval(preview.digest, tuple(preview.changes), file)


def _change_digest(change: Change) -> str:
    """All that the digest is over."""
    return digest([change])


def _difference(approved: Change, fresh: Change) -> str:
    if approved.op != fresh.op:
        return f"{approved.op} of {_label(fresh)} is now {fresh.op}"
    approved_properties, fresh_properties = (
        {property.path: property for property in change.properties} for change in (approved, fresh)
    )
    paths = sorted(
        path
        for path in {*approved_properties, *fresh_properties}
        if approved_properties.get(path) != fresh_properties.get(path)
    )
    return (
        f"{fresh.op} of {_label(fresh)} ({first_few([visible(path) for path in paths]) or 'what forces it'})"
    )


def _label(change: Change) -> str:
    return visible(resource_label(change.urn))


def _summary(changes: Sequence[Change]) -> str:
    if not changes:
        return "nothing is to be changed"
    totals = [f"{number} to {op}" for op, number in counts(change.op for change in changes).items()]
    return f"{', '.join(totals)}: {first_few([f'{change.op} {_label(change)}' for change in changes])}"
