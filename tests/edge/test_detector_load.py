"""The real detector under long work: texts of others do not wait for it, and abandoned work ends."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from edge.detection import DETECT_PATH, WORKLOAD
from edge.detector_processes import MAX_SLOW
from tests.edge.processes import Edge

LONG = "Herr Muster zahlt 4111 1111 1111 1111 an a1-b2-c3. " * 75_000  # 3.8 MB


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    config = {"mode": "detector", "class": "internal", "workers": 1}
    edge = Edge(tmp_path_factory.mktemp("detector"), config)
    try:
        yield edge.wait_until_up()
    finally:
        edge.stop()


def look(
    edge: Edge, *texts: str, workload: str = "own", limit_s: float = 2, wait_s: float = 30
) -> httpx.Response:
    body: dict[str, Any] = {"texts": texts, "entities": None, "later": None, "languages": ["de"]}
    with httpx.Client(trust_env=False, timeout=wait_s) as client:
        return client.post(
            f"http://127.0.0.1:{edge.port}{DETECT_PATH}",
            json={**body, "limit_s": limit_s},
            headers={WORKLOAD: workload},
        )


def running(edge: Edge) -> float:
    return edge.metric("isthmus_detections_running")


def wait_until(met: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_long_text_of_one_workload_does_not_delay_others(detector: Edge):
    over = threading.Event()

    def flood() -> None:
        while not over.is_set():
            with contextlib.suppress(httpx.TimeoutException):
                look(detector, LONG, workload="long", limit_s=30, wait_s=3)

    flooding = [threading.Thread(target=flood) for _ in range(4)]
    for thread in flooding:
        thread.start()
    try:
        wait_until(lambda: running(detector) >= 1)
        took = []
        for _ in range(20):
            wait_until(lambda: running(detector) >= 1)
            began = time.monotonic()
            assert look(detector, "Herr Muster, 4111 1111 1111 1111", workload="short").status_code == 200
            took.append(time.monotonic() - began)
    finally:
        over.set()
        for thread in flooding:
            thread.join()
    assert max(took) < 2, "the gateway would have refused it"


def test_slow_texts_of_one_workload_do_not_occupy_the_workers_of_others(detector: Edge):
    """Another workload gets a free worker, and does not wait for the slow texts before its own.

    Counted, not timed: who waited for ten slow texts each time would be done after all thirty.
    """
    slow = "a1-" * 5_000

    def send(text: str, workload: str) -> None:
        assert look(detector, text, workload=workload, limit_s=60, wait_s=90).status_code == 200

    with ThreadPoolExecutor(10) as pool:
        requests = [pool.submit(send, slow, "many") for _ in range(30)]
        wait_until(lambda: running(detector) >= 1)
        for _ in range(5):
            send("Hallo", "other")
        unfinished = sum(not request.done() for request in requests)
        for request in requests:
            request.result()
    assert unfinished >= 10


def test_the_time_limit_applies_to_the_whole_request_and_not_to_each_text(detector: Edge):
    began = time.monotonic()
    answer = look(detector, *["Herr Muster zahlt 4111 1111 1111 1111. " * 500] * 150, limit_s=0.2)
    assert (answer.status_code, answer.json()) == (503, {"error": "too_slow"})
    assert time.monotonic() - began < 5


def test_abandoned_detection_work_is_stopped(detector: Edge):
    left = detector.metric("isthmus_detections_left_total")
    with pytest.raises(httpx.TimeoutException):
        look(detector, LONG, limit_s=60, wait_s=0.5)
    wait_until(lambda: running(detector) == 0, 3)
    assert detector.metric("isthmus_detections_left_total") == left + 1
    assert look(detector, "Hallo").status_code == 200


def test_workloads_take_turns_with_long_texts(detector: Edge):
    """The first text of a workload does not wait for ten queued texts of another one."""
    text = LONG[: 100 * 1024]
    with ThreadPoolExecutor(12) as pool:
        first = [pool.submit(look, detector, text, workload="many", limit_s=60, wait_s=90) for _ in range(10)]
        wait_until(lambda: running(detector) >= 1)
        other_task = pool.submit(look, detector, text, workload="one", limit_s=60, wait_s=90)
        assert other_task.result().status_code == 200
        done = sum(task.done() for task in first)
        assert {task.result().status_code for task in first} == {200}
    assert done < 8


def test_a_worker_that_is_killed_is_replaced_and_its_request_is_refused(detector: Edge):
    parent = psutil.Process(detector.process.pid)

    def workers() -> list[psutil.Process]:
        return [process for process in parent.children(recursive=True) if process.ppid() != parent.pid]

    before = workers()
    assert len(before) == 4, "two for short requests, two for long ones"
    for worker in before:
        worker.kill()
    wait_until(lambda: look(detector, "Hallo").status_code == 200)
    wait_until(lambda: look(detector, LONG[: 100 * 1024], limit_s=30).status_code == 200)
    assert detector.health().status_code == 200
    assert len(workers()) <= 4 + MAX_SLOW


def test_an_invalid_detection_request_is_refused_and_kills_no_worker(detector: Edge):
    lost = detector.metric("isthmus_detections_lost_total")
    with httpx.Client(trust_env=False) as client:
        for body in (b"", b"[]", b"{", b'{"texts": 1}', b"[" * 100_000):
            answer = client.post(f"http://127.0.0.1:{detector.port}{DETECT_PATH}", content=body)
            assert answer.status_code == 400
    assert detector.metric("isthmus_detections_lost_total") == lost


def test_the_workers_of_a_detector_end_with_it(tmp_path: Path):
    edge = Edge(tmp_path / "own", {"mode": "detector", "class": "internal", "workers": 2}).wait_until_up()
    children = psutil.Process(edge.process.pid).children(recursive=True)
    assert len(children) >= 4
    edge.process.kill()
    edge.process.wait(5)
    assert not psutil.wait_procs(children, timeout=10)[1]
