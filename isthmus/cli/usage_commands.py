"""`isthmus usage …`: what a stack used, its ledger, and the comparison with bills."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from isthmus.cli.usage_focus import focus
from isthmus.cli.usage_plan import forecast, variance
from isthmus.cli.usage_reconcile import reconcile
from isthmus.cli.usage_show import close, load, show

HELP = (
    "Show what a stack used, close months, and compare with AWS's bill and the plan. "
    "`isthmus usage STACK` is `isthmus usage show STACK`."
)


class _UsageGroup(TyperGroup):
    """Takes `isthmus usage STACK` for `isthmus usage show STACK`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_UsageGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help=HELP,
)


@app.callback(help=HELP)
def _group() -> None:
    """Options of the group: none."""


for _command in (show, load, close, reconcile, variance, forecast, focus):
    app.command()(_command)
