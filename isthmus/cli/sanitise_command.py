"""`isthmus sanitise SOURCE -o TARGET`: redacts files for retrieval or fine-tuning, with the rules of the edge."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.audit_options import StoreAccess
from isthmus.cli.option_classes import takes
from isthmus.cli.options import Format, TextOrJson

if TYPE_CHECKING:
    from edge.redaction import Rules
    from edge.sanitising import Options as RunSettings
    from edge.sanitising import Outcome, Source, Target

_MAX_PROCESSES = 8
"""Largest default number of processes; each loads the models into memory."""
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


class DataClass(StrEnum):
    """Class of the data in the files."""

    public = "public"
    internal = "internal"
    confidential = "confidential"
    restricted = "restricted"


@dataclass(frozen=True, kw_only=True)
class SanitiseOptions:
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A file, a folder, or s3://bucket/prefix.", show_default=False),
    ]
    target: Annotated[
        str,
        typer.Option(
            "-o", "--output", metavar="TARGET", help="A folder, or s3://bucket/prefix.", show_default=False
        ),
    ]
    rules: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="The rules, or a detector's configuration with them.", show_default=False
        ),
    ]
    data_class: Annotated[DataClass, typer.Option("--class", help="Class of the data in the files.")] = (
        DataClass.restricted
    )
    languages: Annotated[
        str,
        typer.Option(
            metavar="de,en",
            help="Languages of the texts, the likeliest first. Default: those of the rules.",
            show_default=False,
        ),
    ] = ""
    fields: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="Parquet columns to look at besides text columns; they are written as text.",
            show_default=False,
        ),
    ] = ""
    allow_patterns_only: Annotated[
        str,
        typer.Option(
            metavar="REASON",
            help="Accept texts in languages without a model for names; the reason goes into the manifest.",
            show_default=False,
        ),
    ] = ""
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Continue after a refused file.")] = False
    prune: Annotated[bool, typer.Option("--prune", help="Delete target files whose source is gone.")] = False
    most: Annotated[
        int, typer.Option("--max-mib", min=1, help="Largest file; a file is read into memory.")
    ] = 256
    processes: Annotated[
        int, typer.Option(min=0, max=256, help="Number of processes. 0: one for each processor, up to 8.")
    ] = 0
    format: TextOrJson = Format.text
    access: StoreAccess


@app.command()
@takes(SanitiseOptions)
def sanitise(options: SanitiseOptions) -> None:
    """Write the files of SOURCE to TARGET with placeholders for what the rules find, and a manifest of all files.

    A refused file is not written, and the exit code is then 1. After an interruption the same command continues;
    unchanged files under unchanged rules are not processed again.
    """
    from isthmus.cli import console
    from isthmus.cli.file_progress import FileProgress

    with _command_errors():
        from edge.sanitising import sanitise as run

        settings = _run_settings(options)
        rules = _rules(options.rules)
        places = _open_places(options.source, options.target, options.access)
        with FileProgress() as progress:
            outcome = run(*places, rules, settings, progress)
    if options.format is Format.json:
        console.print_json(outcome.summary)
    else:
        for line in _lines(outcome, options.target):
            console.out().print(line, markup=False, soft_wrap=True)
    if outcome.refused:
        raise _refusal(outcome)


def _run_settings(options: SanitiseOptions) -> RunSettings:
    """The settings of the run: of the command line, and whether the class demands that names are redacted."""
    import os

    from edge.sanitising import Options as RunSettings
    from isthmus.contracts.reference import handling

    redacted = handling.handling_of(options.data_class.value).redacted
    return RunSettings(
        data_class=options.data_class.value,
        names_demanded=not {"prompts-leaving-site", "leaving-class"}.isdisjoint(redacted),
        languages=tuple(_split_list(options.languages)),
        fields=frozenset(_split_list(options.fields)),
        allowed_because=" ".join(options.allow_patterns_only.split()),
        keep_going=options.keep_going,
        prune=options.prune,
        most_bytes=options.most << 20,
        processes=options.processes or min(_MAX_PROCESSES, os.cpu_count() or 1),
    )


def _refusal(outcome: Outcome) -> Exception:
    """The `Refused` of a run with refused files."""
    from isthmus.core.errors import Refused

    return Refused(
        outcome.refused[0].reason.rstrip(".")
        if len(outcome.refused) == 1
        else f"{len(outcome.refused)} files are refused; they are listed above and in the manifest",
        fix=""
        if outcome.summary["complete"]
        else "Later files were not processed; give --keep-going to process them",
    )


def _split_list(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _rules(file: Path) -> Rules:
    """The rules of a file, or those under `rules` in a detector's configuration. Raises `InputError`."""
    from pydantic import ValidationError

    from edge.redaction import Rules
    from isthmus.core import yaml_files
    from isthmus.core.errors import InputError

    document = yaml_files.load(file)
    is_rules_file = document.data.get("mode") != "detector"
    content, prefix = (document.data, ()) if is_rules_file else (document.data.get("rules") or {}, ("rules",))
    try:
        rules = Rules.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        message = str(first["msg"]).removeprefix("Value error, ")
        raise InputError(
            "this key is unknown" if first["type"] == "extra_forbidden" else message,
            where=document.where((*prefix, *first["loc"])),
            fix="See the keys in docs/redaction.md",
        ) from None
    models = [model.model_copy(update={"file": file.parent / model.file}) for model in rules.models]
    return rules.model_copy(update={"models": models})


