"""Runs an evaluation as a job of the platform: `python -m isthmus.engine.evaluation.job SETTINGS`.

It reads the settings that the platform rendered, asks each case through the gateway of the class, signs the result
with the key of the jobs, and prints it. A log has no question and no answer: a result has scores and names of cases
only. Exit code 0: the result is whole, whatever the verdict is. 1: the budget ended, or cases got no answer; the next
job goes on. 2: the settings, cases or keys are wrong. 3: the gateway cannot be asked.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from isthmus.contracts import signed_results
from isthmus.contracts.evaluation_result import EvaluationResult, Subject
from isthmus.core.errors import InputError, IsthmusError, Refused
from isthmus.core.signing_keys import read_signing_key
from isthmus.engine.evaluation import running
from isthmus.engine.verification.access import GatewayAccess
from isthmus.evaluation import definition
from isthmus.evaluation.definition import Loaded
from isthmus.evaluation.jobs import JobSettings
from isthmus.evaluation.judging import Run
from isthmus.evaluation.judging import judge as judge_outcomes
from isthmus.evaluation.outcomes import Version

SIGNING_KEY = "evaluator.key"
_TOLD_EVERY = 25
"""Cases between two lines of progress."""


def run_job(settings: JobSettings) -> EvaluationResult:
    """Ask every case that has no outcome yet, and write, sign and print the result.

    Raises:
        InputError: settings, cases or keys do not belong together.
        Refused: the budget is used up, or cases got no answer. The next job goes on.
        EnvironmentFault: the gateway cannot be asked.
    """
    loaded = definition.load(Path(settings.cases), settings.sensitivity)
    _check_judge(settings, loaded)
    private_key = _signing_key(settings)
    subjects = _subjects(settings, loaded)
    subjects_and_judge: dict[str, Subject] = {**subjects}
    if settings.judge is not None:
        subjects_and_judge["judge"] = settings.judge.subject
    state = Path(settings.state)
    place = f"{settings.stack}, a job, signed by {settings.signer}"
    folder = running.folder_of_run(loaded, subjects_and_judge, place, state / "runs" / settings.workload)
    budget = running.Settings(settings.parallel, settings.tokens, settings.minutes, None)
    outcome = running.run(loaded, folder, _access(settings), budget, _Progress().show, _tell)
    if not outcome.outcomes:
        _refuse_unfinished(outcome)
    run = Run(
        settings.stack,
        settings.workload,
        settings.sensitivity,
        subjects,
        settings.usd_per_token,
        running.runner_version(),
        official=settings.official,
        evaluated_by=settings.signer,
        stand_ins=False,
    )
    result = judge_outcomes(loaded, run, outcome.outcomes)
    if not result.complete:
        _refuse_unfinished(outcome)
    file = state / "results" / settings.workload / signed_results.file_name(result)
    file.parent.mkdir(parents=True, exist_ok=True)
    signed_results.write(file, result, private_key)
    print(signed_results.as_log(file), flush=True)
    running.finish(folder)
    return result


def _check_judge(settings: JobSettings, loaded: Loaded) -> None:
    """The judge of the cases is the one whose model and key the platform states."""
    named = loaded.evaluation.judge.workload if loaded.evaluation.judge else None
    stated = settings.judge.workload if settings.judge else None
    if named != stated:
        raise InputError(
            f"{definition.FILE} names {named or 'no workload'} as judge, and the platform {stated or 'none'}",
            where=settings.cases,
            fix=f"Set `judge` of the job of {settings.workload} to the judge of {definition.FILE}",
        )


def _signing_key(settings: JobSettings) -> bytes:
    """The private key, read before the first case is asked. Raises `InputError` unless it is that of the signer."""
    file = Path(settings.signing) / SIGNING_KEY
    private_key, public_key = read_signing_key(file, "the signing key")
    if public_key != settings.signer:
        raise InputError(
            f"the signing key is that of {public_key}, and the platform states {settings.signer}",
            where=str(file),
            fix="Put the key of `signer` into `signing_secret`, or state its public key as `signer`",
        )
    return private_key


def _subjects(settings: JobSettings, loaded: Loaded) -> Mapping[Version, Subject]:
    prompt = {"prompt_sha256": loaded.prompt_sha256}
    subjects: dict[Version, Subject] = {"serving": settings.serving.model_copy(update=prompt)}
    if settings.candidate is not None:
        subjects["candidate"] = settings.candidate.model_copy(update=prompt)
    return subjects


def _access(settings: JobSettings) -> Mapping[str, GatewayAccess]:
    """How to reach what is asked: `serving`, `candidate` and `judge`, all through the gateway of the class."""
    tls, keys = Path(settings.tls), Path(settings.keys)

    def access(workload: str, key: str) -> GatewayAccess:
        return GatewayAccess(
            data_class=settings.sensitivity,
            site=settings.site,
            url=settings.url,
            workload=workload,
            key=keys / key,
            certificate=tls / "tls.crt",
            certificate_key=tls / "tls.key",
            ca=tls / "ca.crt",
        )

    reached = {"serving": access(settings.workload, "key")}
    if settings.candidate is not None:
        reached["candidate"] = reached["serving"]
    if settings.judge is not None:
        reached["judge"] = access(settings.judge.workload, "judge-key")
    for entry in reached.values():
        if not entry.key.is_file():
            raise InputError(
                f"there is no key for evaluations of the workload {entry.workload}",
                where=str(entry.key),
                fix=f"Add `{entry.key.name}` to the job's Secret",
            )
    return reached


def _refuse_unfinished(state: running.State) -> NoReturn:
    """Raise `Refused`: not every case has an outcome."""
    if state.unanswered:
        why = f"cases got no answer ({running.unanswered_text(state)})"
    else:
        why = "the budget of this job is used up" if state.is_over else "the run ended early"
    raise Refused(
        f"{why}: there is no verdict yet",
        fix="Start another job: it goes on. `tokens` and `minutes` of the job set the budget",
    )


class _Progress:
    """Prints how far the job is, at its start and every few cases."""

    def __init__(self) -> None:
        self._told = -_TOLD_EVERY

    def show(self, done: int, everything: int, tokens: int) -> None:
        """Cases are done. `tokens`: those of this job."""
        if done - self._told >= _TOLD_EVERY or done == everything:
            self._told = done
            _tell(f"{done} of {everything} cases, {tokens} tokens")


def _tell(line: str) -> None:
    print(line, flush=True)


def read_settings(file: Path) -> JobSettings:
    """The settings of a job. Raises `InputError`."""
    try:
        return JobSettings.model_validate_json(file.read_bytes())
    except OSError as error:
        raise InputError(f"the settings cannot be read ({error.strerror})", where=str(file)) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"these are not the settings of an evaluation job of this version: {key}: {first['msg']}",
            where=str(file),
            fix="Run the image of the platform's own version of Isthmus",
        ) from None


def main(arguments: list[str]) -> int:
    """Run the job of a settings file. Returns the exit code."""
    # The first process of a container ignores SIGTERM unless it handles it. The program that asks ends with this one.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(143))
    if len(arguments) != 1:
        print("usage: python -m isthmus.engine.evaluation.job SETTINGS", file=sys.stderr)
        return 2
    try:
        result = run_job(read_settings(Path(arguments[0])))
    except IsthmusError as error:
        print(f"isthmus: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except OSError as error:
        print(f"isthmus: {error.filename or 'a file'}: {error.strerror}", file=sys.stderr, flush=True)
        return 2
    except Exception as error:  # noqa: BLE001
        # Its text may have content, and the log must not.
        print(f"isthmus: the job failed ({type(error).__name__})", file=sys.stderr, flush=True)
        return 3
    print(f"{result.verdict}: {result.why}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
