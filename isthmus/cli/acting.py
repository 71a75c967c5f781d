"""What commands share by which a person acts on the gateways that run: `isthmus stop` and `isthmus release`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.options import Format

if TYPE_CHECKING:
    from isthmus.engine.project.project import Stack
    from isthmus.engine.stopping.access import Access


WorkloadName = Annotated[str, typer.Argument(metavar="WORKLOAD", help="The workload.", show_default=False)]
Person = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="In the sandbox: which senior you are.", show_default=False),
]


def checked_reason(reason: str, example: str) -> str:
    """The reason, a word for the record. `example`: of one. Raises `InputError`."""
    from edge.openai_api import is_reason
    from isthmus.core.errors import InputError

    if not reason or not is_reason(reason):
        raise InputError(
            f"`{reason}` is no reason" if reason else "there is no reason",
            where="--reason",
            fix=f"Give a word such as {example}: at most 40 of a-z, 0-9 and -",
        )
    return reason


def show(format: Format, document: Callable[[], Any], lines: Callable[[], Iterable[str]]) -> None:
    """Print what was done: a document of JSON, or lines of text."""
    from isthmus.cli import console

    if format is Format.json:
        console.print_json(document())
        return
    for line in lines():
        console.out().print(line, markup=False, soft_wrap=True)


def access_of(selected: Stack, file: Path | None, person: str | None) -> Access:
    """How somebody reaches what acts on gateways. `file`: of `--access`. `person`: in the sandbox, a senior.

    Raises `InputError`.
    """
    from isthmus.core.errors import InputError
    from isthmus.engine.stopping.access import Access, local_access, read_access

    if file is not None:
        return read_access(file)
    if not selected.sandbox:
        if person is not None:
            raise InputError("only the sandbox has people to choose from", where="--as", fix="Remove it")
        return Access()
    from sandbox import api

    served = api.served()
    if served is None or served.stack != selected.name:
        return Access()
    return local_access(served, person)
