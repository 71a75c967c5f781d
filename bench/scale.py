"""Measures large fleets: growth of the rendering time, and the cost of preview and up compared with a bare program.

    python -m bench.scale [RESOURCES] [UPS]      one stack (default 1,000 resources, 1 up) and a bare program
    python -m bench.scale unsaved [RESOURCES]    the same, with the state written once at the end (default 5,000)
    python -m bench.scale render                 rendering only, at 1,000 and 5,000 resources
    python -m bench.scale estate [RESOURCES]     an estate of ten stacks (default 5,000) and a bare program

`isthmus init --sandbox` creates the fleet (`bench.fleet`), and a sandbox runs it. The bare program has the same
resources (`bench.bare`) in its own sandbox. Both run in turn.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench import fleet
from bench.bare import join_states, program_from_state, write_project
from bench.measure import Series, run, run_with_memory, verdict
from bench.spine import ROOT, SandboxedProgram, copy_project

STACK = "fleet"
SMALL, LARGE = 1000, 5000
SHARE, SECONDS = 0.15, 1.0
LINEAR = 1.15
"""Rendering is linear if a resource of the large fleet takes at most this factor of one of the small fleet."""
ESTATE, ESTATE_SHARE = 10, 0.5
"""Number of stacks in the estate, and the share of the bare program's time that it may take."""
MOST_RPS = 1.0
"""Each team has little load, so an endpoint needs two replicas in two failure domains and few machines."""
UP = ("up", "--yes", "--skip-preview")
PREVIEWS = 3
UNSAVED = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}
"""Makes the engine write no state before the end. For measurements only: an interrupted run would lose its state."""
NO_ENDPOINTS = 8
"""Endpoints of the smallest fleet: one pool of each kind, each class twice."""


class Fleet:
    """A project folder with the stack of a fleet."""

    def __init__(self, folder: Path, endpoints: int) -> None:
        from isthmus.core import yaml_files

        self.endpoints, self.project = endpoints, folder
        folder.mkdir(parents=True)
        copy_project(folder)
        self.requirements = folder / "wanted.yaml"
        nodes = max(8, round(endpoints * 1.2))
        data = fleet.requirements_data(endpoints, nodes, most_rps=MOST_RPS)
        yaml_files.dump(data, "", self.requirements)
        self.env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._isthmus("init", STACK, "--requirements", str(self.requirements), "--sandbox")

    def render(self) -> float:
        return self._isthmus("render", STACK, "-o", str(self.project / "out"))

    def resources(self) -> int:
        graph = json.loads((self.project / "out" / "graph.json").read_text())
        return sum(resource["custom"] for resource in graph["resources"])

    def in_layers(self, serving: int) -> list[str]:
        """Turn the stack into an estate with a foundation, a platform, and `serving` serving stacks."""
        from isthmus.core import yaml_files

        stacks = self.project / "stacks"
        file = stacks / f"Pulumi.{STACK}.yaml"
        config = dict(yaml_files.load(file).data["config"])
        overrides = config.pop("isthmus:overrides")
        yaml_files.dump(overrides, "", stacks / f"{STACK}.overrides.yaml")
        file.unlink()
        ids = [endpoint["id"] for endpoint in overrides["endpoints"]]
        layer_settings: dict[str, dict[str, object]] = {
            layer: {"isthmus:layer": layer} for layer in ("foundation", "platform")
        }
        for number in range(serving):
            layer_settings[f"serving{number}"] = {
                "isthmus:layer": "serving",
                "isthmus:serves": ids[number::serving],
            }
        for name, settings in layer_settings.items():
            data = {"config": {**config, "isthmus:of": STACK, **settings}}
            yaml_files.dump(data, "", stacks / f"Pulumi.{STACK}-{name}.yaml")
        return [f"{STACK}-{name}" for name in layer_settings]

    def _isthmus(self, *arguments: str) -> float:
        command = [sys.executable, "-m", "isthmus", *arguments, "--project", str(self.project)]
        return run(command, cwd=self.project, env=self.env)


