"""The policy pack at 1,000 resources: without the engine, with it, and Checkov on the same beside it.

    python -m bench.policies            without the engine, and Checkov where it is installed
    python -m bench.policies engine     `pulumi preview` with the pack and without, in turn, in a sandbox of its own

The fleet (`bench.fleet`) has one class's workloads many times over, on-prem; the bank's resources in AWS are judged
beside it under names of their own, so that rules over AWS have as much to read.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.measure import Series, run, verdict
from bench.scale import STACK, Fleet, endpoints_for
from bench.spine import ROOT, Side

RESOURCES, RUNS, PREVIEWS = 1000, 7, 3
SECONDS, SHARE = 1.5, 0.2


def without_engine(directory: Path) -> bool:
    """Whether the pack judges 1,000 resources within its bound, start-up apart."""
    from isthmus.engine.project import project
    from policies.evaluation.evaluation import judge
    from policies.evaluation.registry import RULES

    made = Fleet(directory / "fleet", endpoints_for(RESOURCES, directory))
    made.render()
    resources = [*_read(made.project / "out" / "graph.json"), *_bank(directory)]
    platform = project.find_project(made.project).stack(STACK).platform()
    custom = sum(1 for each in resources if each.made)
    print(f"policies: {len(RULES)} rules on {custom} resources, at most {SECONDS} s; start-up apart")
    seconds: list[float] = []
    found: list[Any] = []
    for _ in range(RUNS):
        start = time.perf_counter()
        found = judge(resources, platform)
        seconds.append(time.perf_counter() - start)
    importing = run(
        [sys.executable, "-c", "import policies.evaluation.evaluation"], cwd=ROOT, env=dict(os.environ)
    )
    mine = Series("the pack", seconds)
    fine = mine.median <= SECONDS and custom >= RESOURCES
    print(f"  {mine}, {len(found)} findings: {'within' if fine else 'OVER'}")
    print(f"  the first of them: {seconds[0]:.2f} s; Python and the pack's modules: {importing:.2f} s")
    _checkov(made.project / "out")
    return fine


def _checkov(folder: Path) -> None:
    from tests.graders import checkov, tools

    if tools.python("checkov") is None:
        print("  Checkov is not installed (`make graders`): not measured")
        return
    start = time.perf_counter()
    graded = checkov.run(folder / "kubernetes", "kubernetes")
    took = time.perf_counter() - start
    print(
        f"  Checkov on the fleet's manifests, its start-up with it: {took:.1f} s, {graded.passed} checks passed, "
        f"{len(graded.findings)} failed"
    )


def _read(graph: Path) -> Iterator[Any]:
    from isthmus.engine.render.recorder import Resource

    for each in json.loads(graph.read_text("utf-8"))["resources"]:
        needs = each.pop("propertyDependencies")
        yield Resource(property_dependencies=needs, **each)


def _bank(directory: Path) -> Iterator[Any]:
    """What the bank's stack makes in AWS, under other names than the fleet's."""
    out = directory / "bank"
    command = [sys.executable, "-m", "isthmus", "render", "bank-dev", "-o", str(out)]
    run(command, cwd=ROOT, env=dict(os.environ))
    yield from (each for each in _read(out / "graph.json") if each.type.startswith("aws:"))


def with_engine(directory: Path) -> bool:
    """Whether a preview that finds nothing to change, the shortest there is, takes at most a fifth longer with it."""
    from sandbox import api

    made = Fleet(directory / "fleet", endpoints_for(RESOURCES, directory))
    home = directory / "home"
    try:
        side = Side("preview", home, made.project, STACK, made.requirements)
        side.init()
        side.up()
        pack = ["--policy-pack", str(ROOT / "policies")]
        plain, judged = [], []
        for _ in range(PREVIEWS):
            plain.append(side.pulumi("preview"))
            judged.append(side.pulumi("preview", *pack))
        print(
            f"policies: preview of {made.endpoints} endpoints, nothing changed, at most {1 + SHARE:.1f} times as long"
        )
        return verdict(Series("with the pack", judged), Series("without", plain), share=SHARE, seconds=0.0)
    finally:
        api.down(home)


def main(words: list[str] | None = None) -> bool:
    with tempfile.TemporaryDirectory(prefix="isthmus-policies-") as folder:
        return with_engine(Path(folder)) if (words or [])[:1] == ["engine"] else without_engine(Path(folder))


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
