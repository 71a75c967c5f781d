"""Typer group that imports a command's module only when the command is called."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

from typer import Typer
from typer.core import TyperGroup
from typer.main import get_command as command_of


class LazyGroup(TyperGroup):
    """Subclass with `table`: name → (module with an `app`, one line of help).

    The help page uses only the table, so it is fast although commands import heavy modules.
    """

    table: ClassVar[dict[str, tuple[str, str]]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.table:
            return None
        module = importlib.import_module(self.table[cmd_name][0])
        app: Typer = module.app
        command = command_of(app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.table.items()])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Like Typer's method, but suggests the nearest name for an unknown command."""
        if args and args[0] not in self.table and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], self.table, n=1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            ctx.fail(f"Unknown command `{args[0]}`.{hint}")
        return super().resolve_command(ctx, args)
