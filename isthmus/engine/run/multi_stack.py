"""Several stacks side by side, in the order in which they need each other."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from isthmus.core.errors import InputError
from isthmus.engine.recovery.recovery import NO_ANSWERS
from isthmus.engine.run import stack_process

if TYPE_CHECKING:
    from isthmus.engine.project.project import Stack
    from isthmus.engine.recovery.recovery import Answers
    from isthmus.engine.run.approval import Approval
    from isthmus.engine.run.stack_process import Action, Order

State = Literal["waiting", "running", "done", "failed", "not started"]
_ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Task:
    """One stack of a run over several."""

    order: Order
    after: tuple[str, ...] = ()
    """Stacks that must be done first."""
    state: State = "waiting"
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    code: int = 0

    @property
    def stack(self) -> str:
        return self.order.stack


class Watcher(Protocol):
    """Is told how it goes, by one thread."""

    def started(self, task: Task) -> None: ...
    def told(self, task: Task, message: Mapping[str, Any]) -> None: ...
    def ended(self, task: Task) -> None: ...


Starter = Callable[["Order", Callable[[dict[str, Any]], None]], "Process"]


class Process(Protocol):
    """A child that runs."""

    def interrupt(self) -> None: ...


def build_tasks(
    stacks: Sequence[Stack],
    action: Action,
    *,
    in_place: bool = False,
    answers: Answers = NO_ANSWERS,
    approvals: Mapping[str, Approval] | None = None,
) -> list[Task]:
    """A task for each stack. What it waits for comes from the stacks' configuration: those below it, or above it.

    Only those of this run: what another stack gives is checked by the stack's own run. `answers` are about a creation
    of one stack: `InputError` where there are several. `approvals`, by stack: each does nothing else.
    """
    if len(stacks) > 1 and answers != NO_ANSWERS:
        raise InputError(
            "an answer about a creation is of one stack, and several are asked for",
            where="--made, --not-made",
            fix="Give it with the one stack alone, then run the others",
        )
    names = {stack.name for stack in stacks}
    tasks = []
    for stack in stacks:
        needs: list[str] = []
        if stack.member is not None and stack.estate is not None:
            required_members = (
                stack.estate.below(stack.member) if action == "up" else stack.estate.above(stack.member)
            )
            needs = [member.stack for member in required_members if member.stack in names]
        approval = (approvals or {}).get(stack.name)
        order = stack_process.Order(
            action,
            str(stack.project.root),
            stack.name,
            in_place,
            checked=stack.member is not None,
            made=dict(answers.made),
            not_made=tuple(sorted(answers.not_made)),
            approved=(approval.digest, approval.file) if approval else None,
        )
        tasks.append(Task(order, tuple(needs)))
    return tasks


def run(
    tasks: Sequence[Task], parallel: int, watcher: Watcher, start: Starter | None = None
) -> Sequence[Task]:
    """Run them, at most `parallel` at a time. Where one fails, those that need it are not started; the others go on.

    Interrupted, the children are interrupted once for each time, and waited for.
    """
    if parallel < 1:
        raise InputError(f"{parallel} at a time", where="--parallel", fix="Say 1 or more")
    by_name = {task.stack: task for task in tasks}
    messages: queue.Queue[tuple[Task, dict[str, Any]]] = queue.Queue()
    running: dict[str, Process] = {}
    start_process = start or _Child.start
    stopped = False
    while True:
        if not stopped:
            _start_ready(tasks, by_name, parallel, running, start_process, messages, watcher)
        if not running:
            break
        try:
            task, message = messages.get()
        except KeyboardInterrupt:
            stopped = True
            for process in running.values():
                process.interrupt()
            continue
        if "ended" not in message:
            task.result |= message.get("result") or {}
            if "error" in message:
                task.error, task.code = message["error"], message["code"]
            watcher.told(task, message)
            continue
        del running[task.stack]
        task.state = "done" if message["ended"] == 0 and not task.error else "failed"
        if task.state == "failed":
            task.code = task.code or int(message["ended"]) or 3
            task.error = task.error or _failure_text(int(message["ended"]), message.get("last") or "")
        watcher.ended(task)
    for each in tasks:
        if each.state == "waiting":
            each.state, each.error = "not started", "interrupted before"
    if stopped:
        raise KeyboardInterrupt
    return tasks


def _failure_text(code: int, line: str) -> str:
    """What is said of a process that told no error."""
    return "interrupted" if code in (130, -signal.SIGINT) else line or f"its process ended with {code}"


def _start_ready(
    tasks: Sequence[Task],
    by_name: Mapping[str, Task],
    parallel: int,
    running: dict[str, Process],
    start_process: Starter,
    messages: queue.Queue[tuple[Task, dict[str, Any]]],
    watcher: Watcher,
) -> None:
    for task in tasks:
        failed = [name for name in task.after if by_name[name].state in ("failed", "not started")]
        if task.state == "waiting" and failed:
            task.state, task.error = "not started", f"needs {' and '.join(failed)}"
            watcher.ended(task)
    for task in tasks:
        ready = all(by_name[name].state == "done" for name in task.after)
        if task.state == "waiting" and ready and len(running) < parallel:
            task.state = "running"
            watcher.started(task)

            def enqueue(message: dict[str, Any], task: Task = task) -> None:
                messages.put((task, message))

            running[task.stack] = start_process(task.order, enqueue)


class _Child:
    """A child process, and the thread that reads what it tells."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @classmethod
    def start(cls, order: Order, hear: Callable[[dict[str, Any]], None]) -> _Child:
        path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (the thread closes it)
        process = subprocess.Popen(
            stack_process.command(order),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            # Ctrl-C comes to us alone, and goes on to each once: twice would have an engine drop what it does.
            start_new_session=True,
        )

        def listen() -> None:
            with errors, process:
                for line in process.stdout or ():
                    with contextlib.suppress(ValueError):
                        hear(json.loads(line))
                code = process.wait()
                errors.seek(0)
                last = [line for line in errors.read().splitlines() if line.strip()][-1:]
                hear({"ended": code, "last": last[0] if last else ""})

        threading.Thread(target=listen, daemon=True).start()
        return cls(process)

    def interrupt(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGINT)
