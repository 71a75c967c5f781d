"""Measures the policy pack on 1,000 resources, without and with the engine, and compares it with Checkov.

    python -m bench.policies            without the engine, and Checkov if it is installed
    python -m bench.policies engine     `pulumi preview` with and without the pack, in turn, in its own sandbox

The resources are those of a large on-prem fleet (`bench.fleet`) and the bank's AWS resources, so that the rules about
AWS have something to check.
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
from bench.spine import ROOT, SandboxedProgram

RESOURCES, RUNS, PREVIEWS = 1000, 7, 3
SECONDS, SHARE = 1.5, 0.2


def without_engine(directory: Path) -> bool:
    """Whether the pack checks 1,000 resources within its bound, without start-up time."""
    from isthmus.engine.project import project
    from policies.evaluation.evaluation import judge
    from policies.evaluation.registry import RULES

    fleet = Fleet(directory / "fleet", endpoints_for(RESOURCES, directory))
    fleet.render()
    resources = [*_read_graph(fleet.project / "out" / "graph.json"), *_bank_resources(directory)]
    platform = project.find_project(fleet.project).stack(STACK).platform()
    custom_count = sum(1 for resource in resources if resource.made)
    print(f"policies: {len(RULES)} rules on {custom_count} resources, at most {SECONDS} s; start-up apart")
    seconds: list[float] = []
    findings: list[Any] = []
    for _ in range(RUNS):
        start = time.perf_counter()
        findings = judge(resources, platform)
        seconds.append(time.perf_counter() - start)
    import_seconds = run(
        [sys.executable, "-c", "import policies.evaluation.evaluation"], cwd=ROOT, env=dict(os.environ)
    )
    pack_series = Series("the pack", seconds)
    is_within = pack_series.median <= SECONDS and custom_count >= RESOURCES
    print(f"  {pack_series}, {len(findings)} findings: {'within' if is_within else 'OVER'}")
    print(f"  the first of them: {seconds[0]:.2f} s; Python and the pack's modules: {import_seconds:.2f} s")
    _checkov(fleet.project / "out")
    return is_within


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


def _read_graph(graph: Path) -> Iterator[Any]:
    from isthmus.engine.render.recorder import Resource

    for entry in json.loads(graph.read_text("utf-8"))["resources"]:
        dependencies = entry.pop("propertyDependencies")
        yield Resource(property_dependencies=dependencies, **entry)


def _bank_resources(directory: Path) -> Iterator[Any]:
    """The AWS resources of the bank's stack. Their names differ from the fleet's."""
    out = directory / "bank"
    command = [sys.executable, "-m", "isthmus", "render", "bank-dev", "-o", str(out)]
    run(command, cwd=ROOT, env=dict(os.environ))
    yield from (resource for resource in _read_graph(out / "graph.json") if resource.type.startswith("aws:"))


def with_engine(directory: Path) -> bool:
    """Whether the pack makes a preview without changes, the shortest kind, at most a fifth longer."""
    from sandbox import api

    fleet = Fleet(directory / "fleet", endpoints_for(RESOURCES, directory))
    home = directory / "home"
    try:
        program = SandboxedProgram("preview", home, fleet.project, STACK, fleet.requirements)
        program.init()
        program.up()
        pack = ["--policy-pack", str(ROOT / "policies")]
        seconds_without, seconds_with = [], []
        for _ in range(PREVIEWS):
            seconds_without.append(program.pulumi("preview"))
            seconds_with.append(program.pulumi("preview", *pack))
        print(
            f"policies: preview of {fleet.endpoints} endpoints, nothing changed, at most {1 + SHARE:.1f} times as long"
        )
        return verdict(
            Series("with the pack", seconds_with),
            Series("without", seconds_without),
            share=SHARE,
            seconds=0.0,
        )
    finally:
        api.down(home)


def main(arguments: list[str] | None = None) -> bool:
    with tempfile.TemporaryDirectory(prefix="isthmus-policies-") as folder:
        return (
            with_engine(Path(folder)) if (arguments or [])[:1] == ["engine"] else without_engine(Path(folder))
        )


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
