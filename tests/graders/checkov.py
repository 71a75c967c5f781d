"""Checkov over a folder: findings, and what it has checks for. It is started offline and asks nobody."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.graders import tools

_KNOWN = """
import json, logging
logging.disable(logging.CRITICAL)
from checkov.common.checks_infra.registry import get_graph_checks_registry
from checkov.kubernetes.checks.resource.registry import registry as kubernetes
from checkov.kubernetes.runner import Runner as Kubernetes
from checkov.terraform.checks.resource.registry import resource_registry as terraform
from checkov.terraform.runner import Runner as Terraform
Kubernetes(), Terraform()
made = {}
for name, registry in (("kubernetes", kubernetes), ("terraform", terraform)):
    graph = get_graph_checks_registry(name)
    graph.load_checks()
    checks = [check for some in registry.checks.values() for check in some] + list(graph.checks)
    types = set(registry.checks) | {one for check in graph.checks for one in check.resource_types or []}
    made[name] = {"types": sorted(types), "checks": sorted({check.id for check in checks})}
print(json.dumps(made))
"""

_EACH = """
import json, logging, os, sys
logging.disable(logging.CRITICAL)
from checkov.kubernetes.runner import Runner as Kubernetes
from checkov.runner_filter import RunnerFilter
from checkov.terraform.plan_runner import Runner as Plan
framework, made, looked = sys.argv[1], {}, 0
for name in sorted(os.listdir(".")):
    runner = Kubernetes() if framework == "kubernetes" else Plan()
    report = runner.run(root_folder=name, runner_filter=RunnerFilter(framework=[framework]))
    assert not report.parsing_errors, report.parsing_errors
    looked += len(report.passed_checks) + len(report.failed_checks)
    made[name] = sorted({(each.check_id, each.resource) for each in report.failed_checks})
assert looked, "Checkov looked at nothing"
print(json.dumps(made))
"""


class Finding(NamedTuple):
    """A check that failed on a resource."""

    check: str
    resource: str
    """As Checkov names it: `Deployment.NAMESPACE.NAME`, `aws_s3_bucket.NAME`."""
    rendering: str
    """The folder below the one that was looked at."""
    says: str


class Graded(NamedTuple):
    """What a run found."""

    findings: list[Finding]
    passed: int
    examined: set[str]
    """Kinds and types of resource of which some check had something to say."""


def run(folder: Path, framework: str) -> Graded:
    """`kubernetes` or `terraform_plan`. Raises where it could not read a file: that is no pass."""
    options = ["--framework", framework, "--compact", "--skip-download", "-o", "json"]
    done = _python(["-m", "checkov.main", "-d", ".", *options], folder)
    # 0: nothing found, 1: something found.
    assert done.returncode in (0, 1), f"Checkov ended with {done.returncode}: {done.stderr[-2000:]}"
    report = json.loads(done.stdout)
    assert "results" in report, f"Checkov looked at nothing: {done.stdout[:500]}"
    assert report["summary"]["parsing_errors"] == 0, report["results"].get("parsing_errors")
    findings = [
        Finding(
            failed_check["check_id"],
            failed_check["resource"],
            Path(failed_check["file_path"].lstrip("/")).parts[0],
            failed_check["check_name"],
        )
        for failed_check in report["results"]["failed_checks"]
    ]
    results = report["results"]["passed_checks"] + report["results"]["failed_checks"]
    examined = {result["resource"].split(".")[0] for result in results}
    return Graded(findings, report["summary"]["passed"], examined)


def run_framework(folder: Path, framework: str) -> dict[str, set[tuple[str, str]]]:
    """Check and resource of what failed in each folder below this one, looked at by itself.

    One process for all: Checkov compares every object with every other, whatever folder it is in, so a thousand small
    folders as one take an hour, and a policy in the one would answer for a pod in the other.
    """
    done = _python(["-c", _EACH, framework], folder)
    assert done.returncode == 0, f"Checkov ended with {done.returncode}: {done.stderr[-2000:]}"
    results = json.loads(done.stdout.splitlines()[-1])
    return {name: {(check, resource) for check, resource in failed} for name, failed in results.items()}


@functools.cache
def all_checks() -> dict[str, dict[str, list[str]]]:
    """For `kubernetes` and `terraform`: the types of resource that some check is about, and the checks' ids."""
    done = _python(["-c", _KNOWN], Path.cwd())
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def _python(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    python = tools.python("checkov")
    assert python is not None, "Checkov is not installed: run `make graders`"
    # No key of its vendor's platform, and no configuration of the user's own, may change what it says.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("BC_", "CKV_", "PRISMA_"))
    }
    return subprocess.run(
        [str(python), *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
