"""Large fleets: does rendering grow linearly, and what do preview and up cost beside a bare program?

    python -m bench.scale [RESOURCES] [UPS]      one stack of so many resources (default 1,000, 1) beside a bare program
    python -m bench.scale unsaved [RESOURCES]    the same, the state written once at the end (default 5,000)
    python -m bench.scale render                 rendering only, at 1,000 and 5,000
    python -m bench.scale estate [RESOURCES]     the same as ten stacks (default 5,000) beside a bare program

The fleet (`bench.fleet`) is begun by `isthmus init --sandbox` and brought up in a sandbox; the bare program has
the same resources (`bench.bare`) in a sandbox of its own. Both in turn.
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
from bench.bare import joined, program_from_state, write_project
from bench.measure import Series, run, run_with_memory, verdict
from bench.spine import ROOT, Side, copy_project

STACK = "fleet"
SMALL, LARGE = 1000, 5000
SHARE, SECONDS = 0.15, 1.0
LINEAR = 1.15
"""How much more than five times as long five times the resources may take."""
ESTATE, HALF = 10, 0.5
"""Stacks of an estate, and how much of the time of one program it may take."""
MOST_RPS = 1.0
"""Many teams, each with little load: two replicas in two failure domains, and so few machines an endpoint."""
UP = ("up", "--yes", "--skip-preview")
PREVIEWS = 3
UNSAVED = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}
"""The engine writes no state before the end: for measuring only, as a run that is cut off loses all."""
NO_ENDPOINTS = 8
"""The least fleet: a pool of each kind, each class twice."""


class Fleet:
    """A project folder with a fleet's stack in it."""

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
        return sum(each["custom"] for each in graph["resources"])

    def in_layers(self, serving: int) -> list[str]:
        """Make an estate of it: a foundation, a platform, and so many stacks that each serve a part of the models."""
        from isthmus.core import yaml_files

        stacks = self.project / "stacks"
        file = stacks / f"Pulumi.{STACK}.yaml"
        config = dict(yaml_files.load(file).data["config"])
        overrides = config.pop("isthmus:overrides")
        yaml_files.dump(overrides, "", stacks / f"{STACK}.overrides.yaml")
        file.unlink()
        ids = [each["id"] for each in overrides["endpoints"]]
        said: dict[str, dict[str, object]] = {
            each: {"isthmus:layer": each} for each in ("foundation", "platform")
        }
        for number in range(serving):
            said[f"serving{number}"] = {"isthmus:layer": "serving", "isthmus:serves": ids[number::serving]}
        for name, more in said.items():
            data = {"config": {**config, "isthmus:of": STACK, **more}}
            yaml_files.dump(data, "", stacks / f"Pulumi.{STACK}-{name}.yaml")
        return [f"{STACK}-{name}" for name in said]

    def _isthmus(self, *words: str) -> float:
        command = [sys.executable, "-m", "isthmus", *words, "--project", str(self.project)]
        return run(command, cwd=self.project, env=self.env)


def endpoints_for(resources: int, directory: Path) -> int:
    """How many endpoints give about so many resources: two small fleets say what each brings."""
    counts = []
    for endpoints in (NO_ENDPOINTS, 2 * NO_ENDPOINTS):
        small = Fleet(directory / f"of-{endpoints}", endpoints)
        small.render()
        counts.append(small.resources())
    each = (counts[1] - counts[0]) / NO_ENDPOINTS
    return max(NO_ENDPOINTS, round((resources - counts[0]) / each) + NO_ENDPOINTS)


def rendering(directory: Path) -> bool:
    """Whether rendering five times the resources takes at most five times as long, above what starting takes."""
    least = Fleet(directory / "least", NO_ENDPOINTS)
    small = Fleet(directory / "small", endpoints_for(SMALL, directory))
    large = Fleet(directory / "large", endpoints_for(LARGE, directory / "again"))
    seconds = {each: min(each.render() for _ in range(2)) for each in (least, small, large)}
    for each, took in seconds.items():
        print(
            f"  {each.endpoints} endpoints, {each.resources()} resources: rendered in {took:.1f} s",
            flush=True,
        )
    per = [
        (seconds[each] - seconds[least]) / (each.resources() - least.resources()) for each in (small, large)
    ]
    fine = per[1] <= per[0] * LINEAR
    print(
        f"  a resource more: {per[0] * 1000:.2f} ms up to {small.resources()}, {per[1] * 1000:.2f} ms up to "
        f"{large.resources()}: {'linear' if fine else 'NOT LINEAR'}"
    )
    return fine


