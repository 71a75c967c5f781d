"""Finds out which workload and endpoint an application inference profile belongs to.

A stack creates one profile for each workload and endpoint on Bedrock (`components/aws/bedrock/access.py`). AWS chooses
its ARN, so the ARN comes from the state of the stack, from a file, or from the tags of the bill's lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from isthmus.contracts.plan.document import Plan
from isthmus.core import yaml_files
from isthmus.core.errors import InputError
from isthmus.usage.bills.lines import BillLine, tag_key
from isthmus.usage.prices import Use

KnownBy = Literal["file", "state", "tags"]
_PROFILE = re.compile(
    r"arn:aws[a-z-]*:bedrock:(?P<place>[a-z0-9-]+:[0-9]{12}):(application-)?inference-profile/(?P<id>[^/]+)(/.*)?"
)
_TYPE = "aws:bedrock/inferenceProfile:InferenceProfile"
WORKLOAD_TAG, CLASS_TAG = tag_key("isthmus.dev/workload"), tag_key("isthmus.dev/class")
PLATFORM_TAG, STACK_TAG = tag_key("isthmus-platform"), tag_key("isthmus-stack")


def profile_arn(resource: str) -> str:
    """The ARN of the application inference profile that a line names. Empty: it names none.

    AWS documents two forms, `application-inference-profile/ID` and `inference-profile/ID`. This is the first one.
    """
    match = _PROFILE.fullmatch(resource)
    if match is None:
        return ""
    return f"{resource.partition(':bedrock:')[0]}:bedrock:{match['place']}:application-inference-profile/{match['id']}"


@dataclass(frozen=True)
class Owner:
    """How the resources of a stack are tagged. `stack`: `PROJECT/STACK`."""

    platform: str
    stack: str

    def resources(self, lines: Iterable[BillLine]) -> set[str]:
        """Ids of resources that a tagged line names: all their lines are the stack's, also untagged earlier ones."""
        return {line.resource for line in lines if line.resource and self.owns(line)}

    def owns(self, line: BillLine) -> bool:
        """Whether the tags of a line say that its resource belongs to the stack.

        The stack's tag decides where it is an active cost allocation tag; otherwise the platform's does.
        """
        if stack := line.tags.get(STACK_TAG):
            return stack == self.stack
        return line.tags.get(PLATFORM_TAG) == self.platform


@dataclass(frozen=True)
class Profiles:
    """The profiles of a stack by ARN."""

    uses: Mapping[str, Use]
    known_by: Mapping[str, KnownBy]
    """How each profile is known."""
    unclear: Mapping[str, str]
    """Profiles of the stack whose workload and endpoint are not known, each with the reason."""
    planned: Sequence[Use] = ()
    """What the plan lets call models on Bedrock. It is compared even if the bill has no profile for it."""

    def all_uses(self) -> set[Use]:
        """Known and planned ones."""
        return {*self.uses.values(), *self.planned}


def bedrock_uses(plan: Plan) -> list[Use]:
    """The workloads that the plan lets call models on Bedrock."""
    endpoints = {endpoint.id for endpoint in plan.endpoints if endpoint.target == "bedrock"}
    uses = {Use(placement.endpoint, placement.workload) for placement in plan.placements}
    return sorted(use for use in uses if use.endpoint in endpoints)


def find_profiles(
    plan: Plan,
    lines: Iterable[BillLine],
    owner: Owner,
    *,
    stated: Mapping[str, Use] | None = None,
    state: Mapping[str, Any] | None = None,
) -> Profiles:
    """Find the profiles of a stack: in a file first, then in its state, then by the tags of the bill's lines.

    Args:
        plan: the plan of the stack.
        lines: the lines of the bill.
        owner: how the stack's resources are tagged.
        stated: profiles of a file (`read_profiles`).
        state: the stack's state as Pulumi exports it, with `resources`.
    """
    uses = bedrock_uses(plan)
    found: dict[str, Use] = {}
    known_by: dict[str, KnownBy] = {}
    unclear: dict[str, str] = {}
    tagged = _by_tags(plan, lines, owner, uses, unclear)
    sources: tuple[tuple[KnownBy, Mapping[str, Use]], ...] = (
        ("tags", tagged),
        ("state", _by_state(state or {}, uses)),
        ("file", stated or {}),
    )
    for source, profiles in sources:
        found.update(profiles)
        known_by.update(dict.fromkeys(profiles, source))
    still_unclear = {arn: why for arn, why in unclear.items() if arn not in found}
    return Profiles(found, known_by, still_unclear, uses)


def read_profiles(path: Path) -> dict[str, Use]:
    """Read a file with `profiles`: the ARN of each with its `workload` and `endpoint`. Raises `InputError`."""
    document = yaml_files.load(path)
    profiles = document.data.get("profiles") if isinstance(document.data, dict) else None
    if not isinstance(profiles, dict) or not profiles:
        raise InputError("the file has no `profiles`", where=str(path), fix=_FILE)
    uses: dict[str, Use] = {}
    for arn, entry in profiles.items():
        if not profile_arn(str(arn)):
            raise InputError(
                f"`{arn}` is not the ARN of an application inference profile",
                where=document.where(("profiles", arn), key=True),
                fix="Copy it from `aws bedrock list-inference-profiles --type-equals APPLICATION`",
            )
        if not isinstance(entry, dict) or set(entry) != {"workload", "endpoint"}:
            raise InputError(
                "a profile needs exactly `workload` and `endpoint`",
                where=document.where(("profiles", arn), key=True),
                fix=_FILE,
            )
        uses[profile_arn(str(arn))] = Use(str(entry["endpoint"]), str(entry["workload"]))
    return uses


_FILE = "Write `profiles: {arn:aws:bedrock:…: {workload: campaign-copy, endpoint: public-nova-lite}}`"


def _by_state(state: Mapping[str, Any], uses: Sequence[Use]) -> dict[str, Use]:
    """Profiles of the state: the name of the resource ends in endpoint and workload, and a tag has the workload."""
    found: dict[str, Use] = {}
    for resource in state.get("resources") or []:
        if resource.get("type") != _TYPE or resource.get("delete"):
            continue
        outputs = resource.get("outputs") or {}
        name = str(resource.get("urn", "")).rpartition("::")[2]
        tags = outputs.get("tags") or (resource.get("inputs") or {}).get("tags") or {}
        for use in uses:
            if (
                name.endswith(f"-{use.endpoint}-{use.workload}")
                and tags.get("isthmus.dev/workload") == use.workload
            ):
                found[profile_arn(str(outputs.get("arn")))] = use
    return found


def _by_tags(
    plan: Plan, lines: Iterable[BillLine], owner: Owner, uses: Sequence[Use], unclear: dict[str, str]
) -> dict[str, Use]:
    """Profiles whose tags fit one endpoint. A tagged line names the profile of lines before the tags were active."""
    classes = {endpoint.id: endpoint.class_ for endpoint in plan.endpoints}
    found: dict[str, Use] = {}
    for line in lines:
        arn, workload = profile_arn(line.resource), line.tags.get(WORKLOAD_TAG)
        if not arn or not workload or arn in found or not owner.owns(line):
            continue
        fitting = [
            use
            for use in uses
            if use.workload == workload
            and line.tags.get(CLASS_TAG, classes[use.endpoint]) == classes[use.endpoint]
        ]
        if len(fitting) == 1:
            found[arn] = fitting[0]
        else:
            names = ", ".join(use.endpoint for use in fitting)
            unclear[arn] = (
                f"its tags fit several endpoints ({names})"
                if fitting
                else f"the plan has no `{workload}` on Bedrock"
            )
    return found
