"""`isthmus audit corrections`: exports corrected answers as a data set, where their class allows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.audit_content_commands import By, KeysFolder, Recorded
from isthmus.cli.audit_options import (
    AsOf,
    PublicKeys,
    Since,
    StoreAccess,
    Verification,
    existing_folder,
    proven,
)
from isthmus.cli.option_classes import takes
from isthmus.cli.options import ProjectDir, StackName

if TYPE_CHECKING:
    from edge.reviews.correction_set import CorrectionRecords, CorrectionSet
    from isthmus.contracts.reference.handling import Handling


@dataclass(frozen=True, kw_only=True)
class CorrectionOptions:
    stack: StackName
    workload: Annotated[str, typer.Argument(metavar="WORKLOAD", help="The workload.", show_default=False)]
    store: Annotated[
        str,
        typer.Argument(
            metavar="STORE", help="Its audit store: a folder, or s3://bucket/prefix.", show_default=False
        ),
    ]
    public_key: PublicKeys
    database: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Your access to the review service's database, as for `python -m edge.keys`.",
            show_default=False,
        ),
    ]
    keys: KeysFolder
    wrapping_key: Annotated[
        Path, typer.Option(metavar="FILE", help="The key that encrypts the content keys.", show_default=False)
    ]
    volume: Recorded
    by: By
    reason: Annotated[
        str, typer.Option(help="What the data set is for, as a word such as fine-tuning.", show_default=False)
    ]
    licence: Annotated[
        str, typer.Option(help="Terms under which the data set may be used.", show_default=False)
    ]
    keep_until: Annotated[
        str, typer.Option(metavar="DATE", help="When you delete the data set.", show_default=False)
    ]
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="New file of JSON lines.", show_default=False),
    ]
    since: Since = 1
    as_of: AsOf = None
    access: StoreAccess
    project: ProjectDir = None


@takes(CorrectionOptions)
def corrections(options: CorrectionOptions) -> None:
    """Export what people corrected: request, answer, correction, reason and lineage, one line of JSON each.

    Needs what `audit content` needs, and the review service's database. The act is recorded first. The exit code is 1
    if the class does not allow it.
    """
    import hashlib
    import json

    from isthmus.core.errors import InputError, Refused

    place, records = _records(options)
    _check_terms(options, _handling(options, place))
    if options.output.exists():
        raise InputError("the file exists", where=str(options.output), fix="Name a new file")
    collected = _collect(options, place, records)
    if not collected.lines:
        raise Refused(
            f"there is no corrected answer to export ({_left_out(collected)})",
            where=f"workload {options.workload}",
            fix="Wait until people have corrected some; held answers are deleted after keep_days",
        )
    terms = {"terms": {"licence": options.licence, "keep_until": options.keep_until}}
    text = "".join(json.dumps({**line, **terms}, ensure_ascii=False) + "\n" for line in collected.lines)
    content = text.encode("utf-8", "surrogatepass")
    sha256 = hashlib.sha256(content).hexdigest()
    _record_and_write(options, content, len(collected.lines), sha256)
    print(f"{len(collected.lines):,} corrected answers are in {options.output}, sha256 {sha256}.")
    print(f"Left out: {_left_out(collected)}.")


def _left_out(collected: CorrectionSet) -> str:
    return (
        f"{collected.erased:,} erased, {collected.unsealed:,} without a sealed record yet, "
        f"{collected.unproven:,} without valid votes"
    )


def _records(options: CorrectionOptions) -> tuple[tuple[Any, str], CorrectionRecords]:
    """Class and site of the store, and its records of corrections. Raises `Refused` if the store is not proven."""
    from edge.reviews.correction_set import CorrectionRecords

    records = CorrectionRecords(options.workload)
    verification = Verification(volume=None, since=options.since, as_of=options.as_of, access=options.access)
    proof = proven(
        options.store,
        options.public_key,
        verification,
        lambda record, seal: records.add(record, (seal.number, seal.hash)) if seal else None,
        "no line could be traced back",
    )
    assert proof.last is not None
    return (proof.last.body["class"], proof.last.body["site"]), records


def _handling(options: CorrectionOptions, place: tuple[Any, str]) -> Handling:
    """The organisation's handling of the workload. Raises `InputError` if the store is not of its gateway."""
    from isthmus.contracts.reference import handling
    from isthmus.core.errors import InputError
    from isthmus.engine.preview.preview import read_plan_files
    from isthmus.engine.project import project as projects
    from isthmus.engine.stopping.stopping import gateways_of

    stack = projects.find_project(options.project).stack(options.stack)
    gateways = gateways_of(stack.platform(), options.workload)
    if place not in [(gateway.class_, gateway.site) for gateway in gateways]:
        places = ", ".join(f"{gateway.class_} at {gateway.site}" for gateway in gateways)
        raise InputError(
            f"the store is of class {place[0]} at {place[1]}, and `{options.workload}` runs in {places}",
            where=options.store,
            fix="Give the store of the workload's gateway",
        )
    requirements, _ = read_plan_files(stack)
    workload = next((entry for entry in requirements.workloads if entry.name == options.workload), None)
    table = handling.stricter_only(requirements.handling)
    return handling.overlay(place[0], workload.regimes if workload else (), table[place[0]])


