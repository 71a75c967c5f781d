"""Starts the systems that `bench.edge` compares: the model server alone, the edge before it, and LiteLLM's proxy.

The system under test has one processor. The load generator and the model server share the other one.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from bench.attack import Target
from bench.measure import Failed
from bench.model_server import MODEL
from edge.audit.sealer import Sealer
from tests.edge.audit.harness import AuditSite
from tests.edge.certificates import Authority
from tests.edge.conftest import GATEWAY_NAME, KEYS, MODEL_NAME, WORKLOAD, bearer, callers_text, gateway_config
from tests.edge.processes import ROOT, Edge, free_port
from tests.graders import tools

HERE = Path(__file__).parent
RIVAL = "litellm-proxy"
GENERATOR_CPU, MEASURED_CPU = 0, 1
SEALED_S = 10.0
_MASTER_KEY = "sk-of-the-benchmark"


@dataclass
class System:
    """One compared system: a way to the model server."""

    name: str
    target: Target
    processes: list[psutil.Process] = field(default_factory=list)
    """The processes between the client and the model server."""

    def all_processes(self) -> list[psutil.Process]:
        return [
            descendant
            for process in self.processes
            for descendant in [process, *process.children(recursive=True)]
        ]

    def cpu_s(self) -> float:
        """Processor seconds so far, user and system time."""
        return sum(process.cpu_times().user + process.cpu_times().system for process in self.all_processes())

    def mib(self) -> float:
        """Resident memory. Pages that processes share are counted for each process."""
        return sum(process.memory_info().rss for process in self.all_processes()) / 2**20


@contextlib.contextmanager
def pinned_to(cpu: int) -> Iterator[None]:
    """Processes that start inside this context run on this processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Systems:
    """Starts the systems. They end with the exit stack."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._authority = Authority(folder)
        self._authority.issue("gateway", GATEWAY_NAME)
        for name in ("sidecar", "model"):
            self._authority.issue(name, MODEL_NAME)
        self._authority.issue("app", "app.payments.svc")
        (folder / "callers.yaml").write_text(callers_text())
        self._model_port, self._model_tls_port = free_port(), free_port()
        ports = [str(self._model_port), str(self._model_tls_port)]
        with pinned_to(GENERATOR_CPU):
            model = self._start([sys.executable, "-m", "bench.model_server", *ports, str(folder)], "model")
        _wait_until_healthy(f"http://127.0.0.1:{self._model_port}/health", model)

    def direct(self) -> System:
        return System("the model server", Target((f"http://127.0.0.1:{self._model_port}",), MODEL))

    def direct_tls(self) -> System:
        url = f"https://127.0.0.1:{self._model_tls_port}"
        return System("the model server, mutual TLS", Target((url,), MODEL, certificates=self._folder))

    def gateway(self, cpus: Sequence[int] = (MEASURED_CPU,)) -> System:
        """A gateway before a model server with mutual TLS, without a sidecar. One copy for each processor."""
        edges = [self._edge(f"gateway-{free_port()}", self._model_tls_port, cpu) for cpu in cpus]
        name = "gateway" if len(cpus) == 1 else f"{len(cpus)} copies of the gateway"
        return System(name, self._as_application(edges), [psutil.Process(edge.process.pid) for edge in edges])

    def chain(self, *, records: bool = True, root: Path = ROOT) -> System:
        """Gateway and sidecar as on-prem. The sidecar calls the model server over plain HTTP on loopback.

        A real gateway always keeps records. `records=False` shows what they cost.
        """
        name = "gateway and sidecar" if records else "the same, no audit"
        name = name if root == ROOT else f"the same of {root.name}"
        config = {
            "mode": "sidecar",
            "class": "restricted",
            "listen": self._listen("sidecar"),
            "allowed_clients": [GATEWAY_NAME],
            "upstream": f"http://127.0.0.1:{self._model_port}",
        }
        with pinned_to(MEASURED_CPU):
            sidecar = Edge(self._folder / f"sidecar-{free_port()}", config, code=root)
        self._stack.callback(sidecar.stop)
        sidecar.wait_until_up()
        gateway = self._edge(f"gateway-{free_port()}", sidecar.port, records=records, root=root)
        pids = (gateway.process.pid, sidecar.process.pid)
        return System(name, self._as_application([gateway]), [psutil.Process(pid) for pid in pids])

    def litellm(self) -> System:
        """LiteLLM's proxy with default settings: a key, a model, no database, plain HTTP on both sides."""
        python = tools.python(RIVAL, HERE)
        assert python is not None
        config = self._folder / "litellm.yaml"
        model = {
            "model": f"openai/{MODEL}",
            "api_base": f"http://127.0.0.1:{self._model_port}/v1",
            "api_key": "none",
        }
        document = {
            "model_list": [{"model_name": WORKLOAD, "litellm_params": model}],
            "general_settings": {"master_key": _MASTER_KEY},
        }
        config.write_text(json.dumps(document))
        port = free_port()
        command = [str(python), "-c", "import litellm; litellm.run_server()"]
        command += ["--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        with pinned_to(MEASURED_CPU):
            process = self._start(command, RIVAL)
        url = f"http://127.0.0.1:{port}"
        _wait_until_healthy(f"{url}/health/liveliness", process)
        return System("LiteLLM's proxy", Target((url,), WORKLOAD, bearer(_MASTER_KEY)), [process])

    def _edge(
        self, name: str, model_port: int, cpu: int = MEASURED_CPU, *, records: bool = True, root: Path = ROOT
    ) -> Edge:
        config = gateway_config(self._folder, model_port)
        del config["limits"]  # The benchmark measures the default limits.
        if root == ROOT:
            config["routes"][0]["interfaces"] = ["responses", "messages"]
        if records:
            config["audit"] = self._audit(name)
        with pinned_to(cpu):
            edge = Edge(self._folder / name, config, code=root)
        self._stack.callback(edge.stop)
        _wait_until_healthy(edge.health_url + "/health", psutil.Process(edge.process.pid))
        return edge

    def _audit(self, name: str) -> dict[str, str]:
        """Settings for a chain of records on this disk. A thread runs its sealer."""
        place = AuditSite.at(self._folder / f"audit-{name}")
        (place.root / "site.key").write_text("ab" * 32)
        (place.root / "seal.pem").write_bytes(place.public)
        stop = threading.Event()
        sealing = threading.Thread(target=_seal_until, args=(place.sealer(), stop))
        sealing.start()
        self._stack.callback(sealing.join)
        self._stack.callback(stop.set)
        return {
            "records": str(place.records),
            "seals": str(place.seals),
            "seal_key": str(place.root / "seal.pem"),
            "site_key": str(place.root / "site.key"),
            "policy": "of-the-benchmark",
            "name": name,
        }

    def _listen(self, name: str) -> dict[str, str]:
        folder = self._folder
        return {
            "certificate": str(folder / f"{name}.crt"),
            "key": str(folder / f"{name}.key"),
            "client_ca": str(self._authority.path),
        }

    def _as_application(self, edges: list[Edge]) -> Target:
        urls = tuple(edge.url for edge in edges)
        return Target(urls, WORKLOAD, bearer(KEYS[WORKLOAD]), self._folder)

    def _start(self, command: list[str], name: str) -> psutil.Process:
        """Start a process with a minimal environment, in which LiteLLM does not fetch its price list."""
        clean = {
            name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")
        }
        env = {
            **clean,
            "PYTHONPATH": str(ROOT) if name == "model" else "",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        cwd = ROOT if name == "model" else self._folder
        with (self._folder / f"{name}.log").open("w") as output:
            process = psutil.Popen(command, cwd=cwd, env=env, stdout=output, stderr=subprocess.STDOUT)
        self._stack.callback(_end_process, process)
        return process


def _seal_until(sealer: Sealer, stop: threading.Event) -> None:
    """Seal new chains at once, so that their gateway may serve, and all records every ten seconds."""
    last = 0.0
    while not stop.wait(0.25):
        if sealer.newcomers() or time.monotonic() - last >= SEALED_S:
            sealer.seal()
            last = time.monotonic()


def _wait_until_healthy(url: str, process: psutil.Process, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, trust_env=False, timeout=5).status_code == 200:
                return
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.1)
    raise Failed(f"nothing answers at {url}")


def _end_process(process: psutil.Process) -> None:
    """End the process and its children, by their ids."""
    processes: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        processes = [*process.children(recursive=True), process]
    for running in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            running.terminate()
    _, survivors = psutil.wait_procs(processes, timeout=10)
    for survivor in survivors:
        survivor.kill()
