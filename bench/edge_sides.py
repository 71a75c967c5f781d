"""What `bench.edge` measures: the model server itself, our gateway before it, LiteLLM's proxy before it.

What is measured has one processor, the generator and the model server have the other.
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
from tests.edge.audit.harness import Place
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
class Side:
    """One way to the model server."""

    name: str
    target: Target
    processes: list[psutil.Process] = field(default_factory=list)
    """What stands before the model server."""

    def all(self) -> list[psutil.Process]:
        return [each for one in self.processes for each in [one, *one.children(recursive=True)]]

    def cpu_s(self) -> float:
        """Processor seconds so far, user's and system's."""
        return sum(each.cpu_times().user + each.cpu_times().system for each in self.all())

    def mib(self) -> float:
        """Resident; pages that processes share are counted for each."""
        return sum(each.memory_info().rss for each in self.all()) / 2**20


@contextlib.contextmanager
def on(cpu: int) -> Iterator[None]:
    """What is started within runs on this processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Sides:
    """All of them, up; ended with the stack of contexts that they were started in."""

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
        with on(GENERATOR_CPU):
            model = self._start([sys.executable, "-m", "bench.model_server", *ports, str(folder)], "model")
        _wait(f"http://127.0.0.1:{self._model_port}/health", model)

    def direct(self) -> Side:
        return Side("the model server", Target((f"http://127.0.0.1:{self._model_port}",), MODEL))

    def direct_tls(self) -> Side:
        url = f"https://127.0.0.1:{self._model_tls_port}"
        return Side("the model server, mutual TLS", Target((url,), MODEL, certificates=self._folder))

    def gateway(self, cpus: Sequence[int] = (MEASURED_CPU,)) -> Side:
        """Straight to a model server that speaks mutual TLS itself; a copy on each of these processors."""
        edges = [self._edge(f"gateway-{free_port()}", self._model_tls_port, cpu) for cpu in cpus]
        name = "gateway" if len(cpus) == 1 else f"{len(cpus)} copies of the gateway"
        return Side(name, self._as_application(edges), [psutil.Process(each.process.pid) for each in edges])

    def chain(self, *, records: bool = True, root: Path = ROOT) -> Side:
        """Gateway and sidecar, as they stand on-prem; the model server is plain, on the sidecar's loopback.

        Without records it is no gateway that may serve, but shows what they cost.
        """
        what = "gateway and sidecar" if records else "the same, no audit"
        what = what if root == ROOT else f"the same of {root.name}"
        config = {
            "mode": "sidecar",
            "class": "restricted",
            "listen": self._listen("sidecar"),
            "allowed_clients": [GATEWAY_NAME],
            "upstream": f"http://127.0.0.1:{self._model_port}",
        }
        with on(MEASURED_CPU):
            sidecar = Edge(self._folder / f"sidecar-{free_port()}", config, code=root)
        self._stack.callback(sidecar.stop)
        sidecar.wait_until_up()
        gateway = self._edge(f"gateway-{free_port()}", sidecar.port, records=records, root=root)
        pids = (gateway.process.pid, sidecar.process.pid)
        return Side(what, self._as_application([gateway]), [psutil.Process(pid) for pid in pids])

    def rival(self) -> Side:
        """LiteLLM's proxy as it comes: a key, a model, no database; plain HTTP on both sides."""
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
        with on(MEASURED_CPU):
            process = self._start(command, RIVAL)
        url = f"http://127.0.0.1:{port}"
        _wait(f"{url}/health/liveliness", process)
        return Side("LiteLLM's proxy", Target((url,), WORKLOAD, bearer(_MASTER_KEY)), [process])

    def _edge(
        self, name: str, model_port: int, cpu: int = MEASURED_CPU, *, records: bool = True, root: Path = ROOT
    ) -> Edge:
        config = gateway_config(self._folder, model_port)
        del config["limits"]  # those that it has when the file says nothing
        if records:
            config["audit"] = self._audit(name)
        with on(cpu):
            edge = Edge(self._folder / name, config, code=root)
        self._stack.callback(edge.stop)
        _wait(edge.health_url + "/health", psutil.Process(edge.process.pid))
        return edge

    def _audit(self, name: str) -> dict[str, str]:
        """A chain of records on this disk, and its sealer, in a thread of ours."""
        place = Place.at(self._folder / f"audit-{name}")
        (place.root / "site.key").write_text("ab" * 32)
        (place.root / "seal.pem").write_bytes(place.public)
        over = threading.Event()
        sealing = threading.Thread(target=_seal, args=(place.sealer(), over))
        sealing.start()
        self._stack.callback(sealing.join)
        self._stack.callback(over.set)
        return {
            "records": str(place.records),
            "seals": str(place.seals),
            "seal_key": str(place.root / "seal.pem"),
            "site_key": str(place.root / "site.key"),
            "policy": "of-the-benchmark",
            "name": name,
        }

    def _listen(self, name: str) -> dict[str, str]:
        at = self._folder
        return {
            "certificate": str(at / f"{name}.crt"),
            "key": str(at / f"{name}.key"),
            "client_ca": str(self._authority.path),
        }

    def _as_application(self, edges: list[Edge]) -> Target:
        urls = tuple(edge.url for edge in edges)
        return Target(urls, WORKLOAD, bearer(KEYS[WORKLOAD]), self._folder)

    def _start(self, command: list[str], name: str) -> psutil.Process:
        """With no more of our environment than a program needs, and no network to look things up in."""
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
        self._stack.callback(_end, process)
        return process


def _seal(sealer: Sealer, over: threading.Event) -> None:
    """A new chain at once, so that its gateway may serve; what is written every ten seconds."""
    last = 0.0
    while not over.wait(0.25):
        if sealer.newcomers() or time.monotonic() - last >= SEALED_S:
            sealer.seal()
            last = time.monotonic()


def _wait(url: str, process: psutil.Process, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, trust_env=False, timeout=5).status_code == 200:
                return
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.1)
    raise Failed(f"nothing answers at {url}")


def _end(process: psutil.Process) -> None:
    """The process and what it started, by their ids."""
    each: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        each = [*process.children(recursive=True), process]
    for one in each:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.terminate()
    _, left = psutil.wait_procs(each, timeout=10)
    for one in left:
        one.kill()
