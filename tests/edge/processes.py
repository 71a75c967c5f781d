"""The edge as a real process: written configuration, start, readiness, output, and its end by process id."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from sandbox.cluster.kwok import free_ports
from tests import preloaded

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """None of those that the system gives to connections: one could have it before the process is there."""
    [port] = free_ports(1)
    return port


class Edge:
    """One running `python -m edge`, on free ports of the loopback where its file says no others."""

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        environment: dict[str, str] | None = None,
        program: str = "edge",
        within: Sequence[str] = (),
        python: str = sys.executable,
        code: Path = ROOT,
        *,
        forked: bool = True,
    ) -> None:
        """`within` is a command that starts the process in its own place, such as one with another file system.

        `python` is the interpreter as that place names it, `code` the folder that holds the package `edge`. Not
        `forked`: the process is this one's child, in the namespaces of the thread that starts it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for listener in ("listen", "health"):
            if listener == "health" or config["mode"] != "sealer":
                config[listener] = {"host": "127.0.0.1", "port": free_port(), **config.get(listener, {})}
        self.health_port = config["health"]["port"]
        self.port = config.get("listen", config["health"])["port"]
        self.url = f"https://127.0.0.1:{self.port}"
        self.health_url = f"http://127.0.0.1:{self.health_port}"
        file = folder / "config.yaml"
        with file.open("w") as stream:
            YAML().dump(config, stream)
        self._output = folder / "output.log"
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "LITELLM"))}
        environment = {**clean, **(environment or {})}
        usual = forked and (not within, python, program, code) == (True, sys.executable, "edge", ROOT)
        self.process: subprocess.Popen[bytes] | preloaded.Process
        with self._output.open("w") as output:
            # The translator and the detector load what reads the environment, and start processes of their own.
            if usual and config["mode"] in ("gateway", "sidecar", "sealer", "reviews"):
                process = preloaded.edge(["--config", str(file)], environment, output.fileno())
                if process is not None:
                    self.process = process
                    return
            self.process = subprocess.Popen(
                [*within, python, "-m", program, "--config", str(file)],
                cwd=code,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_until_up(self, seconds: float = 240) -> Edge:
        """Until the health listener answers, with whatever status.

        One that has ended is told at once; a second's work takes minutes where others have the processors.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.output()
            try:
                self.health()
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return self
        raise AssertionError(f"not up after {seconds} s: {self.output()}")

    def wait_until_well(self, seconds: float = 30) -> None:
        """Until the health listener says 200."""
        end = time.monotonic() + seconds
        while (health := self.health()).status_code != 200:
            assert time.monotonic() < end, f"{health.status_code} {health.text}: {self.output()}"
            time.sleep(0.1)

    def health(self, path: str = "/health") -> httpx.Response:
        return httpx.get(self.health_url + path, trust_env=False, timeout=10)

    def metric(self, name: str, **labels: str) -> float:
        """A sample of `/metrics`, or the sum of those that bear these labels; 0 without any."""
        families = text_string_to_metric_families(self.health("/metrics").text)
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def output(self) -> str:
        return self._output.read_text()

    def lines(self, event: str) -> list[dict[str, Any]]:
        parsed = [json.loads(line) for line in self.output().splitlines()]
        return [line for line in parsed if line["event"] == event]

    def wait_for_line(self, event: str, seconds: float = 30, **fields: Any) -> dict[str, Any]:
        """The first line of this event that bears these fields."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.lines(event):
                if all(line.get(key) == value for key, value in fields.items()):
                    return line
            time.sleep(0.05)
        raise AssertionError(f"no {event} line with {fields}: {self.output()}")

    def stop(self) -> int:
        """End it in order, by its process id; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait(5)
