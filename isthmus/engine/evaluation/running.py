"""Runs an evaluation on this machine: asks each case through the gateway, and goes on where the last run ended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import edge
from isthmus.contracts.evaluation_result import Subject
from isthmus.core.digests import sha256_of
from isthmus.core.errors import EnvironmentFault
from isthmus.engine.verification.access import GatewayAccess
from isthmus.evaluation.cases import Case
from isthmus.evaluation.definition import Loaded
from isthmus.evaluation.outcomes import VERSIONS, CaseOutcome, Version, read_outcomes
from sandbox.processes import end_processes
from sandbox.toolchain import cache
from sandbox.toolchain.packages import Packages

LOCK = Path(__file__).with_name("inspect.lock")
PROGRAM = Path(__file__).with_name("inspect_program.py")
PARTS = (
    PROGRAM,
    PROGRAM.with_name("answer_checks.py"),
    Path(edge.__file__).with_name("canary") / "rubric.py",
)
"""The program and the modules that it imports."""
INSPECT = Packages("inspect", LOCK)
CANARY_HEADER = "x-isthmus-canary"
CANARY, IN_USE = "canary", "in-use"
END_S = 10.0
"""Seconds that the program has to end by itself."""
RUNS = ".runs"
"""Folder beside the cases with what is not finished."""


@dataclass(frozen=True)
class Settings:
    """How a run asks."""

    parallel: int
    """Cases at once."""
    tokens: int
    """Tokens that this run may take."""
    minutes: float
    answers_folder: Path | None
    """Folder for the logs of Inspect AI, with questions and answers. None: they are deleted."""


@dataclass(frozen=True)
class State:
    """How far an evaluation is."""

    outcomes: Sequence[CaseOutcome]
    is_over: bool
    """Whether the budget of this run is used up."""
    unanswered: Mapping[str, int]
    """How many cases this run left without an outcome because nothing answered, by the error."""


def unanswered_text(state: State) -> str:
    """Why cases stayed without an outcome, in words."""
    return ", ".join(f"{count} times {error}" for error, count in state.unanswered.items())


def runner_version() -> str:
    """Program and version that ask and score."""
    version = re.search(r"^inspect-ai==(\S+)", LOCK.read_text("utf-8"), re.MULTILINE)
    assert version is not None
    scores = sha256_of(b"".join(part.read_bytes() for part in PARTS))
    return f"inspect-ai {version[1]}, checks {scores[7:19]}"


def folder_of_run(
    loaded: Loaded, subjects: Mapping[str, Subject], place: str, runs: Path | None = None
) -> Path:
    """The folder of an unfinished run. Another case, prompt, model, setting or place makes another one.

    Args:
        loaded: the evaluation.
        subjects: what is asked, and the judge (`judge`).
        place: the stack, whether the sandbox serves it, and who signs.
        runs: folder of unfinished runs. None: beside the cases.
    """
    facts = {
        "definition": loaded.sha256,
        "cases": loaded.cases_sha256,
        "subjects": {name: subject.model_dump(mode="json") for name, subject in subjects.items()},
        "runner": runner_version(),
        "place": place,
    }
    name = sha256_of(json.dumps(facts, sort_keys=True))[7:19]
    return (runs or loaded.folder / RUNS) / name


def run(
    loaded: Loaded,
    folder: Path,
    access: Mapping[str, GatewayAccess],
    settings: Settings,
    progress: Callable[[int, int, int], None],
    report: Callable[[str], None] = print,
) -> State:
    """Ask every case that has no outcome yet.

    Args:
        loaded: the evaluation.
        folder: of the run (`folder_of_run`). Its outcomes stay there.
        access: how to reach the version in use (`serving`) and, if they are asked, `candidate` and `judge`.
        settings: budget and parallelism.
        progress: is told how many cases are done, how many there are, and the tokens of this run.
        report: is told that another run is waited for.

    Raises:
        EnvironmentFault: the gateway cannot be asked, or the program cannot start. Outcomes so far stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder.parent / ".gitignore").write_text("*\n", "utf-8")
    with cache.exclusive(folder, "another run of this evaluation is under way; waiting for it", report):
        folder.mkdir(exist_ok=True)
        return _run(loaded, folder / "outcomes.jsonl", access, settings, progress)


def _run(
    loaded: Loaded,
    file: Path,
    access: Mapping[str, GatewayAccess],
    settings: Settings,
    progress: Callable[[int, int, int], None],
) -> State:
    versions: list[Version] = [version for version in VERSIONS if version in access]
    counted = {case.id for part in loaded.counted for case in part.cases}
    _end_last_line(file)
    before = [outcome for outcome in read_outcomes(file) if outcome.case in counted]
    done = {(outcome.case, outcome.version) for outcome in before}
    everything = len(counted) * len(versions)
    progress(len(done), everything, 0)
    if len(done) >= everything:
        return State(before, is_over=False, unanswered={})
    INSPECT.install()
    with tempfile.TemporaryDirectory(prefix="isthmus-evaluate-") as temporary:
        spec = {
            "outcomes": str(file),
            "logs": str(settings.answers_folder or Path(temporary) / "logs"),
            "keeps_answers": settings.answers_folder is not None,
            "tokens": settings.tokens,
            "seconds": settings.minutes * 60,
            "parallel": settings.parallel,
            "models": _models(access, versions),
            "tasks": _tasks(loaded, versions, done),
        }
        last = _run_program(spec, Path(temporary), len(done), everything, progress)
    outcomes = [outcome for outcome in read_outcomes(file) if outcome.case in counted]
    return State(outcomes, bool(last.get("over")), last.get("unanswered", {}))


