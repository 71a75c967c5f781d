"""The root of the command line: global options and the table of commands."""

from __future__ import annotations

import sys
from typing import Annotated, ClassVar

import typer
from typer.exceptions import TyperException

from isthmus.cli.lazy import LazyGroup

HELP = """Take an enterprise LLM from pilot to production as infrastructure code.

Exit codes: 0 done; 1 the answer is no; 2 the input is wrong; 3 the environment is wrong; 130 interrupted."""


class _Commands(LazyGroup):
    table: ClassVar[dict[str, tuple[str, str]]] = {
        "blueprints": ("isthmus.cli.blueprints_command", "List the blueprints, or show one."),
        "plan": ("isthmus.cli.plan_command", "Choose models and places at the least cost, sized and priced."),
        "init": ("isthmus.cli.init_command", "Begin a stack: requirements, plan and settings."),
        "size": ("isthmus.cli.size_command", "Does a model fit a GPU; how many does a load need?"),
        "schema": ("isthmus.cli.schema_command", "Print the JSON Schema of a file that you write."),
        "render": (
            "isthmus.cli.render_command",
            "Write every resource of a stack as files: no engine, no cloud.",
        ),
        "images": ("isthmus.cli.images_command", "Every image and chart of a stack, to mirror."),
        "preview": (
            "isthmus.cli.preview_command",
            "Say what `up` would do: changes, findings, cost, data paths.",
        ),
        "ci": ("isthmus.cli.ci_command", "Say what a branch changes, judged by the commit before it."),
        "drift": (
            "isthmus.cli.drift_command",
            "Say what changed behind the code's back, and what is not ours.",
        ),
        "up": ("isthmus.cli.up_command", "Build a stack, or bring it back to what its plan says."),
        "verify": ("isthmus.cli.verify_command", "Do the GPU pools show what healthy ones show?"),
        "audit": ("isthmus.cli.audit_commands", "Prove the audit record, report from it, erase and hold."),
        "calibrate": (
            "isthmus.cli.calibrate_command",
            "How often a model's answers are right, by their score.",
        ),
        "sanitise": (
            "isthmus.cli.sanitise_command",
            "Redact files for retrieval or fine-tuning, with a manifest.",
        ),
        "destroy": ("isthmus.cli.destroy_command", "Take a stack down; what is retained is named."),
        "evidence": (
            "isthmus.cli.evidence_command",
            "For an auditor: every control, and what its check says of what.",
        ),
        "break-glass": (
            "isthmus.cli.break_glass_command",
            "What two people sign for access in an emergency.",
        ),
        "sandbox": ("isthmus.cli.sandbox_commands", "A local engine, cluster and AWS to develop and try on."),
    }


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=HELP,
)


def _version(asked: bool) -> None:
    if asked:
        from isthmus import __version__

        print(f"isthmus {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when a command fails.")] = False,
) -> None:
    """Options of every command; `--debug` is taken out of the arguments before they come here."""


def run(args: list[str]) -> int:
    """Run one command. Usage errors are told on stderr (exit code 2); other errors are raised."""
    command = typer.main.get_command(app)
    try:
        code = command.main(args, prog_name="isthmus", standalone_mode=False)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "isthmus"
        print(f"isthmus: {error.format_message().rstrip('.')}. See `{path} --help`.", file=sys.stderr)
        return 2
    except typer.Abort:
        return 130
    return code if isinstance(code, int) else 0
