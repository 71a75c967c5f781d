"""`isthmus studio`: serves a page on which requirements are changed and the plan is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def studio(
    requirements: Annotated[
        Path, typer.Argument(metavar="REQUIREMENTS", help="The requirements' file.", show_default=False)
    ],
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="DATE",
            help="The day on which prices' age and exceptions are judged; default: today.",
        ),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")] = 0,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in your browser.")] = True,
) -> None:
    """Change requirements in a form, and see plan, cost and reasons at once; compare with another plan; save.

    The page is served on this machine only (127.0.0.1), at an address with a secret. It loads nothing from elsewhere.
    Nothing is written before you save, and a file that changed meanwhile is not overwritten. Ctrl-C ends it.
    """
    from isthmus.cli import plan_command
    from isthmus.core.errors import missing_extra
    from isthmus.studio.session import Session

    today = plan_command.planning_day(as_of)
    session = Session.open(requirements)
    try:
        from isthmus.studio import serving
    except ImportError as error:
        raise missing_extra(f"the studio needs the package {error.name}", "studio") from None
    serving.serve(session, today, port, _announce if open_ else _print)


def _announce(address: str) -> None:
    import webbrowser

    _print(address)
    webbrowser.open(address)


def _print(address: str) -> None:
    print(f"Studio: {address}", flush=True)
    from isthmus.cli import console

    console.err().print("Ctrl-C ends it.", markup=False)
