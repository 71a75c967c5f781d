"""The record of emergency accesses of a stack: read, held to the people that it names, and what is in force."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.contracts.platform.lookups.aws import kubernetes_sites
from isthmus.contracts.platform.model.emergency_access import (
    SIGNATURE_NAMESPACE,
    Access,
    BreakGlass,
    Record,
    Records,
)
from isthmus.core.errors import InputError, Refused, Where

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform


@dataclass
class Accesses:
    """What a record grants at one moment."""

    now: list[Access] = field(default_factory=list)
    """In force."""
    said: list[str] = field(default_factory=list)
    """A sentence for each that ended or has not begun."""


def file_of(folder: Path, stack: str) -> Path:
    return folder / f"{stack}.break-glass.yaml"


def load(folder: Path, stack: str) -> Records:
    """The record; empty where there is none."""
    from isthmus.core import yaml_files

    file = file_of(folder, stack)
    return yaml_files.parse(Records, yaml_files.load(file)) if file.is_file() else Records()


def read(folder: Path, stack: str, platform: Platform, now: datetime.datetime | None = None) -> Accesses:
    """What is in force at `now`.

    Raises `Refused` for an access that is in force or will be and that two known people did not sign, lasts longer
    than the platform lets it, or is to what is not there. One that ended grants nothing, and is kept unread.
    """
    moment = now or datetime.datetime.now(datetime.UTC)
    held = platform.people.break_glass if platform.people else None
    found = Accesses()
    for record in load(folder, stack).accesses:
        where = Where(f"{folder.name}/{file_of(folder, stack).name}", None, f"accesses[{record.id}]")
        if record.until <= moment:
            found.said.append(
                f"emergency access {record.id} of {record.requester} ended at {record.until:%Y-%m-%d %H:%M %Z}: it"
                " grants nothing, and what it granted is taken down"
            )
            continue
        if held is None:
            raise Refused(
                "an emergency access, and the platform has no break-glass",
                where=where,
                fix="Name `people.break_glass.keyholders` in `isthmus:overrides`, or take the record out",
            )
        access = _checked(record, stack, platform, held, where)
        if record.since > moment:
            found.said.append(f"emergency access {record.id} begins at {record.since:%Y-%m-%d %H:%M %Z}")
        else:
            found.now.append(access)
    return found


def _checked(record: Record, stack: str, platform: Platform, held: BreakGlass, where: Where) -> Access:
    from isthmus.core import ssh_signatures

    people = {each.name: each for each in held.keyholders}
    for who in (record.requester, record.approver):
        if who not in people:
            fix = f"Keyholders are: {', '.join(sorted(people))}"
            raise Refused(f"`{who}` is no keyholder", where=where, fix=fix)
        try:
            signature = record.signatures.get(who, "")
            ssh_signatures.verify(signature, record.text(stack), SIGNATURE_NAMESPACE, people[who].key)
        except InputError as wrong:
            raise Refused(
                f"`{who}` has not signed this: {wrong.what}",
                where=where,
                fix=(
                    f"`isthmus break-glass {stack} {record.id} | ssh-keygen -Y sign -n {SIGNATURE_NAMESPACE} -f "
                    f"KEY`; what it prints goes under `signatures.{who}`"
                ),
            ) from None
    if record.until - record.since > datetime.timedelta(hours=held.max_hours):
        raise Refused(
            f"the access lasts {record.until - record.since}, but may last at most {held.max_hours} h",
            where=where,
            fix=(
                f"Set `until` to {held.max_hours} h after `since` or earlier. Both keyholders must sign the changed "
                f"record again: `isthmus break-glass {stack} {record.id}` prints the text to sign"
            ),
        )
    there = {(each.site, each.class_) for each in (*platform.gateways, *platform.endpoints)}
    clusters = {each.name for each in kubernetes_sites(platform)}
    if record.site not in clusters or (record.site, record.class_) not in there:
        raise Refused(
            f"there is no class {record.class_} in a cluster of site {record.site}",
            where=where,
            fix="Break-glass opens one class's namespace in one cluster",
        )
    return Access.model_validate(
        {
            "id": record.id,
            "site": record.site,
            "class": record.class_,
            "requester": people[record.requester].user,
            "approver": people[record.approver].user,
            "reason": record.reason,
            "until": record.until.astimezone(datetime.UTC),
        }
    )