def beside_bare(directory: Path, resources: int, ups: int, engine: Mapping[str, str] | None = None) -> bool:
    """Whether preview and up of one stack stay within the bounds of a bare program with the same resources.

    `engine`: variables for both engines. Writing the state costs both by its size, so its size is told.
    """
    from sandbox import api

    made = Fleet(directory / "ours", endpoints_for(resources, directory))
    homes = [directory / "home-ours", directory / "home-bare"]
    try:
        ours = Side("isthmus", homes[0], made.project, STACK, made.requirements)
        ours.init()
        ours.env |= engine or {}
        up = Both("up from nothing")
        up.measure(ours, *UP)  # what is up then says what the bare program is to make
        bare = Side("bare program", homes[1], directory / "bare", "bare", made.requirements)
        program = program_from_state(ours.state(), bare.env["KUBECONFIG"])
        write_project(directory / "bare", program, ROOT / ".venv")
        bare.env |= engine or {}
        bare.init()
        print(f"  {made.endpoints} endpoints, {len(program)} resources", flush=True)
        up.measure(bare, *UP)
        for _ in range(ups - 1):
            for side in (ours, bare):
                side.destroy()
                up.measure(side, *UP)
        unchanged = Both("preview, unchanged")
        for _ in range(PREVIEWS):
            for side in (ours, bare):
                unchanged.measure(side, "preview")
        sizes = [len(json.dumps(side.state())) / 2**20 for side in (ours, bare)]
        print(f"  state: {sizes[0]:.1f} and {sizes[1]:.1f} MiB, ratio {sizes[0] / sizes[1]:.2f}")
        return all([up.fine(), unchanged.fine()])
    finally:
        for home in homes:
            api.down(home)


def estate(directory: Path, resources: int) -> bool:
    """Whether an estate of ten stacks is up in at most half the time of one bare program with the same resources.

    The bare program is ended when it has had more than twice the estate's time: that answers it.
    """
    from sandbox import api

    made = Fleet(directory / "ours", endpoints_for(resources, directory))
    stacks = made.in_layers(ESTATE - 2)
    homes = [directory / "home-ours", directory / "home-bare"]
    try:
        ours = Side("estate", homes[0], made.project, stacks[0], made.requirements)
        command = [sys.executable, "-m", "isthmus", "up", STACK, "--yes", "--project", str(made.project)]
        env = {**ours.env, "PYTHONPATH": str(ROOT)}
        mine, most = run_with_memory(command, cwd=made.project, env=env)
        bare = Side("bare", homes[1], directory / "bare", "bare", made.requirements)
        program = program_from_state(joined([ours.state(each) for each in stacks]), bare.env["KUBECONFIG"])
        write_project(bare.project, program, ROOT / ".venv")
        bare.init()
        print(f"  {made.endpoints} endpoints, {len(program)} resources")
        print(
            f"  estate of {len(stacks)} stacks: up in {mine:.0f} s, at most {most:,.0f} MiB together",
            flush=True,
        )
        words = ["pulumi", *UP, "-s", "bare", "--non-interactive"]
        bound = mine / HALF
        other, most = run_with_memory(words, cwd=bare.project, env=bare.env, at_most=bound)
        fine = other >= bound
        done = f"up in {other:.0f} s"
        if other > bound:
            found = bare.state()["deployment"].get("resources", [])
            there = sum(each["custom"] and not each["type"].startswith("pulumi:") for each in found)
            done = f"{there:,} resources after {other:.0f} s, and ended"
        print(f"  one bare program: {done}, at most {most:,.0f} MiB together")
        ratio = f"{'below ' if other > bound else ''}{mine / other:.2f}"
        print(f"  ratio {ratio}, at most {HALF}: {'within' if fine else 'OVER'}")
        return fine
    finally:
        for home in homes:
            api.down(home)


class Both:
    """One command on both sides: seconds of every run, and the most memory of any."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.seconds: dict[str, list[float]] = {}
        self.memory: dict[str, float] = {}

    def measure(self, side: Side, *words: str) -> None:
        command = ["pulumi", *words, "-s", side.stack, "--non-interactive"]
        took, most = run_with_memory(command, cwd=side.project, env=side.env)
        print(f"  {side.name}, {self.what}: {took:.1f} s", flush=True)
        self.seconds.setdefault(side.name, []).append(took)
        self.memory[side.name] = max(self.memory.get(side.name, 0.0), most)

    def fine(self) -> bool:
        """Print both, ours first as it was measured first, and whether time and memory are within the bounds."""
        print(f"scale: {self.what}", flush=True)
        mine, other = (Series(name, seconds) for name, seconds in self.seconds.items())
        held, theirs = self.memory.values()
        within = held <= theirs * (1 + SHARE)
        print(
            f"  memory, the engine, the program and the plugins together: {held:,.0f} and {theirs:,.0f} MiB, "
            f"ratio {held / theirs:.2f}: {'within' if within else 'OVER'}"
        )
        return verdict(mine, other, share=SHARE, seconds=SECONDS) and within


def main(words: list[str] | None = None) -> bool:
    words = words or []
    directory = Path(tempfile.mkdtemp(prefix="isthmus-scale-"))
    try:
        if words[:1] == ["render"]:
            print(f"scale: rendering {SMALL:,} and {LARGE:,} resources")
            return rendering(directory)
        if words[:1] == ["unsaved"]:
            count = int(words[1]) if words[1:] else LARGE
            print(f"scale: one stack of about {count:,} resources beside a bare program, saved at the end")
            return beside_bare(directory, count, 1, UNSAVED)
        if words[:1] == ["estate"]:
            count = int(words[1]) if words[1:] else LARGE
            print(f"scale: an estate of {ESTATE} stacks and {count:,} resources beside one bare program")
            return estate(directory, count)
        resources, ups = int(words[0]) if words else SMALL, int(words[1]) if words[1:] else 1
        print(f"scale: one stack of about {resources:,} resources beside a bare program")
        return beside_bare(directory, resources, ups)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