def _open_places(source: str, target: str, access: StoreAccess) -> tuple[Source, Target]:
    from edge.sanitising import FolderSource, FolderTarget
    from edge.sanitising.buckets import BucketSource, BucketTarget
    from edge.sanitising.locations import require_apart
    from isthmus.cli.audit_options import s3_client

    source_is_bucket, target_is_bucket = (name.startswith("s3://") for name in (source, target))
    client = s3_client(access, "for the files") if source_is_bucket or target_is_bucket else None
    if source_is_bucket and target_is_bucket and _overlap(source, target):
        from edge.sanitising import BadPlace

        raise BadPlace("source and target contain each other", target, "Give a prefix outside the source")
    if not source_is_bucket and not target_is_bucket:
        require_apart(Path(source), Path(target))
    return (
        BucketSource(client, *_bucket(source)) if source_is_bucket else FolderSource(Path(source)),
        BucketTarget(client, *_bucket(target)) if target_is_bucket else FolderTarget(Path(target)),
    )


def _bucket(name: str) -> tuple[str, str]:
    bucket, _, prefix = name.removeprefix("s3://").partition("/")
    return bucket, prefix


def _overlap(first: str, second: str) -> bool:
    first_prefix, second_prefix = (name.rstrip("/") + "/" for name in (first, second))
    return first_prefix.startswith(second_prefix) or second_prefix.startswith(first_prefix)


def _lines(outcome: Outcome, target: str) -> Iterator[str]:
    summary = outcome.summary
    from_earlier = f", {outcome.kept} of them by an earlier run" if outcome.kept else ""
    yield f"{summary['files']} files: {summary['done']} done{from_earlier}, {summary['refused']} refused"
    yield f"documents: {summary['documents']}, {summary['bytes_in']} bytes in, {summary['bytes_out']} out"
    finding_counts = ", ".join(f"{entity} {count}" for entity, count in summary["findings"].items())
    yield f"redacted: {finding_counts or 'nothing'}"
    if summary["patterns_only"]:
        languages = ", ".join(
            f"{language} in {count}" for language, count in summary["patterns_only"].items()
        )
        yield f"patterns only, names not searched: {languages} files"
    for name in outcome.pruned:
        yield f"deleted, its source is gone: {name}"
    if not summary["complete"]:
        yield "stopped at a refused file"
    yield f"manifest: {target.rstrip('/')}/manifest.jsonl, sha256 {summary['manifest_sha256']}"


@contextlib.contextmanager
def _command_errors() -> Iterator[None]:
    """Convert errors of `edge` to errors of the command line."""
    import errno

    from isthmus.core.errors import EnvironmentFault, InputError

    try:
        from edge.redaction import NoModel
        from edge.sanitising import BadPlace, Broken, PlaceFault
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    try:
        yield
    except BadPlace as error:
        raise InputError(error.what, where=error.where, fix=error.fix) from None
    except NoModel as error:
        raise InputError(
            str(error), where="models", fix="See the trusted files in docs/redaction.md"
        ) from None
    except PlaceFault as error:
        raise EnvironmentFault(
            str(error), fix="Check address, credentials and permissions; the same command continues"
        ) from None
    except Broken:
        raise EnvironmentFault(
            "a redaction process was killed, perhaps because memory ran out",
            fix="Lower --processes; the same command continues",
        ) from None
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise EnvironmentFault(
            str(error.strerror or error),
            where=str(error.filename or ""),
            fix=f"{'Free disk space' if full else 'Check path and permissions'}; the same command continues",
        ) from None


def _missing(error: ModuleNotFoundError) -> Exception:
    from isthmus.core.errors import missing_extra

    return missing_extra(f"the package {error.name} is not installed", "edge,detector,sanitise")
