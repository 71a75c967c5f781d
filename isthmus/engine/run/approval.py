"""Reads approvals of previews, and describes how a fresh preview differs from the approved one.

An approval is a digest, or the file of `isthmus preview --format json`. From a file, a refusal can list the changes
that are new, gone or different. Files are untrusted: other people may have edited them.
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
from isthmus.reports.format.lists import first_few

OPTION = "--approved"
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_ALLOWED_STEPS: Mapping[Op, tuple[Op, ...]] = {
    "create": ("create", "update"),
    "update": ("update",),
    "replace": ("replace", "create", "update"),
    "delete": ("delete", "update"),
    "import": ("import", "update"),
    "read": ("read",),
}
"""Approved operation → operations that one step of a longer run may do to the resource."""


@dataclass(frozen=True)
class Approval:
    """Approval of one stack's changes."""

    digest: str
    """`sha256:…`"""
    changes: tuple[Change, ...] | None = None
    """The approved changes; None if only a digest was given."""
    file: str = ""

    def differs(self, fresh: Preview) -> str:
        """Description of how a fresh preview differs; empty if it is the approved one."""
        if fresh.digest == self.digest:
            return ""
        if self.changes is None:
            return f"the digest of a fresh preview is {fresh.digest}: {_summary(fresh.changes)}"
        return describe_differences(self.changes, fresh.changes)


def parse_approvals(text: str, stacks: Sequence[str]) -> dict[str, Approval]:
    """Stack → its approval, from `--approved`: a digest, or a file of `isthmus preview`.

    Raises `InputError` for anything else and for a file of other stacks; `Refused` for a preview that is partial or
    failed, because it cannot be approved.
    """
    if match := _DIGEST.fullmatch(text):
        if len(stacks) != 1:
            raise InputError(
                f"a digest approves one stack, but {len(stacks)} stacks were given",
                where=OPTION,
                fix="Give the file of `isthmus preview --format json -o FILE` for all of them",
            )
        return {stacks[0]: Approval(f"sha256:{match[1]}")}
    previews = _read_previews(Path(text))
    names = [preview.stack for preview in previews]
    if sorted(names) != sorted(stacks):
        raise InputError(
            f"it is the preview of {visible(', '.join(names)) or 'no stack'}, but the command is for "
            f"{', '.join(stacks)}",
            where=text,
            fix="Give a preview of the same stacks",
        )
    file = str(Path(text).resolve())
    return {preview.stack: _approval(preview, file) for preview in previews}


def reread_approval(file: str, stack: str, digest: str) -> Approval:
    """The approval of one stack, read again in another process. Raises `InputError` if its digest has changed."""
    approvals = {
        preview.stack: _approval(preview, file)
        for preview in _read_previews(Path(file))
        if preview.stack == stack
    }
    if stack not in approvals or approvals[stack].digest != digest:
        raise InputError(
            "the file changed while it was read",
            where=file,
            fix="Check that the file is still the preview that was reviewed, then run the same command again",
        )
    return approvals[stack]


def changes_beyond(approved: Iterable[Change], step: Iterable[Change]) -> list[str]:
    """Descriptions of the changes in one step that exceed the approval of the whole run."""
    allowed: dict[str, tuple[Op, ...]] = {
        change.urn: _ALLOWED_STEPS.get(change.op, ()) for change in approved
    }
    return [
        f"{change.op} {_label(change)}" for change in step if change.op not in allowed.get(change.urn, ())
    ]


def describe_differences(approved: Iterable[Change], fresh: Iterable[Change]) -> str:
    """Text of the differences between two lists of changes."""
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
    except (OSError, ValueError) as error:
        if isinstance(error, ValidationError):
            what = f"the file is not a preview of this version ({visible(error.errors()[0]['msg'])})"
        elif isinstance(error, OSError):
            what = f"the file cannot be read ({visible(str(error))})"
        else:
            what = f"the file is not JSON ({visible(str(error))})"
        fix = "Give the file of `isthmus preview --format json -o FILE`"
        raise InputError(what, where=str(file), fix=fix) from error


def _approval(preview: Preview, file: str) -> Approval:
    where = f"{file} (stack {preview.stack})"
    if preview.baseline != "state":
        raise InputError(
            "it compares two commits, not the deployed stack",
            where=where,
            fix="Approve the output of `isthmus preview`",
        )
    if preview.status != "complete" or not preview.digest:
        raise Refused(
            "only a complete preview with a digest can be approved, but this one is"
            f" {'without a digest' if preview.status == 'complete' else preview.status}",
            where=where,
            fix="Run `isthmus preview` again, and approve the new file",
        )
    if preview.digest != digest(preview.changes):
        raise InputError(
            "its digest does not match the changes in it, so the file was edited",
            where=where,
            fix="Run `isthmus preview` again, and approve the new file",
        )
    return Approval(preview.digest, tuple(preview.changes), file)


def _change_digest(change: Change) -> str:
    """Digest of one change."""
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
        return "no changes"
    totals = [f"{number} to {op}" for op, number in counts(change.op for change in changes).items()]
    return f"{', '.join(totals)}: {first_few([f'{change.op} {_label(change)}' for change in changes])}"