def endpoints_for(resources: int, directory: Path) -> int:
    """The number of endpoints for about `resources` resources, estimated from two small fleets."""
    counts = []
    for endpoints in (NO_ENDPOINTS, 2 * NO_ENDPOINTS):
        small = Fleet(directory / f"of-{endpoints}", endpoints)
        small.render()
        counts.append(small.resources())
    per_endpoint = (counts[1] - counts[0]) / NO_ENDPOINTS
    return max(NO_ENDPOINTS, round((resources - counts[0]) / per_endpoint) + NO_ENDPOINTS)


def rendering(directory: Path) -> bool:
    """Whether the rendering time grows linearly with the resources, without start-up time."""
    least = Fleet(directory / "least", NO_ENDPOINTS)
    small = Fleet(directory / "small", endpoints_for(SMALL, directory))
    large = Fleet(directory / "large", endpoints_for(LARGE, directory / "again"))
    seconds = {fleet: min(fleet.render() for _ in range(2)) for fleet in (least, small, large)}
    for measured, render_seconds in seconds.items():
        size = f"{measured.endpoints} endpoints, {measured.resources()} resources"
        print(f"  {size}: rendered in {render_seconds:.1f} s", flush=True)
    seconds_per_resource = [
        (seconds[fleet] - seconds[least]) / (fleet.resources() - least.resources())
        for fleet in (small, large)
    ]
    is_linear = seconds_per_resource[1] <= seconds_per_resource[0] * LINEAR
    per_small, per_large = (f"{seconds * 1000:.2f} ms" for seconds in seconds_per_resource)
    print(
        f"  a resource more: {per_small} up to {small.resources()}, {per_large} up to {large.resources()}: "
        f"{'linear' if is_linear else 'NOT LINEAR'}"
    )
    return is_linear


def beside_bare(directory: Path, resources: int, ups: int, engine: Mapping[str, str] | None = None) -> bool:
    """Whether preview and up of one stack stay within the bounds of a bare program with the same resources.

    `engine`: environment variables for both engines. It prints the size of both states, because writing them takes
    time.
    """
    from sandbox import api

    fleet = Fleet(directory / "ours", endpoints_for(resources, directory))
    homes = [directory / "home-ours", directory / "home-bare"]
    try:
        isthmus = SandboxedProgram("isthmus", homes[0], fleet.project, STACK, fleet.requirements)
        isthmus.init()
        isthmus.env |= engine or {}
        up = Comparison("up from nothing")
        up.measure(isthmus, *UP)  # The bare program is written from this state.
        bare = SandboxedProgram("bare program", homes[1], directory / "bare", "bare", fleet.requirements)
        program = program_from_state(isthmus.state(), bare.env["KUBECONFIG"])
        write_project(directory / "bare", program, ROOT / ".venv")
        bare.env |= engine or {}
        bare.init()
        print(f"  {fleet.endpoints} endpoints, {len(program)} resources", flush=True)
        up.measure(bare, *UP)
        for _ in range(ups - 1):
            for side in (isthmus, bare):
                side.destroy()
                up.measure(side, *UP)
        unchanged = Comparison("preview, unchanged")
        for _ in range(PREVIEWS):
            for side in (isthmus, bare):
                unchanged.measure(side, "preview")
        sizes = [len(json.dumps(program.state())) / 2**20 for program in (isthmus, bare)]
        print(f"  state: {sizes[0]:.1f} and {sizes[1]:.1f} MiB, ratio {sizes[0] / sizes[1]:.2f}")
        return all([up.fine(), unchanged.fine()])
    finally:
        for home in homes:
            api.down(home)


