"""`isthmus evaluate STACK WORKLOAD`: scores the models of a workload by the organisation's own cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from isthmus.cli.evaluation_signing import Signing, collect_result, read_signing, verify_result
from isthmus.cli.option_classes import takes
from isthmus.cli.options import Format, ProjectDir, StackName, TextOrJson
from isthmus.cli.progress import Display

if TYPE_CHECKING:
    from isthmus.contracts.evaluation_result import EvaluationResult, Subject
    from isthmus.contracts.vocabulary import Sensitivity
    from isthmus.engine.evaluation.running import State
    from isthmus.engine.project.project import Stack
    from isthmus.engine.verification.access import GatewayAccess
    from isthmus.evaluation.definition import Loaded
    from isthmus.evaluation.outcomes import Version

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Arguments and options of `isthmus evaluate`."""

    stack: StackName
    workload: Annotated[
        str, typer.Argument(metavar="WORKLOAD", help="Workload with an evaluation.", show_default=False)
    ]
    candidate: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Also ask the workload's canary, by its model or endpoint, and compare case by case.",
            show_default=False,
        ),
    ] = None
    gateways: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="How to reach the gateways, with keys for evaluations (docs/evaluation.md). Default: those that "
            "`isthmus sandbox serve` started.",
            show_default=False,
        ),
    ] = None
    parallel: Annotated[int, typer.Option(min=1, max=256, help="Cases that are asked at once.")] = 4
    tokens: Annotated[
        int | None,
        typer.Option(
            min=1, help="Tokens that this run may take, in place of the file's.", show_default=False
        ),
    ] = None
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.01, help="Minutes that this run may take, in place of the file's.", show_default=False
        ),
    ] = None
    keep_answers: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep questions and answers as logs of Inspect AI. They are of the workload's class.",
            show_default=False,
        ),
    ] = None
    restart: Annotated[bool, typer.Option("--restart", help="Ask every case anew, in place of going on.")] = (
        False
    )
    write_digests: Annotated[
        bool, typer.Option("--write-digests", help="Write the sha256 of each case into its file, and end.")
    ] = False
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            metavar="FILE",
            help="Where to write the result. Default: below the evaluation.",
            show_default=False,
        ),
    ] = None
    signing_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Sign the result with this private key (Ed25519). If trust.yaml names its public key as an "
            "evaluator's, the result is official.",
            show_default=False,
        ),
    ] = None
    verify: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Say who signed this result and whether it is official, and end.",
            show_default=False,
        ),
    ] = None
    collect: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Take the result out of the log of an evaluation job, `-` for standard input, and end.",
            show_default=False,
            allow_dash=True,
        ),
    ] = None
    format: TextOrJson = Format.text
    project: ProjectDir = None


@app.command()
@takes(EvaluateOptions)
def evaluate(options: EvaluateOptions) -> None:
    """Score the model of a workload, and a candidate beside it, by the cases in evaluations/WORKLOAD.

    Every case is asked through the gateway of its class, with a key for evaluations. Scores have 95 % intervals, and
    two models are compared case by case. An interrupted run goes on with the same command. The exit code is 1 if a
    threshold is missed, if there are too few cases to tell, or if the budget ended before every case was asked.
    """
    from isthmus.contracts import trust
    from isthmus.engine.project import project as projects
    from isthmus.evaluation import definition

    project = projects.find_project(options.project)
    folder = definition.folder_of(project.root, options.workload)
    if options.write_digests:
        _write_digests(folder)
        return
    if options.verify is not None:
        verify_result(options.verify, options.workload, trust.read(project.root))
        return
    if options.collect is not None:
        stack = project.stack(options.stack)
        signed, file = collect_result(options.collect, stack, options.workload, folder, options.output)
        unofficial = signed.why_unofficial(trust.read(project.root), datetime.now(UTC).date())
        _show(options, signed.result, file, folder, unofficial)
        _refuse(signed.result, options)
        return
    _evaluate(options, project.stack(options.stack), folder)


