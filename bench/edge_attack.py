"""`python -m bench.edge attack`: measures how an attacking client slows down the callers of another workload.

The setup is one gateway with its detector, audit records in memory, and one model server. Callers of one workload send
requests one after the other, first undisturbed, then while a client of another workload attacks. This repeats five
times. Figures are ratios within one run.
"""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from bench.attack import percentiles
from tests.edge.audit.audited import settings
from tests.edge.audit.harness import AuditSite
from tests.edge.certificates import Authority
from tests.edge.fake_model import FakeModel
from tests.edge.processes import Edge
from tests.edge.screening import standing
from tests.edge.screening.standing import KEYS

ROUNDS, REQUESTS = 5, 120
LIMIT_RATIO = 2.0
"""The most that an attack may raise the 99th percentile, as a factor."""
SLOW_CONNECTIONS = 500
LONG = "Frau Muster zahlt 4111 1111 1111 1111 an a1-b2-c3. " * 78_000  # 4 MB
QUADRATIC = ["a1-" * 20_000, "4" * 60_000, "a@" * 30_000, "-----BEGIN " * 5_000, "ghp_" * 15_000]
ANSWER_S = 30
LIMIT_S = 10
"""Time limit of the detector. It is high, so that no caller is refused because the machine is busy."""
Attack = Callable[[threading.Event], None]


class Stand:
    """All processes of the benchmark. They end with the exit stack."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.authority: Authority = standing.authority_of(folder)
        model = FakeModel()
        stack.callback(model.server_close)
        stack.callback(model.shutdown)
        sidecar = Edge(folder / "sidecar", standing.sidecar_config(folder, model))
        detector = Edge(folder / "detector", standing.detector_config())
        place = AuditSite.at(folder / "audit")
        ports: dict[str, int] = dict.fromkeys(("own", "cloud", "judge"), sidecar.port)
        config = standing.gateway_config(folder, f"http://127.0.0.1:{detector.port}", ports)
        config["audit"] = settings(folder, place)
        config["screening"]["limit_s"] = LIMIT_S
        config["limits"] = {"max_body_bytes": 8 * 1024 * 1024}
        self.gateway = Edge(folder / "gateway", config)
        for edge in (sidecar, detector, self.gateway):
            stack.callback(edge.stop)
            edge.wait_until_up()
        sealer, end = place.sealer(), time.monotonic() + 60
        while self.gateway.health().status_code != 200 and time.monotonic() < end:
            sealer.seal()
            time.sleep(0.2)

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.gateway.url, verify=self.authority.client("app"), trust_env=False, timeout=ANSWER_S
        )

    def ask(self, client: httpx.Client, workload: str, text: str) -> int:
        return self.send(client, workload, request_body(workload, text))

    def send(self, client: httpx.Client, workload: str, body: bytes) -> int:
        headers = {"authorization": f"Bearer {KEYS[workload]}", "content-type": "application/json"}
        return client.post("/v1/chat/completions", content=body, headers=headers).status_code

    def milliseconds(self) -> list[float]:
        """Latencies of callers of `guarded`, whose texts the detector reads. Every request must succeed."""
        waits = []
        with self.client() as client:
            for _ in range(REQUESTS):
                start = time.perf_counter()
                status = self.ask(client, "guarded", "Guten Tag")
                waits.append((time.perf_counter() - start) * 1000)
                assert status == 200, f"a caller who does not attack got {status}"
        return waits

    def slow_headers(self, over: threading.Event) -> None:
        """Open 500 connections, each with a header block that never ends."""
        context = self.authority.client("app")
        with contextlib.ExitStack() as stack:
            for _ in range(SLOW_CONNECTIONS):
                if over.is_set():
                    return
                plain = stack.enter_context(socket.create_connection(("127.0.0.1", self.gateway.port)))
                with contextlib.suppress(OSError):
                    tls = stack.enter_context(context.wrap_socket(plain, server_hostname="127.0.0.1"))
                    tls.sendall(b"POST /v1/chat/completions HTTP/1.1\r\n")
            self.ready.set()
            over.wait()

    def long_prompt(self, over: threading.Event) -> None:
        """Send a prompt of 4 MB for another workload again and again. The detector reads it."""
        self._again(over, [LONG])

    def quadratic(self, over: threading.Event) -> None:
        """Send texts that take long to check for their length."""
        self._again(over, QUADRATIC)

    def _again(self, over: threading.Event, texts: list[str]) -> None:
        # Encoded once, because the callers run in this process too.
        bodies = [request_body("cloud", text) for text in texts]
        with self.client() as client:
            while not over.is_set():
                for body in bodies:
                    self.ready.set()
                    with contextlib.suppress(httpx.HTTPError):
                        self.send(client, "cloud", body)
                    if over.wait(0.2):
                        return

    ready = threading.Event()


def request_body(workload: str, text: str) -> bytes:
    """The body of a chat request."""
    return json.dumps({"model": workload, "messages": [{"role": "user", "content": text}]}).encode()


@contextlib.contextmanager
def under_attack(stand: Stand, attack: Attack) -> Iterator[None]:
    """Runs an attack in a thread while the context is open."""
    over = threading.Event()
    stand.ready.clear()
    thread = threading.Thread(target=attack, args=[over])
    thread.start()
    stand.ready.wait(60)
    try:
        yield
    finally:
        over.set()
        thread.join()


def measure() -> dict[str, list[float]]:
    """For each attack, the ratio of the 99th percentiles in each round."""
    folder_in_memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 (records on memory, of the benchmark)
    with contextlib.ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="isthmus-attack-", dir=folder_in_memory))
        )
        stand = Stand(folder, stack)
        attacks: list[tuple[str, Any]] = [
            (f"{SLOW_CONNECTIONS} connections with slow headers", stand.slow_headers),
            ("a prompt of 4 MB", stand.long_prompt),
            ("quadratic texts", stand.quadratic),
        ]
        stand.milliseconds()  # warm
        ratios: dict[str, list[float]] = {name: [] for name, _ in attacks}
        for _ in range(ROUNDS):
            for name, attack in attacks:
                normal = percentiles(stand.milliseconds())[2]
                with under_attack(stand, attack):
                    attacked = percentiles(stand.milliseconds())[2]
                ratios[name].append(attacked / normal)
                print(f"  {name:40} p99 {normal:8.1f} ms, attacked {attacked:8.1f} ms", flush=True)
        return ratios


def main() -> int:
    print(
        f"attack: {ROUNDS} rounds of {REQUESTS} requests, the 99th percentile under attack by the normal one"
    )
    all_hold = True
    for name, ratios in measure().items():
        median = statistics.median(ratios)
        holds = median <= LIMIT_RATIO
        all_hold = all_hold and holds
        verdict = "holds" if holds else "DOES NOT HOLD"
        ratio_texts = " ".join(f"{ratio:.2f}" for ratio in sorted(ratios))
        print(f"  {verdict}: {name}: {median:.2f} times, at most {LIMIT_RATIO:g} ({ratio_texts})")
    return 0 if all_hold else 1


if __name__ == "__main__":
    raise SystemExit(main())