def _tasks(
    loaded: Loaded, versions: Sequence[Version], done: Container[tuple[str, Version]]
) -> list[dict[str, Any]]:
    """What is still to be asked: a task for each version, without the cases that are done."""
    tasks = []
    for part in loaded.counted:
        for version in versions:
            cases = [case for case in part.cases if (case.id, version) not in done]
            if cases:
                tasks.append(
                    {
                        "name": part.task.name,
                        "check": part.task.check,
                        "rubric": part.task.rubric,
                        "max_tokens": part.task.max_tokens,
                        "version": version,
                        "cases": [_as_asked(loaded, case) for case in cases],
                    }
                )
    return tasks


def finish(folder: Path) -> None:
    """Delete what a finished run left."""
    shutil.rmtree(folder, ignore_errors=True)


def _models(access: Mapping[str, GatewayAccess], versions: Sequence[Version]) -> dict[str, Any]:
    models: dict[str, Any] = {"serving": _as_model(access["serving"], IN_USE, {})}
    if "candidate" in versions:
        models["candidate"] = _as_model(access["candidate"], CANARY, {CANARY_HEADER: "true"})
    if "judge" in access:
        models["judge"] = _as_model(access["judge"], IN_USE, {})
    return models


def _as_model(access: GatewayAccess, variant: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """`variant`: what the gateway must say that it asked."""

    def path(file: Path | None) -> str | None:
        return str(file) if file else None

    return {
        "url": access.url,
        "workload": access.workload,
        "key": str(access.key),
        "ca": path(access.ca),
        "certificate": path(access.certificate),
        "certificate_key": path(access.certificate_key),
        "variant": variant,
        "headers": dict(headers),
    }


def _as_asked(loaded: Loaded, case: Case) -> dict[str, Any]:
    """A case as the program asks and scores it."""
    messages = [*([loaded.system] if loaded.system else []), *case.conversation]
    return {
        "id": case.id,
        "messages": [message.model_dump() for message in messages],
        "tools": case.tools,
        "expected": case.expected,
        "call": case.call.model_dump() if case.call else None,
        "refuse": case.refuse,
    }


def _run_program(
    spec: Mapping[str, Any],
    folder: Path,
    done: int,
    everything: int,
    progress: Callable[[int, int, int], None],
) -> dict[str, Any]:
    """Run the program to its end. Returns its last line. Raises `EnvironmentFault`."""
    errors, last = folder / "errors.log", dict[str, Any]()
    with errors.open("wb") as log:
        process = subprocess.Popen(
            [
                str(INSPECT.program("python")),
                "-I",
                "-c",
                _START,
                *(str(part.parent) for part in (PROGRAM, PARTS[-1])),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={"PATH": os.defpath, "HOME": str(folder), "LANG": "C.UTF-8"},
            start_new_session=True,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdout:
        try:
            # By standard input, so that no question is ever in a file.
            with contextlib.suppress(BrokenPipeError), process.stdin:
                json.dump(spec, process.stdin)
            for line in process.stdout:
                last = _parse_line(line)
                if "done" in last:
                    progress(done + last["done"], everything, last["tokens"])
            code = process.wait()
        finally:
            if process.poll() is None:
                end_processes([psutil.Process(process.pid)], patience_s=END_S)
                process.wait()
    if "fault" in last:
        raise EnvironmentFault(
            last["fault"],
            where=spec["models"]["serving"]["url"],
            fix="Correct it, and run the command again: it goes on",
        )
    if code != 0:
        text = errors.read_text("utf-8", errors="replace").strip().rpartition("\n")[2]
        kind = text.partition(":")[0][:100]  # what follows may repeat a question
        raise EnvironmentFault(
            f"the program that asks ended with {code}{f' ({kind})' if kind else ''}",
            where=str(PROGRAM),
            fix="Run the command again: it goes on where it ended",
        )
    return last


_START = (
    "import runpy, sys; sys.path.insert(0, sys.argv[1]); sys.path.append(sys.argv[2]);"
    " runpy.run_path(sys.argv[1] + '/inspect_program.py', run_name='__main__')"
)
"""Starts the program with the folders of `PARTS`: an isolated interpreter looks into no folder by itself."""


def _parse_line(line: str) -> dict[str, Any]:
    """A line of the program; empty for what is none of its own."""
    try:
        content = json.loads(line)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _end_last_line(file: Path) -> None:
    """Cut a line off that a killed program did not end, so that the next one begins at its own."""
    if not file.exists():
        return
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        file.write_bytes(whole)