def _evaluate(options: EvaluateOptions, stack: Stack, folder: Path) -> None:
    from isthmus.engine.evaluation import running
    from isthmus.evaluation import definition
    from isthmus.evaluation.judging import Run
    from isthmus.evaluation.judging import judge as judge_outcomes
    from isthmus.evaluation.subjects import find_judge, find_subjects, find_workload

    signing = read_signing(options.signing_key, stack)
    platform = stack.platform()
    _, sensitivity = find_workload(platform, options.workload)
    loaded = definition.load(folder, sensitivity)
    access = _access(stack, options, loaded, sensitivity)
    workload, _ = find_workload(platform, options.workload, access["serving"].site)
    subjects = find_subjects(platform, workload, options.candidate, loaded.prompt_sha256)
    with_judge: dict[str, Subject] = {**subjects}
    if (judge := loaded.evaluation.judge) is not None:
        with_judge["judge"] = find_judge(platform, judge.workload, sensitivity, subjects)
    stand_ins = stack.sandbox and options.gateways is None
    # An evaluator goes on with no run of anybody else.
    who = f", signed by {signing.public_key}" if signing.public_key else ""
    place = f"{stack.name}{', sandbox' if stand_ins else ''}{who}"
    run_folder = running.folder_of_run(loaded, with_judge, place)
    if options.restart:
        running.finish(run_folder)
    budget = loaded.evaluation.budget
    settings = running.Settings(
        options.parallel,
        options.tokens or budget.tokens,
        options.minutes or budget.minutes,
        options.keep_answers.absolute() if options.keep_answers else None,
    )
    with CaseProgress() as progress:
        state = running.run(loaded, run_folder, access, settings, progress.show, progress.wait)
    if not state.outcomes:
        _refuse_unfinished(options, state)
    run = Run(
        options.stack,
        options.workload,
        sensitivity,
        subjects,
        _prices(stack, subjects),
        running.runner_version(),
        official=signing.is_trusted and not stack.sandbox,
        evaluated_by=signing.public_key,
        stand_ins=stand_ins,
    )
    result = judge_outcomes(loaded, run, state.outcomes)
    _tell(options, result, folder, signing)
    if not result.complete:
        _refuse_unfinished(options, state)
    running.finish(run_folder)
    _refuse(result, options)


