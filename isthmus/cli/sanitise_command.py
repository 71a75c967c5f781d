"""`isthmus sanitise SOURCE -o TARGET`: files for retrieval or fine-tuning, by the rules that the edge goes by."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.audit_options import Ca, Credentials, Endpoint, Region

if TYPE_CHECKING:
    from edge.redaction import Rules
    from edge.sanitising import Outcome, Source, Target
    from isthmus.cli.audit_options import Asked as Store

_MOST = 8
"""Processes that nobody asked for: each holds the models in its memory."""
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


class Format(StrEnum):
    """How to answer."""

    text = "text"
    json = "json"


class DataClass(StrEnum):
    """Class of the data in the files."""

    public = "public"
    internal = "internal"
    confidential = "confidential"
    restricted = "restricted"


@app.command()
def sanitise(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A file, a folder, or s3://bucket/prefix.", show_default=False),
    ],
    target: Annotated[
        str,
        typer.Option(
            "-o", "--output", metavar="TARGET", help="A folder, or s3://bucket/prefix.", show_default=False
        ),
    ],
    rules: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="The rules, or a detector's configuration with them.", show_default=False
        ),
    ],
    data_class: Annotated[
        DataClass, typer.Option("--class", help="Class of the data in the files.")
    ] = DataClass.restricted,
    languages: Annotated[
        str,
        typer.Option(
            metavar="de,en",
            help="Languages of the texts, the likeliest first. Default: those of the rules.",
            show_default=False,
        ),
    ] = "",
    fields: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="Parquet columns to look at besides text columns; they are written as text.",
            show_default=False,
        ),
    ] = "",
    allow_patterns_only: Annotated[
        str,
        typer.Option(
            metavar="REASON",
            help="Accept texts in languages without a model for names; the reason goes into the manifest.",
            show_default=False,
        ),
    ] = "",
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Continue after a refused file.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Delete target files whose source is gone.")] = False,
    most: Annotated[
        int, typer.Option("--max-mib", min=1, help="Largest file; a file is read into memory.")
    ] = 256,
    processes: Annotated[
        int, typer.Option(min=0, max=256, help="Number of processes. 0: one for each processor, up to 8.")
    ] = 0,
    format: Annotated[Format, typer.Option("--format", help="text or json.")] = Format.text,
    endpoint: Endpoint = None,
    region: Region = "us-east-1",
    credentials: Credentials = None,
    ca: Ca = None,
) -> None:
    """Write the files of SOURCE to TARGET with placeholders for what the rules find, and a manifest of all files.

    A refused file is not written, and the exit code is then 1. After an interruption the same command continues;
    unchanged files under unchanged rules are not processed again.
    """
    import os

    from isthmus.cli import console
    from isthmus.cli.file_progress import FileProgress
    from isthmus.contracts.reference import handling
    from isthmus.core.errors import Refused

    with _told():
        from edge.sanitising import Options
        from edge.sanitising import sanitise as run

        demanded = {"prompts-leaving-site", "leaving-class"} & {*handling.of(data_class.value).redacted}
        asked = Options(
            data_class=data_class.value,
            names_demanded=bool(demanded),
            languages=tuple(_listed(languages)),
            fields=frozenset(_listed(fields)),
            allowed_because=" ".join(allow_patterns_only.split()),
            keep_going=keep_going,
            prune=prune,
            most_bytes=most << 20,
            processes=processes or min(_MOST, os.cpu_count() or 1),
        )
        chosen = _rules(rules)
        places = _places(source, target, (endpoint, region, credentials, ca))
        with FileProgress() as progress:
            outcome = run(*places, chosen, asked, progress)
    if format is Format.json:
        console.print_json(outcome.summary)
    else:
        for line in _lines(outcome, target):
            console.out().print(line, markup=False, soft_wrap=True)
    if outcome.refused:
        raise Refused(
            outcome.refused[0].reason.rstrip(".")
            if len(outcome.refused) == 1
            else f"{len(outcome.refused)} files are refused, named above and in the manifest",
            fix=""
            if outcome.summary["complete"]
            else "The files after it were not looked at; --keep-going does",
        )


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _rules(file: Path) -> Rules:
    """The file's own, or those under `rules` of a detector's configuration; raises InputError."""
    from pydantic import ValidationError

    from edge.redaction import Rules
    from isthmus.core import yaml_files
    from isthmus.core.errors import InputError

    document = yaml_files.load(file)
    own = document.data.get("mode") != "detector"
    said, at = (document.data, ()) if own else (document.data.get("rules") or {}, ("rules",))
    try:
        rules = Rules.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        what = str(first["msg"]).removeprefix("Value error, ")
        raise InputError(
            "this key is unknown" if first["type"] == "extra_forbidden" else what,
            where=document.where((*at, *first["loc"])),
            fix="docs/redaction.md names the keys",
        ) from None
    models = [each.model_copy(update={"file": file.parent / each.file}) for each in rules.models]
    return rules.model_copy(update={"models": models})


def _places(source: str, target: str, store: Store) -> tuple[Source, Target]:
    from edge.sanitising import FolderSource, FolderTarget
    from edge.sanitising.buckets import BucketSource, BucketTarget
    from edge.sanitising.locations import require_apart
    from isthmus.cli.audit_options import s3_client

    here, there = (each.startswith("s3://") for each in (source, target))
    client = s3_client(store, "for the files") if here or there else None
    if here and there and _within(source, target):
        from edge.sanitising import BadPlace

        raise BadPlace("source and target lie one within the other", target, "Name a prefix apart from it")
    if not here and not there:
        require_apart(Path(source), Path(target))
    return (
        BucketSource(client, *_bucket(source)) if here else FolderSource(Path(source)),
        BucketTarget(client, *_bucket(target)) if there else FolderTarget(Path(target)),
    )


def _bucket(name: str) -> tuple[str, str]:
    bucket, _, prefix = name.removeprefix("s3://").partition("/")
    return bucket, prefix


def _within(one: str, other: str) -> bool:
    here, there = (each.rstrip("/") + "/" for each in (one, other))
    return here.startswith(there) or there.startswith(here)


def _lines(outcome: Outcome, target: str) -> Iterator[str]:
    said = outcome.summary
    kept = f", {outcome.kept} of them by an earlier run" if outcome.kept else ""
    yield f"{said['files']} files: {said['done']} done{kept}, {said['refused']} refused"
    yield f"documents: {said['documents']}, {said['bytes_in']} bytes in, {said['bytes_out']} out"
    found = ", ".join(f"{entity} {count}" for entity, count in said["findings"].items())
    yield f"taken out: {found or 'nothing'}"
    if said["patterns_only"]:
        which = ", ".join(f"{language} in {count}" for language, count in said["patterns_only"].items())
        yield f"patterns only, no names looked for: {which} files"
    for name in outcome.pruned:
        yield f"deleted, its source is gone: {name}"
    if not said["complete"]:
        yield "stopped at a file that is refused"
    yield f"manifest: {target.rstrip('/')}/manifest.jsonl, sha256 {said['manifest_sha256']}"


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What goes wrong below, as errors of the command line."""
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
            str(error), where="models", fix="docs/redaction.md says which files are trusted"
        ) from None
    except PlaceFault as error:
        raise EnvironmentFault(
            str(error), fix="Check address, credentials and rights; the same command goes on where it was"
        ) from None
    except Broken:
        raise EnvironmentFault(
            "a process that cleans was ended from outside, as where memory is short",
            fix="Say fewer --processes; the same command goes on where it was",
        ) from None
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise EnvironmentFault(
            str(error.strerror or error),
            where=str(error.filename or ""),
            fix=f"{'Make room' if full else 'Check path and rights'}; the same command goes on where it was",
        ) from None


def _missing(error: ModuleNotFoundError) -> Exception:
    from isthmus.core.errors import EnvironmentFault

    return EnvironmentFault(
        f"{error.name} is not installed",
        fix="Install what the extras `detector` and `sanitise` name (make install)",
    )
