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
from isthmus.engine.automation.events import named
from isthmus.engine.preview.changes import counts, digest
from isthmus.reports.format.escaping import visible

OPTION = "--approved"
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_MOST = 5
"""Changes that a refusal names of each kind."""
_NO_MORE_THAN: Mapping[Op, tuple[Op, ...]] = {
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
        return compared(self.changes, fresh.changes)


def of(text: str, stacks: Sequence[str]) -> dict[str, Approval]:
    """By stack, what `--approved` says of those that are to be built: a digest, or a file that `isthmus preview` wrote.

    Raises `InputError` for what is neither, and for a file of other stacks; `Refused` for a preview that was seen in
    part or failed, which has nothing that could be approved.
    """
    if found := _DIGEST.fullmatch(text):
        if len(stacks) != 1:
            raise InputError(
                f"a digest is of one stack, and {len(stacks)} are to be built",
                where=OPTION,
                fix="Give the file of `isthmus preview --format json -o FILE` for all of them",
            )
        return {stacks[0]: Approval(f"sha256:{found[1]}")}
    previews = _read(Path(text))
    names = [each.stack for each in previews]
    if sorted(names) != sorted(stacks):
        raise InputError(
            f"it is the preview of {visible(', '.join(names))}, and {', '.join(stacks)} is to be built",
            where=text,
            fix="Approve a preview of the same stacks",
        )
    file = str(Path(text).resolve())
    return {each.stack: _approval(each, file) for each in previews}


def again(file: str, stack: str, known: str) -> Approval:
    """Of one stack of a file that was read before, in another process. `InputError` where it is another by now."""
    found = {each.stack: _approval(each, file) for each in _read(Path(file)) if each.stack == stack}
    if stack not in found or found[stack].digest != known:
        raise InputError("it was changed while it was read", where=file, fix="Run the same command again")
    return found[stack]


def within(approved: Iterable[Change], step: Iterable[Change]) -> list[str]:
    """Changes of one step of a build that go beyond what was approved for the whole of it, named."""
    may: dict[str, tuple[Op, ...]] = {each.urn: _NO_MORE_THAN.get(each.op, ()) for each in approved}
    return [f"{each.op} {_named(each)}" for each in step if each.op not in may.get(each.urn, ())]


def compared(approved: Iterable[Change], fresh: Iterable[Change]) -> str:
    """In words, what two accounts of a change differ in."""
    was, now = ({each.urn: each for each in side} for side in (approved, fresh))
    both = [(was[urn], now[urn]) for urn in now if urn in was and _told(was[urn]) != _told(now[urn])]
    parts = (
        ("new", [f"{each.op} {_named(each)}" for each in now.values() if each.urn not in was]),
        ("gone", [f"{each.op} {_named(each)}" for each in was.values() if each.urn not in now]),
        ("different", [_difference(one, other) for one, other in both]),
    )
    return "; ".join(f"{word}: {listed(lines)}" for word, lines in parts if lines)


def listed(lines: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = len(lines) - _MOST
    return ", ".join(lines[:_MOST]) + (f" and {more} more" if more > 0 else "")


def _read(file: Path) -> list[Preview]:
    from pydantic import ValidationError

    if not file.is_file():
        raise InputError(
            f"`{visible(str(file))}` is neither a digest (sha256: and 64 hexadecimal digits) nor a file",
            where=OPTION,
            fix="Give the digest of a preview, or the file of `isthmus preview --format json -o FILE`",
        )
    try:
        said: Any = json.loads(file.read_text("utf-8"))
        return [Preview.model_validate(each) for each in (said if isinstance(said, list) else [said])]
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


def _told(change: Change) -> str:
    """All that the digest is over."""
    return digest([change])


def _difference(was: Change, now: Change) -> str:
    if was.op != now.op:
        return f"{was.op} of {_named(now)} is now {now.op}"
    one, other = ({each.path: each for each in side.properties} for side in (was, now))
    paths = sorted(path for path in {*one, *other} if one.get(path) != other.get(path))
    return f"{now.op} of {_named(now)} ({listed([visible(path) for path in paths]) or 'what forces it'})"


def _named(change: Change) -> str:
    return visible(named(change.urn))


def _summary(changes: Sequence[Change]) -> str:
    if not changes:
        return "nothing is to be changed"
    told = [f"{number} to {op}" for op, number in counts(each.op for each in changes).items()]
    return f"{', '.join(told)}: {listed([f'{each.op} {_named(each)}' for each in changes])}"
