"""`isthmus audit …`: verifies the audit record, and reports from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.audit_content_commands import content, erase, expire, hold, release
from isthmus.cli.audit_corrections import corrections
from isthmus.cli.audit_options import (
    PublicKeys,
    Verification,
    parse_time,
    verified,
)
from isthmus.cli.option_classes import takes
from isthmus.cli.options import ProjectDir

if TYPE_CHECKING:
    from edge.audit.verify import Proof
    from isthmus.reports.audit.report import AuditReport

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Verify the audit record, report from it, export corrections, and erase or hold recorded content.",
)
for _command in (content, corrections, hold, release, erase, expire):
    app.command()(_command)


class Format(StrEnum):
    text = "text"
    json = "json"
    markdown = "markdown"


class Machine(StrEnum):
    text = "text"
    json = "json"


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    store: Annotated[
        str, typer.Argument(metavar="STORE", help="A folder, or s3://bucket/prefix.", show_default=False)
    ]
    public_key: PublicKeys
    anchor: Annotated[
        str | None,
        typer.Option(
            metavar="SEAL:HASH",
            help="A seal that an earlier `audit verify` printed; it must still exist.",
            show_default=False,
        ),
    ] = None
    verification: Verification
    format: Annotated[Machine, typer.Option(help="How to write it.")] = Machine.text


@app.command()
@takes(VerifyOptions)
def verify(options: VerifyOptions) -> None:
    """Verify that no record before the last seal was changed, dropped, reordered or inserted, and no writer is missing.

    Reads the store alone. Lists intents without an outcome, and records that are not sealed yet. The exit code is 1 if
    the record contradicts itself.
    """  # fmt: skip
    from isthmus.cli import console
    from isthmus.core.errors import Refused

    proof = verified(options.store, options.public_key, options.verification, anchor=_anchor(options.anchor))
    if options.format is Machine.json:
        console.print_json(_as_json(proof))
    else:
        print(_as_text(proof), end="")
    if not proof.proven:
        raise Refused(
            f"the record is not proven: {len(proof.findings)} findings contradict it",
            where=options.store,
            fix="Look up each finding in docs/audit.md",
        )


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    stores: Annotated[
        list[str],
        typer.Argument(
            metavar="STORE...",
            help="Folders, or s3://bucket/prefix: one a class and site.",
            show_default=False,
        ),
    ]
    public_key: PublicKeys
    begin: Annotated[
        str, typer.Option("--from", metavar="TIME", help="From this day or time on, UTC.", show_default=False)
    ]
    end: Annotated[
        str, typer.Option("--to", metavar="TIME", help="Before this day or time, UTC.", show_default=False)
    ]
    stack: Annotated[
        str | None,
        typer.Option(
            help="A stack, whose recorded exceptions count; default: none is known.", show_default=False
        ),
    ] = None
    project: ProjectDir = None
    flow_log: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="VPC flow logs as text, or Hubble's JSON lines; `.gz` too.",
            show_default=False,
        ),
    ] = None
    inside: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR",
            help="With flow logs: addresses of the organisation's own sites.",
            show_default=False,
        ),
    ] = None
    address: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS=CIDR",
            help="With flow logs: addresses of a class's gateways and pods.",
            show_default=False,
        ),
    ] = None
    verification: Verification
    format: Annotated[Format, typer.Option(help="How to write it.")] = Format.text


@app.command()
@takes(ReportOptions)
def report(options: ReportOptions) -> None:
    """Report by class, gateway and place where requests went, and what the record cannot show.

    Verifies every store first. The exit code is 1 if data went to a place that its class forbids, if an answer left
    without approval, or if records were changed.
    """  # fmt: skip
    from isthmus.cli import console
    from isthmus.core.errors import Refused
    from isthmus.reports.audit import report as audit_report

    audit = _empty_report(options)
    for store in options.stores:
        proof = verified(
            store,
            options.public_key,
            options.verification,
            on_record=lambda record, _: audit.add(record),
        )
        audit.contradictions += [f"{store}: {finding}" for finding in proof.findings]
        audit.gaps += _gaps(store, proof, audit)
    if options.flow_log:
        _add_flow_logs(audit, options.flow_log, options)
    if options.format is Format.json:
        console.print_json(audit.as_json())
    else:
        write = audit_report.as_markdown if options.format is Format.markdown else audit_report.as_text
        print(write(audit), end="")
    if not audit.clean:
        raise Refused("the report lists violations or changed records", fix="See the report above")


def _empty_report(options: ReportOptions) -> AuditReport:
    """A report of the period without records yet, with the exceptions of the stack. Raises `InputError`."""
    from isthmus.core.errors import InputError
    from isthmus.reports.audit.report import AuditReport

    audit = AuditReport(parse_time(options.begin, "--from"), parse_time(options.end, "--to"))
    if audit.begin >= audit.end:
        raise InputError("--to is not after --from", where="--to", fix="Give a later time than --from")
    if options.stack is not None:
        from isthmus.engine.project import project as projects

        audit.exceptions = projects.find_project(options.project).stack(options.stack).platform().exceptions
    return audit


def _add_flow_logs(audit: AuditReport, files: list[Path], options: ReportOptions) -> None:
    """Add the connections of the files to the report. Raises `InputError`."""
    from isthmus.core.errors import InputError
    from isthmus.reports.audit import flow_logs

    if not options.inside:
        raise InputError(
            "--flow-log needs the addresses of the own sites",
            where="--inside",
            fix="Give the sites' CIDRs",
        )
    inside_networks = flow_logs.parse_networks(options.inside, "--inside")
    class_networks = _addresses(options.address or [])
    for file in files:
        audit.add_flows(flow_logs.read_flows(file, class_networks), inside_networks)


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


def _gaps(store: str, proof: Proof, audit: AuditReport) -> list[str]:
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