def _check_terms(options: CorrectionOptions, handling: Handling) -> None:
    """Raise `Refused` if the handling does not allow the export, or not for so long."""
    from edge.openai_api import is_reason
    from isthmus.core.errors import InputError, Refused

    data_class = handling.class_
    if not handling.corrections_exported:
        raise Refused(
            f"corrected answers of class {data_class} may not be exported (`corrections_exported: false`)",
            where=f"handling.{data_class}.corrections_exported",
            fix="Leave them at the review desk; an organisation may only make the handling stricter",
        )
    if not options.reason or not is_reason(options.reason):
        raise InputError(
            f"`{options.reason}` is no reason",
            where="--reason",
            fix="Give a word such as fine-tuning: at most 40 of a-z, 0-9 and -",
        )
    try:
        until = date.fromisoformat(options.keep_until)
    except ValueError:
        raise InputError(
            f"`{options.keep_until}` is no date", where="--keep-until", fix="Write it like 2026-12-31"
        ) from None
    today = datetime.now(UTC).date()
    most = today + timedelta(days=handling.content_days_max) if handling.content_days_max else None
    if until <= today or (most is not None and until > most):
        limit = "" if most is None else f" and at most {most}, because the class keeps content so long"
        raise Refused(
            f"{until} is not after today{limit}",
            where="--keep-until",
            fix="Name the day on which you delete the data set",
        )


def _collect(options: CorrectionOptions, place: tuple[Any, str], records: CorrectionRecords) -> CorrectionSet:
    """Read and decrypt the corrected answers. Raises `InputError` and `EnvironmentFault`."""
    import asyncio

    from edge.config import ConfigError
    from edge.config.database import read_database_settings
    from edge.config.review import HeldKeys
    from edge.database import Database, DatabaseDown
    from edge.reviews import correction_set
    from edge.reviews.envelope import Envelopes
    from isthmus.core.errors import EnvironmentFault, InputError

    async def read() -> CorrectionSet:
        database = Database(read_database_settings(options.database))
        try:
            settings = HeldKeys(keys=existing_folder(options.keys), wrapping_key=options.wrapping_key)
            return await correction_set.collect(database, Envelopes(settings, "held"), records, place)
        finally:
            await database.close()

    try:
        return asyncio.run(read())
    except (ConfigError, ValueError) as error:
        raise InputError(str(error), where=str(options.database), fix="Check the file and the keys") from None
    except DatabaseDown as error:
        raise EnvironmentFault(
            f"the database did not answer ({error})",
            where=str(options.database),
            fix="Check its address, and that this user may read held answers (docs/audit.md)",
        ) from None


def _record_and_write(options: CorrectionOptions, content: bytes, count: int, sha256: str) -> None:
    """Record the export, then write the file, which only its owner may read."""
    import os

    from isthmus.cli.audit_content_commands import record_act

    record_act(
        options.volume,
        "export",
        workload=options.workload,
        by=options.by,
        reason=options.reason,
        answers=count,
        sha256=sha256,
    )
    descriptor = os.open(options.output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
