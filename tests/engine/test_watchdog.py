"""The watchdog: it ends a run if the cluster does not answer for too long."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.core.errors import EnvironmentFault, InputError, Refused
from isthmus.core.kubernetes_client import ApiRefusal
from isthmus.engine.kubernetes import watchdog


class Cluster:
    """Answers, refuses, or is silent, as it is told."""

    context = "fra1"
    server = "https://127.0.0.1:6443"

    def __init__(self, does: type[Exception] | None = None) -> None:
        self.does = does
        self.asked = 0

    def get(self, *_: Any, **__: Any) -> Any:
        self.asked += 1
        if self.does is ApiRefusal:
            raise ApiRefusal(401, "who are you")
        if self.does:
            raise self.does("does not answer")
        return {}


def watch(cluster: Cluster, messages: list[str], turns: list[int]) -> watchdog.Watch:
    return watchdog.Watch({"fra1": cluster}, messages.append, 0.2, 0.02, turns.append)  # type: ignore[dict-item]


def during(watching: watchdog.Watch, seconds: float) -> None:
    thread = threading.Thread(target=watching.run)
    thread.start()
    time.sleep(seconds)
    watching.end()
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize("does", [EnvironmentFault, ValueError])
def test_an_unanswering_cluster_is_reported_and_ends_the_run_after_the_limit(does: type[Exception]):
    messages: list[str] = []
    turns: list[int] = []
    watching = watch(Cluster(does), messages, turns)
    during(watching, 0.1)
    assert messages == ["site fra1: its cluster does not answer; the run is interrupted after 0 s"]
    assert (watching.gone, turns) == (None, [])
    watching = watch(Cluster(does), messages, turns)
    during(watching, 0.5)
    assert (watching.gone, turns) == ("fra1", [0])


@pytest.mark.parametrize("does", [None, ApiRefusal])
def test_any_response_of_the_cluster_counts_even_a_refusal(does: type[Exception] | None):
    cluster, turns = Cluster(does), []
    watching = watch(cluster, [], turns)
    during(watching, 0.5)
    assert cluster.asked > 5
    assert (watching.gone, turns) == (None, [])


def test_a_cluster_that_answers_again_resets_the_watchdog():
    cluster, messages, turns = Cluster(EnvironmentFault), [], []
    watching = watch(cluster, messages, turns)
    thread = threading.Thread(target=watching.run)
    thread.start()
    for does in (None, EnvironmentFault, None):
        time.sleep(0.12)
        cluster.does = does
    time.sleep(0.1)
    watching.end()
    thread.join(5)
    assert (watching.gone, turns, len(messages)) == (None, [], 2)


def test_an_engine_that_ignores_the_interrupt_is_interrupted_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watchdog, "PATIENCE_S", 0.05)
    turns: list[int] = []
    during(watch(Cluster(EnvironmentFault), [], turns), 0.6)
    assert turns[:3] == [0, 1, 2]


def test_a_run_that_the_watchdog_ended_reports_the_reason(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(watchdog.VARIABLE, "1")
    monkeypatch.setattr(watchdog, "INTERVAL_S", 0.05)
    ended = threading.Event()
    monkeypatch.setattr(watchdog, "interrupt", lambda turn: ended.set())

    def run(cluster: Cluster, error: Exception, after: threading.Event | None = None) -> None:
        clusters: Any = {"fra1": cluster}
        with watchdog.watch_clusters(clusters, lambda _: None):
            assert after is None or after.wait(20)
            raise error

    with pytest.raises(
        EnvironmentFault, match=r"has not answered at https://127\.0\.0\.1:6443 for 1 s"
    ) as caught:
        run(Cluster(EnvironmentFault), EnvironmentFault("the engine was interrupted"), ended)
    assert "site fra1" in str(caught.value)
    with pytest.raises(Refused, match="other"):
        run(Cluster(), Refused("other"))


@pytest.mark.parametrize("text", ["soon", "0", "-5", "nan", "1e9"])
def test_an_invalid_time_limit_is_refused(monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.setenv(watchdog.VARIABLE, text)
    with pytest.raises(InputError, match=watchdog.VARIABLE):
        watchdog.silence_limit()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A child of the engine's name that ends at the second Ctrl-C."""
    (tmp_path / "pulumi").symlink_to(sys.executable)
    code = (
        "import signal, sys, time\nseen = []\n"
        "def heard(*_):\n    seen.append(1)\n    print(len(seen), flush=True)\n    len(seen) > 1 and sys.exit(7)\n"
        "signal.signal(signal.SIGINT, heard)\nprint('there', flush=True)\ntime.sleep(60)\ntime.sleep(60)\n"
    )
    command = [str(tmp_path / "pulumi"), "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "there\n"
        yield process
        process.kill()


def test_the_engine_is_interrupted_twice_and_then_killed(engine: subprocess.Popen[str]):
    assert engine.stdout
    watchdog.interrupt(0)
    assert engine.stdout.readline() == "1\n"
    watchdog.interrupt(1)
    assert engine.wait(10) == 7


def test_an_engine_that_ignores_every_interrupt_is_killed(engine: subprocess.Popen[str]):
    watchdog.interrupt(2)
    assert engine.wait(10) == -signal.SIGKILL
