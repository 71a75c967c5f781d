"""Several stacks in parallel: order, failures, interruption, and child processes that end without a result."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isthmus.core.errors import InputError
from isthmus.engine.project.project import Project
from isthmus.engine.recovery.recovery import Answers
from isthmus.engine.run import multi_stack, retained_resources, stack_process, up_and_destroy
from isthmus.engine.run.multi_stack import Task
from isthmus.engine.run.stack_process import Order
from tests.blueprints.bank import ROOT, STACK
from tests.estate import LAYERS, bank_estate


class Children:
    """Children that end when they are told to; each as `codes` says."""

    def __init__(self, **codes: int) -> None:
        self.codes = codes
        self.begun: list[str] = []
        self.most = 0
        self.interrupted: list[str] = []
        self._now = 0
        self._lock = threading.Lock()

    def start(self, order: Order, hear: Callable[[dict[str, Any]], None]) -> multi_stack.Process:
        with self._lock:
            self.begun.append(order.stack)
            self._now += 1
            self.most = max(self.most, self._now)
        children = self

        class One:
            def interrupt(self) -> None:
                children.interrupted.append(order.stack)
                end(130)

        def end(code: int) -> None:
            with children._lock:
                children._now -= 1
            if code == 0:
                hear({"result": {"counts": {"create": 1}, "seconds": 1.0}})
            elif code != 130:
                hear({"error": f"{order.stack} broke", "code": code})
            hear({"ended": code, "last": ""})

        if order.stack not in self.codes or self.codes[order.stack] != -1:
            threading.Timer(0.02, end, [self.codes.get(order.stack, 0)]).start()
        return One()


class SilentObserver:
    def __init__(self) -> None:
        self.ends: list[tuple[str, str]] = []

    def started(self, task: Task) -> None: ...
    def told(self, task: Task, message: Any) -> None: ...

    def ended(self, task: Task) -> None:
        self.ends.append((task.stack, task.state))


def task(name: str, *after: str) -> Task:
    return Task(Order("up", "/nowhere", name), after)


def estate() -> list[Task]:
    return [task("f"), task("p", "f"), task("a", "p"), task("b", "p"), task("alone")]


def states(tasks: Any) -> dict[str, str]:
    return {task.stack: task.state for task in tasks}


def test_a_stack_begins_when_those_it_needs_are_done():
    children = Children()
    done = multi_stack.run(estate(), 4, SilentObserver(), children.start)
    assert set(states(done).values()) == {"done"}
    order = children.begun
    assert order.index("f") < order.index("p") < min(order.index("a"), order.index("b"))
    assert order.index("alone") < order.index("p"), "what needs nobody waits for nobody"
    assert children.most == 2


def test_no_more_stacks_run_in_parallel_than_allowed():
    children = Children()
    multi_stack.run([task(str(index)) for index in range(6)], 2, SilentObserver(), children.start)
    assert children.most == 2
    with pytest.raises(InputError, match="0 stacks at a time"):
        multi_stack.run([], 0, SilentObserver(), children.start)


def test_stacks_that_need_a_failed_stack_are_skipped_and_others_continue():
    children, watcher = Children(p=2), SilentObserver()
    done = multi_stack.run(estate(), 4, watcher, children.start)
    assert states(done) == {
        **{"f": "done", "p": "failed", "alone": "done"},
        **{"a": "not started", "b": "not started"},
    }
    assert (done[1].error, done[1].code) == ("p broke", 2)
    assert done[2].error == "needs p"
    assert ("a", "not started") in watcher.ends
    assert "a" not in children.begun


def test_stacks_that_need_a_skipped_stack_are_skipped_too():
    done = multi_stack.run(estate(), 4, SilentObserver(), Children(f=3).start)
    assert [(outcome.state, outcome.error) for outcome in done[1:4]] == [
        ("not started", "needs f"),
        ("not started", "needs p"),
        ("not started", "needs p"),
    ]


def test_an_interrupt_is_sent_once_to_running_stacks_and_no_other_starts(
    monkeypatch: pytest.MonkeyPatch,
):
    children = Children(f=-1, alone=-1)
    interrupted = iter([KeyboardInterrupt])

    class Queue(multi_stack.queue.Queue):  # type: ignore[name-defined, type-arg]
        def get(self, *args: Any, **more: Any) -> Any:
            for interruption in interrupted:
                raise interruption
            return super().get(*args, **more)

    monkeypatch.setattr(multi_stack.queue, "Queue", Queue)
    tasks = estate()
    with pytest.raises(KeyboardInterrupt):
        multi_stack.run(tasks, 4, SilentObserver(), children.start)
    assert sorted(children.interrupted) == ["alone", "f"]
    assert tasks[0].error == "interrupted"
    assert states(tasks) == {
        **{"f": "failed", "alone": "failed"},
        **dict.fromkeys("pab", "not started"),
    }


def test_a_child_process_reports_its_error_and_exit_code(tmp_path: Path):
    (done,) = multi_stack.run([Task(Order("up", str(tmp_path / "nowhere"), "x"))], 1, SilentObserver())
    assert (done.state, done.code) == ("failed", 2)
    assert "Pulumi.yaml: there is no such file" in done.error


def test_a_child_process_without_a_result_fails_with_its_last_line(monkeypatch: pytest.MonkeyPatch):
    code = "import sys; print('not a message'); print('first\\nout of memory', file=sys.stderr); sys.exit(7)"
    monkeypatch.setattr(stack_process, "command", lambda _: [sys.executable, "-c", code])
    (done,) = multi_stack.run([task("x")], 1, SilentObserver())
    assert (done.state, done.code, done.error) == ("failed", 7, "out of memory")


def test_resources_left_by_a_destroy_are_reported_to_the_parent(monkeypatch: pytest.MonkeyPatch):
    bucket = retained_resources.RetainedResource("Bucket audit", "audit-id", "frankfurt", "records lie in it")
    gone = up_and_destroy.Destroyed(counts={"delete": 1}, retained=[bucket], pending_keys=[], seconds=1.0)
    monkeypatch.setattr(up_and_destroy, "destroy", lambda *_, **__: gone)
    string_io = io.StringIO()
    assert stack_process.run(Order("destroy", str(ROOT), STACK), stack_process.Messenger(string_io)) == 0
    assert json.loads(string_io.getvalue())["result"]["retained"] == [
        "Bucket audit at frankfurt (audit-id): records lie in it"
    ]


def test_a_child_process_is_interrupted_when_its_parent_ends():
    code = (
        "import signal, time; from isthmus.engine.run import stack_process;"
        "signal.signal(signal.SIGINT, signal.SIG_IGN);"
        "stack_process.end_with_parent(); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=30) == -signal.SIGINT


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return bank_estate(tmp_path_factory.mktemp("estate"))


def test_stacks_run_in_the_order_of_the_configuration_and_reversed_for_destroy(project: Project):
    stacks = project.chosen(["bank"])
    assert [stack.name for stack in stacks] == list(LAYERS)
    assert {build_task.stack: build_task.after for build_task in multi_stack.build_tasks(stacks, "up")} == {
        "bank-foundation": (),
        "bank-platform": ("bank-foundation",),
        "bank-investigations": ("bank-platform",),
        "bank-onboarding": ("bank-platform",),
    }
    assert {
        build_task.stack: build_task.after for build_task in multi_stack.build_tasks(stacks, "destroy")
    } == {
        "bank-foundation": ("bank-platform",),
        "bank-platform": ("bank-investigations", "bank-onboarding"),
        "bank-investigations": (),
        "bank-onboarding": (),
    }
    alone = multi_stack.build_tasks(project.chosen(["bank-onboarding"]), "up")
    assert alone[0].after == (), "what is not asked for is not waited for"


def test_a_name_may_be_a_stack_or_an_estate_and_every_stack_runs_once(project: Project):
    assert [stack.name for stack in project.chosen(["bank-platform", "bank"])] == [
        *("bank-platform", "bank-foundation", "bank-investigations", "bank-onboarding")
    ]
    with pytest.raises(InputError, match=r"unknown stack `bnk`.*Did you mean `bank`.*the estates: bank"):
        project.chosen(["bnk"])
    with pytest.raises(InputError, match="`bank` is an estate, but this command needs one stack"):
        project.stack("bank")


def test_answers_about_interrupted_creations_are_refused_for_several_stacks(project: Project):
    stacks, answers = project.chosen(["bank"]), Answers({"bank-vpc": "vpc-1"}, frozenset({"other"}))
    with pytest.raises(InputError, match="several were given"):
        multi_stack.build_tasks(stacks, "up", answers=answers)
    (build_task,) = multi_stack.build_tasks(stacks[:1], "up", answers=answers)
    assert build_task.order.answers == answers