def estate(directory: Path, resources: int) -> bool:
    """Whether an estate of ten stacks is up in at most half the time of one bare program with the same resources.

    The bare program is stopped after twice the estate's time, because the result is then known.
    """
    from sandbox import api

    fleet = Fleet(directory / "ours", endpoints_for(resources, directory))
    stacks = fleet.in_layers(ESTATE - 2)
    homes = [directory / "home-ours", directory / "home-bare"]
    try:
        isthmus = SandboxedProgram("estate", homes[0], fleet.project, stacks[0], fleet.requirements)
        command = [sys.executable, "-m", "isthmus", "up", STACK, "--yes", "--project", str(fleet.project)]
        env = {**isthmus.env, "PYTHONPATH": str(ROOT)}
        estate_seconds, most = run_with_memory(command, cwd=fleet.project, env=env)
        bare = SandboxedProgram("bare", homes[1], directory / "bare", "bare", fleet.requirements)
        program = program_from_state(
            join_states([isthmus.state(stack) for stack in stacks]), bare.env["KUBECONFIG"]
        )
        write_project(bare.project, program, ROOT / ".venv")
        bare.init()
        print(f"  {fleet.endpoints} endpoints, {len(program)} resources")
        print(
            f"  estate of {len(stacks)} stacks: up in {estate_seconds:.0f} s, at most {most:,.0f} MiB together",
            flush=True,
        )
        command_words = ["pulumi", *UP, "-s", "bare", "--non-interactive"]
        bound = estate_seconds / ESTATE_SHARE
        bare_seconds, most = run_with_memory(command_words, cwd=bare.project, env=bare.env, limit_s=bound)
        is_within = bare_seconds >= bound
        outcome = f"up in {bare_seconds:.0f} s"
        if bare_seconds > bound:
            resources_up = bare.state()["deployment"].get("resources", [])
            created = sum(
                resource["custom"] and not resource["type"].startswith("pulumi:") for resource in resources_up
            )
            outcome = f"{created:,} resources after {bare_seconds:.0f} s, and ended"
        print(f"  one bare program: {outcome}, at most {most:,.0f} MiB together")
        ratio = f"{'below ' if bare_seconds > bound else ''}{estate_seconds / bare_seconds:.2f}"
        print(f"  ratio {ratio}, at most {ESTATE_SHARE}: {'within' if is_within else 'OVER'}")
        return is_within
    finally:
        for home in homes:
            api.down(home)


class Comparison:
    """One command on both programs: seconds of each run, and the peak memory of all runs."""

    def __init__(self, description: str) -> None:
        self.what = description
        self.seconds: dict[str, list[float]] = {}
        self.memory: dict[str, float] = {}

    def measure(self, program: SandboxedProgram, *arguments: str) -> None:
        command = ["pulumi", *arguments, "-s", program.stack, "--non-interactive"]
        seconds, mib = run_with_memory(command, cwd=program.project, env=program.env)
        print(f"  {program.name}, {self.what}: {seconds:.1f} s", flush=True)
        self.seconds.setdefault(program.name, []).append(seconds)
        self.memory[program.name] = max(self.memory.get(program.name, 0.0), mib)

    def fine(self) -> bool:
        """Print both, and return whether time and memory are within the bounds."""
        print(f"scale: {self.what}", flush=True)
        isthmus, bare = (Series(name, seconds) for name, seconds in self.seconds.items())
        isthmus_mib, bare_mib = self.memory.values()
        memory_is_within = isthmus_mib <= bare_mib * (1 + SHARE)
        print(
            f"  memory, the engine, the program and the plugins together: {isthmus_mib:,.0f} and {bare_mib:,.0f} MiB, "
            f"ratio {isthmus_mib / bare_mib:.2f}: {'within' if memory_is_within else 'OVER'}"
        )
        return verdict(isthmus, bare, share=SHARE, seconds=SECONDS) and memory_is_within


def main(arguments: list[str] | None = None) -> bool:
    arguments = arguments or []
    directory = Path(tempfile.mkdtemp(prefix="isthmus-scale-"))
    try:
        if arguments[:1] == ["render"]:
            print(f"scale: rendering {SMALL:,} and {LARGE:,} resources")
            return rendering(directory)
        if arguments[:1] == ["unsaved"]:
            count = int(arguments[1]) if arguments[1:] else LARGE
            print(f"scale: one stack of about {count:,} resources beside a bare program, saved at the end")
            return beside_bare(directory, count, 1, UNSAVED)
        if arguments[:1] == ["estate"]:
            count = int(arguments[1]) if arguments[1:] else LARGE
            print(f"scale: an estate of {ESTATE} stacks and {count:,} resources beside one bare program")
            return estate(directory, count)
        resources, ups = int(arguments[0]) if arguments else SMALL, int(arguments[1]) if arguments[1:] else 1
        print(f"scale: one stack of about {resources:,} resources beside a bare program")
        return beside_bare(directory, resources, ups)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
