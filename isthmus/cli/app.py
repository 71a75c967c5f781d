"""The root of the command line: global options and the table of commands."""

from __future__ import annotations

import sys
from typing import Annotated, ClassVar

import typer
from typer.exceptions import TyperException

from isthmus.cli.lazy import LazyGroup

HELP = """Take an enterprise LLM from pilot to production as infrastructure code.

Exit codes: 0 done; 1 refused; 2 the input is wrong; 3 the environment is wrong; 4 a calibration
has drifted; 130 interrupted."""


class _Commands(LazyGroup):
    table: ClassVar[dict[str, tuple[str, str]]] = {
        "blueprints": ("isthmus.cli.blueprints_command", "List the blueprints, or show one."),
        "starter": (
            "isthmus.cli.starter_command",
            "List requirement files to start from, or print one with comments.",
        ),
        "discover": (
            "isthmus.cli.discover_commands",
            "Propose pools from a cluster's nodes, and traffic from an export of usage.",
        ),
        "plan": (
            "isthmus.cli.plan_command",
            "Choose models and places at the lowest cost, sized and priced.",
        ),
        "compare": (
            "isthmus.cli.compare_command",
            "Compare two or three plans: cost, places, three years, carbon, what drives them.",
        ),
        "studio": (
            "isthmus.cli.studio_command",
            "Change requirements on a local page, and see plan and cost at once.",
        ),
        "init": (
            "isthmus.cli.init_command",
            "Create the files of a new stack: requirements, plan and settings.",
        ),
        "models": (
            "isthmus.cli.models_command",
            "List the models that can be planned, with licence, memory and price.",
        ),
        "gpus": ("isthmus.cli.gpus_command", "List the GPUs that can be planned, with memory and price."),
        "size": (
            "isthmus.cli.size_command",
            "Say whether a model fits a GPU, and how many GPUs a load needs.",
        ),
        "schema": ("isthmus.cli.schema_command", "Print the JSON Schema of a file that you write."),
        "render": (
            "isthmus.cli.render_command",
            "Write every resource of a stack as a file, without engine or cloud.",
        ),
        "images": ("isthmus.cli.images_command", "List every image and chart of a stack, to mirror them."),
        "preview": (
            "isthmus.cli.preview_command",
            "Show what `up` would do: changes, findings, cost, data paths.",
        ),
        "ci": (
            "isthmus.cli.ci_command",
            "Show what a branch changes, judged by the rules of its base commit.",
        ),
        "trust": (
            "isthmus.cli.trust_commands",
            "Propose entries of trust.yaml, and pin clusters and accounts.",
        ),
        "drift": (
            "isthmus.cli.drift_command",
            "Show changes made outside Isthmus, and objects it does not manage.",
        ),
        "up": ("isthmus.cli.up_command", "Build a stack, or bring it back to its plan."),
        "verify": ("isthmus.cli.verify_command", "Check that the GPU pools of a stack are healthy."),
        "stop": (
            "isthmus.cli.stop_command",
            "Let gateways refuse a workload within 5 s; two people restart it.",
        ),
        "release": (
            "isthmus.cli.release_command",
            "Move a workload's people to a new model in steps, or take it back within seconds.",
        ),
        "audit": ("isthmus.cli.audit_commands", "Verify the audit record, report from it, erase and hold."),
        "calibrate": (
            "isthmus.cli.calibrate_command",
            "Measure how often a model's answers are right, by their score.",
        ),
        "evaluate": (
            "isthmus.cli.evaluate_command",
            "Score the models of a workload by your own cases, and compare a candidate.",
        ),
        "fine-tune": (
            "isthmus.cli.fine_tune_command",
            "Train an adapter of a model on your own data, with a signed manifest.",
        ),
        "usage": (
            "isthmus.cli.usage_commands",
            "Show what a stack used and what it cost, and compare it with AWS's bill.",
        ),
        "value": (
            "isthmus.cli.value_command",
            "Say what workloads cost and what they are worth, with ranges.",
        ),
        "sanitise": (
            "isthmus.cli.sanitise_command",
            "Redact files for retrieval or fine-tuning, with a manifest.",
        ),
        "destroy": ("isthmus.cli.destroy_command", "Take a stack down, and list what is retained."),
        "evidence": (
            "isthmus.cli.evidence_command",
            "List every control and what its check says, for an auditor.",
        ),
        "break-glass": (
            "isthmus.cli.break_glass_command",
            "Print what two people sign for emergency access.",
        ),
        "sandbox": ("isthmus.cli.sandbox_commands", "Run a local engine, cluster and AWS."),
    }


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=HELP,
)


def _version(is_asked: bool) -> None:
    if is_asked:
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
    """Options of every command; `main` handles `--debug` before this."""


def run(args: list[str]) -> int:
    """Run one command and return its exit code. Prints usage errors to stderr (exit code 2); raises other errors."""
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
