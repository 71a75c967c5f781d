"""Reads a stack's record of emergency accesses, checks the signatures and finds the accesses in force."""

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
from isthmus.core.errors import Refused, Where

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform


@dataclass
class Accesses:
    """The emergency accesses of a stack at one moment."""

    now: list[Access] = field(default_factory=list)
    """Accesses in force."""
    notes: list[str] = field(default_factory=list)
    """One sentence for each access that ended or has not begun."""


def file_of(folder: Path, stack: str) -> Path:
    return folder / f"{stack}.break-glass.yaml"


def load(folder: Path, stack: str) -> Records:
    """The record of a stack. It is empty if the file is missing."""
    from isthmus.core import yaml_files

    file = file_of(folder, stack)
    return yaml_files.parse(Records, yaml_files.load(file)) if file.is_file() else Records()


def read(folder: Path, stack: str, platform: Platform, now: datetime.datetime | None = None) -> Accesses:
    """The accesses in force at `now`, and notes about the others.

    Raises `Refused` for an access, in force or in the future, that two keyholders did not sign, that lasts too long,
    or that opens a namespace that does not exist. An access that ended grants nothing and is not checked.
    """
    moment = now or datetime.datetime.now(datetime.UTC)
    settings = platform.people.break_glass if platform.people else None
    accesses = Accesses()
    for record in load(folder, stack).accesses:
        where = Where(f"{folder.name}/{file_of(folder, stack).name}", None, f"accesses[{record.id}]")
        if record.until <= moment:
            accesses.notes.append(
                f"emergency access {record.id} of {record.requester} ended at {record.until:%Y-%m-%d %H:%M %Z}."
                " Its permissions are removed"
            )
            continue
        if settings is None:
            raise Refused(
                "the platform does not allow emergency access",
                where=where,
                fix="Add `people.break_glass.keyholders` to `isthmus:overrides`, or remove the record",
            )
        access = _checked_access(record, stack, platform, settings, where)
        if record.since > moment:
            accesses.notes.append(f"emergency access {record.id} begins at {record.since:%Y-%m-%d %H:%M %Z}")
        else:
            accesses.now.append(access)
    return accesses


def _checked_access(
    record: Record, stack: str, platform: Platform, settings: BreakGlass, where: Where
) -> Access:
    from edge import ssh_signatures

    keyholders = {keyholder.name: keyholder for keyholder in settings.keyholders}
    for name in (record.requester, record.approver):
        if name not in keyholders:
            fix = f"Choose a keyholder: {', '.join(sorted(keyholders))}"
            raise Refused(f"`{name}` is not a keyholder", where=where, fix=fix)
        try:
            signature = record.signatures.get(name, "")
            ssh_signatures.verify(signature, record.text(stack), SIGNATURE_NAMESPACE, keyholders[name].key)
        except ssh_signatures.BadSignature as error:
            raise Refused(
                f"`{name}` has not signed this access: {error}",
                where=where,
                fix=(
                    f"Run `isthmus break-glass {stack} {record.id} | ssh-keygen -Y sign -n {SIGNATURE_NAMESPACE} -f "
                    f"KEY`, and put its output under `signatures.{name}`"
                ),
            ) from None
    if record.until - record.since > datetime.timedelta(hours=settings.max_hours):
        raise Refused(
            f"the access lasts {record.until - record.since}, but may last at most {settings.max_hours} h",
            where=where,
            fix=(
                f"Set `until` to {settings.max_hours} h after `since` or earlier. Both keyholders must sign the "
                f"changed record again: `isthmus break-glass {stack} {record.id}` prints the text to sign"
            ),
        )
    served = {(component.site, component.class_) for component in (*platform.gateways, *platform.endpoints)}
    clusters = {site.name for site in kubernetes_sites(platform)}
    if record.site not in clusters or (record.site, record.class_) not in served:
        raise Refused(
            f"no cluster of site {record.site} has a namespace of class {record.class_}",
            where=where,
            fix="Set `site` and `class` to a namespace of the platform. An access opens one namespace in one cluster",
        )
    return Access.model_validate(
        {
            "id": record.id,
            "site": record.site,
            "class": record.class_,
            "requester": keyholders[record.requester].user,
            "approver": keyholders[record.approver].user,
            "reason": record.reason,
            "until": record.until.astimezone(datetime.UTC),
        }
    )
