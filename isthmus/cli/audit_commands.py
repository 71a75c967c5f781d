"""`isthmus audit …`: verifies the audit record, and reports from it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.audit_content_commands import content, erase, expire, hold, release
from isthmus.cli.audit_options import (
    AsOf,
    Ca,
    Credentials,
    Endpoint,
    PublicKeys,
    Region,
    Since,
    StoreAccess,
    Volume,
    existing_folder,
    open_store,
    parse_as_of,
    parse_time,
    store_errors,
)
from isthmus.cli.options import ProjectDir

if TYPE_CHECKING:
    from edge.audit.verify import Proof

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Verify the audit record, report from it, and erase or hold recorded content.",
)
for _command in (content, hold, release, erase, expire):
    app.command()(_command)


class Format(StrEnum):
    text = "text"
    json = "json"
    markdown = "markdown"


class Machine(StrEnum):
    text = "text"
    json = "json"


@app.command()
def verify(
    store: Annotated[
        str, typer.Argument(metavar="STORE", help="A folder, or s3://bucket/prefix.", show_default=False)
    ],
    public_key: PublicKeys,
    anchor: Annotated[
        str | None,
        typer.Option(
            metavar="SEAL:HASH",
            help="A seal that an earlier `audit verify` printed; it must still exist.",
            show_default=False,
        ),
    ] = None,
    volume: Volume = None,
    since: Since = 1,
    as_of: AsOf = None,
    endpoint: Endpoint = None,
    region: Region = "us-east-1",
    credentials: Credentials = None,
    ca: Ca = None,
    format: Annotated[Machine, typer.Option(help="How to write it.")] = Machine.text,
) -> None:
    """Verify that no record before the last seal was changed, dropped, reordered or inserted, and no writer is missing.

    Reads the store alone. Lists intents without an outcome, and records that are not sealed yet. The exit code is 1 if
    the record contradicts itself.
    """  # fmt: skip
    from isthmus.cli import console
    from isthmus.core.errors import Refused

    proof = _proof(
        store, public_key, volume, since, as_of, (endpoint, region, credentials, ca), anchor=_anchor(anchor)
    )
    if format is Machine.json:
        console.print_json(_as_json(proof))
    else:
        print(_as_text(proof), end="")
    if not proof.proven:
        raise Refused(
            f"the record is not proven: {len(proof.findings)} findings contradict it",
            where=store,
            fix="Look up each finding in docs/audit.md",
        )


@app.command()
def report(
    stores: Annotated[
        list[str],
        typer.Argument(
            metavar="STORE...",
            help="Folders, or s3://bucket/prefix: one a class and site.",
            show_default=False,
        ),
    ],
    public_key: PublicKeys,
    begin: Annotated[
        str, typer.Option("--from", metavar="TIME", help="From this day or time on, UTC.", show_default=False)
    ],
    end: Annotated[
        str, typer.Option("--to", metavar="TIME", help="Before this day or time, UTC.", show_default=False)
    ],
    stack: Annotated[
        str | None,
        typer.Option(
            help="A stack, whose recorded exceptions count; default: none is known.", show_default=False
        ),
    ] = None,
    project: ProjectDir = None,
    flow_log: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="VPC flow logs as text, or Hubble's JSON lines; `.gz` too.",
            show_default=False,
        ),
    ] = None,
    inside: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR",
            help="With flow logs: addresses of the organisation's own sites.",
            show_default=False,
        ),
    ] = None,
    address: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS=CIDR",
            help="With flow logs: addresses of a class's gateways and pods.",
            show_default=False,
        ),
    ] = None,
    volume: Volume = None,
    since: Since = 1,
    as_of: AsOf = None,
    endpoint: Endpoint = None,
    region: Region = "us-east-1",
    credentials: Credentials = None,
    ca: Ca = None,
    format: Annotated[Format, typer.Option(help="How to write it.")] = Format.text,
) -> None:
    """Report by class, gateway and place where requests went, and what the record cannot show.

    Verifies every store first. The exit code is 1 if data went to a place that its class forbids, if an answer left
    without approval, or if records were changed.
    """  # fmt: skip
    from isthmus.cli import console
    from isthmus.core.errors import InputError, Refused
    from isthmus.reports.audit import flow_logs
    from isthmus.reports.audit import report as audit_report

    audit = audit_report.AuditReport(parse_time(begin, "--from"), parse_time(end, "--to"))
    if audit.begin >= audit.end:
        raise InputError("--to is not after --from", where="--to", fix="Give a later time than --from")
    if stack is not None:
        from isthmus.engine.project import project as projects

        audit.exceptions = projects.find_project(project).stack(stack).platform().exceptions
    for store in stores:
        access = (endpoint, region, credentials, ca)
        proof = _proof(
            store, public_key, volume, since, as_of, access, on_record=lambda record, _: audit.add(record)
        )
        audit.contradictions += [f"{store}: {finding}" for finding in proof.findings]
        audit.gaps += _gaps(store, proof, audit)
    if flow_log:
        if not inside:
            raise InputError(
                "--flow-log needs the addresses of the own sites",
                where="--inside",
                fix="Give the sites' CIDRs",
            )
        inside_networks = flow_logs.parse_networks(inside, "--inside")
        class_networks = _addresses(address or [])
        for file in flow_log:
            audit.add_flows(flow_logs.read_flows(file, class_networks), inside_networks)
    if format is Format.json:
        console.print_json(audit.as_json())
    else:
        print(
            (audit_report.as_markdown if format is Format.markdown else audit_report.as_text)(audit), end=""
        )
    if not audit.clean:
        raise Refused("the report lists violations or changed records", fix="See the report above")


def _proof(
    store: str,
    public_key: list[Path],
    volume: Path | None,
    since: int,
    as_of: str | None,
    access: StoreAccess,
    **more: Any,
) -> Proof:
    from edge.audit import seal_format
    from edge.audit import verify as verifying
    from isthmus.core.errors import InputError

    keys: dict[str, Any] = {}
    for file in public_key:
        try:
            keys |= seal_format.read_pem(file)
        except (OSError, ValueError) as error:
            raise InputError(
                f"it is not a sealer's public key: {error}", where=str(file), fix="Give its PEM file"
            ) from None
    if volume is not None:
        for part in ("records", "seals"):
            existing_folder(volume / part)
    opened = open_store(store, access)
    with store_errors():
        return verifying.verify(
            opened,
            keys,
            now=parse_as_of(as_of),
            since=since,
            records=volume / "records" if volume else None,
            seals=volume / "seals" if volume else None,
            **more,
        )


def _anchor(text: str | None) -> tuple[int, str] | None:
    from isthmus.core.errors import InputError

    if text is None:
        return None
    number, _, hash = text.partition(":")
    if not number.isdigit() or len(hash) != 64:
        raise InputError(
            f"`{text}` is not SEAL:HASH",
            where="--anchor",
            fix="Copy the anchor that `audit verify` printed, like 12:4f…",
        )
    return int(number), hash


def _addresses(texts: list[str]) -> dict[str, Any]:
    from isthmus.contracts.vocabulary import SENSITIVITIES
    from isthmus.core.errors import InputError
    from isthmus.reports.audit import flow_logs

    networks: dict[str, Any] = {}
    for text in texts:
        data_class, _, cidr = text.partition("=")
        if data_class not in SENSITIVITIES:
            raise InputError(
                f"`{text}` is not CLASS=CIDR", where="--address", fix="Write it like restricted=10.20.4.0/24"
            )
        networks.setdefault(data_class, []).extend(flow_logs.parse_networks([cidr], "--address"))
    return networks


def _as_json(proof: Proof) -> dict[str, Any]:
    last = proof.last
    return {
        "proven": proof.proven,
        "findings": proof.findings,
        "seals": proof.seals,
        "first_seal": proof.first,
        "last_seal": {"seal": last.number, "hash": last.hash, "time": last.body["time"]} if last else None,
        "records": proof.records,
        "unfinished": [{"id": name, **fields} for name, fields in sorted(proof.unfinished.items())],
        "unsealed": proof.tail,
        "gaps": [{"from": begin, "to": end} for begin, end in proof.gaps],
        "writers": {
            name: {key: state[key] for key in ("seq", "state")}
            for name, state in sorted(proof.writers.items())
        },
        "contents": {"kept": proof.contents, "gone": proof.contents_gone},
    }


def _as_text(proof: Proof) -> str:
    last = proof.last
    lines = [f"{proof.records:,} records of {len(proof.writers)} writers in {proof.seals:,} seals."]
    if last is not None:
        lines.append(f"Anchor for the next verification: {last.number}:{last.hash} of {last.body['time']}")
    if proof.proven:
        lines.append("Proven: nothing before the last seal was changed, dropped, reordered or inserted.")
    lines += [f"FINDING  {finding}" for finding in proof.findings]
    for name, fields in sorted(proof.unfinished.items()):
        lines.append(
            f"unfinished  request {name} of {fields['time']}, record {fields['seq']} of {fields['writer']}"
        )
    if proof.tail is None:
        lines.append("Records that are not sealed yet were not checked (give --volume).")
    else:
        lines.append(f"{sum(proof.tail.values()):,} records are not sealed yet.")
        lines += [f"unsealed  {count:,} of {writer}" for writer, count in sorted(proof.tail.items())]
    lines += [f"gap  nothing was sealed from {begin} to {end}" for begin, end in proof.gaps]
    return "\n".join(lines) + "\n"


def _gaps(store: str, proof: Proof, audit: Any) -> list[str]:
    """Periods and requests of the report that a store cannot show."""
    gaps = []
    for begin, end in proof.gaps:
        if datetime.fromisoformat(begin) < audit.end and datetime.fromisoformat(end) > audit.begin:
            gaps.append(f"{store}: nothing was sealed from {begin} to {end}")
    for name, fields in sorted(proof.unfinished.items()):
        if audit.covers(fields["time"]):
            gaps.append(f"{store}: request {name} of {fields['time']} has no outcome")
    if proof.last is not None and datetime.fromisoformat(proof.last.body["time"]) < audit.end:
        gaps.append(f"{store}: nothing after {proof.last.body['time']} is sealed")
    for writer, count in sorted((proof.tail or {}).items()):
        gaps.append(f"{store}: {count} records of {writer} are not sealed yet")
    return gaps
