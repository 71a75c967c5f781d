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
    """A free port outside the range of outgoing connections, so that no connection takes it before the process
    starts.
    """
    [port] = free_ports(1)
    return port


class Edge:
    """One running `python -m edge`, on free loopback ports unless its file sets others."""

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
        """Start the process.

        `within`: command that starts the process in its place, for example with another file system. `python`: path
        of the interpreter there. `code`: the folder with the package `edge`. `forked` false: the process is a
        direct child of this one, in the namespaces of the calling thread.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for listener in ("listen", "health"):
            if listener == "health" or config["mode"] not in ("sealer", "notifier", "loader"):
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
            # Translator and detector load libraries that read the environment, and start further processes.
            if usual and config["mode"] in ("gateway", "sidecar", "sealer", "reviews", "chat"):
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
        """Wait until the health listener answers, with any status.

        Fails at once if the process has ended. The limit is long, because a busy machine can take minutes for a
        second of work.
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
        """Wait until the health listener answers 200."""
        end = time.monotonic() + seconds
        while (health := self.health()).status_code != 200:
            assert time.monotonic() < end, f"{health.status_code} {health.text}: {self.output()}"
            time.sleep(0.1)

    def health(self, path: str = "/health") -> httpx.Response:
        return httpx.get(self.health_url + path, trust_env=False, timeout=10)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric, or the sum of all samples with these labels. 0 without samples."""
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
        """Wait for the first line of this event with these fields, and return it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.lines(event):
                if all(line.get(key) == value for key, value in fields.items()):
                    return line
            time.sleep(0.05)
        raise AssertionError(f"no {event} line with {fields}: {self.output()}")

    def stop(self) -> int:
        """Stop the process in order, and return its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait(5)
