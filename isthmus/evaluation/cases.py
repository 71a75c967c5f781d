"""Test cases of a workload: JSON Lines with what is asked, what is right, and where the case comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from isthmus.contracts.vocabulary import SENSITIVITIES, Language, Sensitivity, Sha256
from isthmus.core import yaml_files
from isthmus.core.digests import sha256_of
from isthmus.core.errors import InputError, IsthmusError, Refused, Where, join

MOST_CASES = 100_000
"""Cases of one file at most."""
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
Filled = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, strict=True)


class Message(_Part):
    """A message of the conversation that a case asks."""

    role: Literal["system", "user", "assistant"]
    content: str


class ToolCall(_Part):
    """A call of a tool that is expected."""

    name: str
    arguments: dict[str, Any] = {}
    """Arguments that the call must have. It may have more."""


class Case(_Part):
    """A test case: what is asked, what is right, and where it comes from."""

    id: Name
    """Name of the case, once in an evaluation."""
    class_: Annotated[Sensitivity, Field(alias="class")]
    """Class of its content."""
    source: Filled
    """Where it comes from, for example `claims of 2026, sanitised`."""
    consent: Filled
    """Why it may be used: the legal basis, `synthetic`, `public`."""
    sha256: Sha256 | None = None
    """Digest of the case without this key (`isthmus evaluate --write-digests`)."""
    prompt: str | None = None
    """What the user asks, or `messages`."""
    messages: list[Message] | None = None
    """The conversation, in place of `prompt`."""
    tools: list[dict[str, Any]] = []
    """Tools that the model may call, as OpenAI's API has them."""
    expected: str | list[str] | dict[str, Any] | None = None
    """What is right: a text, several right texts, or the fields of a JSON object."""
    call: ToolCall | None = None
    """The tool call that is right."""
    refuse: bool | None = None
    """Whether the model should refuse to answer."""
    language: Language | None = None
    """Language of the case. Scores are shown for each."""
    group: Name | None = None
    """Cases with the same origin, for example one document. They are counted as one observation in intervals."""
    slices: dict[str, str] = {}
    """Further properties. Scores are shown for each value."""

    @property
    def conversation(self) -> list[Message]:
        """What is asked, without the workload's own system prompt."""
        if self.messages is not None:
            return self.messages
        return [Message(role="user", content=self.prompt or "")]

    @property
    def text(self) -> str:
        """All that is asked, as one text."""
        return "\n".join(message.content for message in self.conversation)


def digest_of(content: dict[str, Any]) -> str:
    """The digest of a case, as it is in its file: of all keys but `sha256`."""
    kept = {key: value for key, value in content.items() if key != "sha256"}
    text = json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return sha256_of(text)


def read_cases(file: Path, most: Sensitivity) -> list[Case]:
    """Read a file of cases.

    Args:
        file: JSON Lines, a case a line. Empty lines are skipped.
        most: class of the workload. No case may be above it.

    Raises:
        InputError: a line is not a case, a name comes twice, or a case is not what its digest says. All lines are
            named.
        Refused: a case is of a higher class.
    """
    faults: list[IsthmusError] = []
    cases: dict[str, Case] = {}
    for number, content in _lines(file, faults):
        where = Where(str(file), number)
        try:
            case = Case.model_validate(content)
        except ValidationError as error:
            faults += [InputError(_describe(first), where=where) for first in error.errors()[:3]]
            continue
        faults += _faults_of(case, content, where, most)
        if case.id in cases:
            faults.append(
                InputError(f"the case `{case.id}` comes twice", where=where, fix="Give it another id")
            )
        cases[case.id] = case
    if faults:
        raise join(faults[:50])
    if not cases:
        raise InputError(
            "the file has no case", where=str(file), fix="Write a case a line (docs/evaluation.md)"
        )
    return list(cases.values())


def write_digests(file: Path) -> int:
    """Write the digest of each case into its line. Returns how many lines changed. Raises `InputError`."""
    faults: list[IsthmusError] = []
    lines, changed = [], 0
    for _, content in _lines(file, faults):
        digest = digest_of(content)
        changed += content.get("sha256") != digest
        lines.append(json.dumps(content | {"sha256": digest}, ensure_ascii=False))
    if faults:
        raise join(faults[:50])
    if changed:
        yaml_files.write_text(file, "\n".join(lines) + "\n")
    return changed


def digest_of_cases(tasks: Mapping[str, Sequence[Case]]) -> str:
    """The digest of the cases of each task, in any order."""
    lines = sorted(f"{name} {case.sha256}" for name, cases in tasks.items() for case in cases)
    return sha256_of("\n".join(lines))


def _lines(file: Path, faults: list[IsthmusError]) -> list[tuple[int, dict[str, Any]]]:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file of cases cannot be read: {error}", where=str(file)) from None
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            content = None
        if isinstance(content, dict):
            found.append((number, content))
        else:
            faults.append(InputError("the line is not a JSON object", where=Where(str(file), number)))
    if len(found) > MOST_CASES:
        raise InputError(
            f"the file has {len(found)} cases, and at most {MOST_CASES} are allowed", where=str(file)
        )
    return found


def _describe(error: Any) -> str:
    path = ".".join(str(part) for part in error["loc"])
    return f"`{path}`: {error['msg'][:1].lower()}{error['msg'][1:]}" if path else str(error["msg"])


def _faults_of(case: Case, content: dict[str, Any], where: Where, most: Sensitivity) -> list[IsthmusError]:
    faults: list[IsthmusError] = []
    if (case.prompt is None) == (case.messages is None):
        both = "both" if case.prompt is not None else "neither"
        faults.append(
            InputError(
                f"the case `{case.id}` has {both} of `prompt` and `messages`", where=where, fix="Give one"
            )
        )
    if wrong := [tool for tool in case.tools if not _is_tool(tool)]:
        how = 'Write {"type": "function", "function": {"name": …, "parameters": {…}}}'
        faults.append(
            InputError(f"the case `{case.id}` has {len(wrong)} tools without a name", where=where, fix=how)
        )
    if SENSITIVITIES.index(case.class_) > SENSITIVITIES.index(most):
        faults.append(
            Refused(
                f"the case `{case.id}` is of class {case.class_}, and the workload handles {most} at most",
                where=where,
                fix="Sanitise it (`isthmus sanitise`), or remove it",
            )
        )
    if case.sha256 is None:
        how = "Read the case, then run the command with --write-digests"
        faults.append(InputError(f"the case `{case.id}` has no sha256", where=where, fix=how))
    elif case.sha256 != digest_of(content):
        how = "Undo the change, or read the case and run the command with --write-digests"
        faults.append(InputError(f"the case `{case.id}` is not what its sha256 says", where=where, fix=how))
    return faults


def _is_tool(tool: dict[str, Any]) -> bool:
    """Whether it has a name and, if any, an object of parameters."""
    function = tool.get("function")
    return (
        isinstance(function, dict)
        and isinstance(function.get("name"), str)
        and isinstance(function.get("parameters", {}), dict)
    )