class CaseProgress(Display):
    """Progress of the cases."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._words = "starting"

    def _bars(self) -> Any:
        bars = self._counting()
        self._bar = bars.add_task("cases", total=None)
        return bars

    def show(self, done: int, everything: int, tokens: int) -> None:
        """Cases are done. `tokens`: those of this run."""
        self._words = f"{done} of {everything} cases, {tokens} tokens"
        if self._live is not None:
            self._live.update(self._bar, completed=done, total=everything, description=f"{tokens} tokens")

    def wait(self, why: str) -> None:
        """The run waits for another one."""
        self._line(why)

    def _still(self) -> None:
        self._line(self._words)


def _write_digests(folder: Path) -> None:
    from isthmus.cli import console
    from isthmus.evaluation.cases import write_digests
    from isthmus.evaluation.definition import files_of_cases

    for file in files_of_cases(folder):
        console.out().print(f"{file.name}: {write_digests(file)} digests written", markup=False)


def _access(
    stack: Stack, options: EvaluateOptions, loaded: Loaded, sensitivity: Sensitivity
) -> Mapping[str, GatewayAccess]:
    """How to reach what is asked: `serving`, `candidate` and `judge`. Raises `InputError`."""
    from isthmus.core.errors import InputError
    from isthmus.engine.verification.access import evaluation_access

    names = {"serving": options.workload}
    if options.candidate:
        names["candidate"] = options.workload
    if loaded.evaluation.judge is not None:
        names["judge"] = loaded.evaluation.judge.workload
    reached = {
        workload: entry
        for workload in dict.fromkeys(names.values())
        if (entry := evaluation_access(stack, options.gateways, workload, sensitivity)) is not None
    }
    missing = sorted({*names.values()} - reached.keys())
    if not missing:
        return {name: reached[workload] for name, workload in names.items()}
    if reached:
        raise InputError(f"no running gateway serves {', '.join(missing)}", where=stack.name)
    raise InputError(
        f"no gateway of `{stack.name}` can be reached",
        where="--gateways",
        fix=f"Run `isthmus sandbox serve {stack.name}` first"
        if stack.sandbox
        else "State how to reach them, with keys for evaluations (docs/evaluation.md)",
    )


def _prices(stack: Stack, subjects: Mapping[Version, Subject]) -> dict[Version, tuple[float, float]]:
    """USD of a token of a prompt and of an answer, by the plan; without what the plan does not price by the token."""
    from isthmus.contracts.plan import document, files
    from isthmus.usage.prices import MILLION, endpoint_prices

    plan = document.load(stack.project.stacks_dir / f"{stack.family}{files.PLAN}")
    prices = endpoint_prices(plan)
    return {
        version: (float(price.tokens.prompt / MILLION), float(price.tokens.completion / MILLION))
        for version, subject in subjects.items()
        if (price := prices.get(subject.endpoint)) is not None and price.tokens is not None
    }


def _tell(options: EvaluateOptions, result: EvaluationResult, folder: Path, signing: Signing) -> None:
    from isthmus.contracts import signed_results

    file = None
    if result.complete or options.output:
        file = options.output or folder / "results" / signed_results.file_name(result)
        file.parent.mkdir(parents=True, exist_ok=True)
        signed_results.write(file, result, signing.private_key)
    _show(options, result, file, folder)


def _show(
    options: EvaluateOptions, result: EvaluationResult, file: Path | None, folder: Path, unofficial: str = ""
) -> None:
    """Print a result, and where it is.

    Args:
        options: of the command.
        result: to print.
        file: of the result; None if it was not written.
        folder: of the workload's evaluation.
        unofficial: why a result of another machine is not official, whatever it says of itself.
    """
    from isthmus.cli import console
    from isthmus.contracts import signed_results
    from isthmus.core.digests import sha256_of
    from isthmus.reports.evaluation_text import evaluation_lines

    if options.format is Format.json:
        console.print_json(result.model_dump(mode="json"))
    else:
        print("\n".join(evaluation_lines(result)))
    if file is not None:
        err = console.err()
        is_signed = signed_results.signature_of(file).is_file()
        where = f"{file}, and its signature beside it" if is_signed else f"{file}"
        err.print(f"The result is in {where}", markup=False, soft_wrap=True)
        if options.output is None and not result.stand_ins:
            source = f"{{file: {file.relative_to(folder.parent)}, sha256: {sha256_of(file.read_bytes())}}}"
            err.print(
                f"To plan with it, in the requirements: scores_from: [{source}]", markup=False, soft_wrap=True
            )
            if unofficial:
                err.print(f"The result is not official: {unofficial}", markup=False, soft_wrap=True)
            elif result.candidate is not None and result.official and result.verdict == "passed":
                err.print(
                    f"To release the candidate, below `canary` in the overrides: evaluation: {source}",
                    markup=False,
                    soft_wrap=True,
                )


def _refuse_unfinished(options: EvaluateOptions, state: State) -> NoReturn:
    """Raise `Refused`: not every case has an outcome."""
    from isthmus.core.errors import Refused
    from isthmus.engine.evaluation.running import unanswered_text

    if state.unanswered:
        why = f"cases got no answer ({unanswered_text(state)})"
    elif state.is_over:
        why = "the budget of this run is used up"
    else:
        why = "the run ended early"
    raise Refused(
        f"{why}: there is no verdict yet",
        where=f"{options.stack} {options.workload}",
        fix="Run the same command again: it goes on. --tokens and --minutes set the budget",
    )


def _refuse(result: EvaluationResult, options: EvaluateOptions) -> None:
    """Raise `Refused` unless the evaluation passed."""
    from isthmus.core.errors import Refused

    where = f"{options.stack} {options.workload}"
    if result.verdict == "undecided":
        raise Refused(
            f"not decided: {result.why}", where=where, fix="Add cases: the report says how many decide it"
        )
    if result.verdict == "failed":
        raise Refused(result.why, where=where, fix="Keep the version in use, or mend the candidate")
