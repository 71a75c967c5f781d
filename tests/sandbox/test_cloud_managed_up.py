"""A stack without a site of one's own, from its requirements to its end: no cluster is made, asked for or needed.

The real engine and the sandbox's AWS. ECS keeps what it is told and starts no task. One stack, brought up once; the
tests run in the order of the file.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts import yamlfile
from sandbox import api
from sandbox.environment import kept
from tests.accounting import aws

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = "insurer-frankfurt-internal-gateway-"


class Insurer:
    """The stack in a project folder of its own, in a sandbox of its own."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root, self.home = root, home
        stacks = root / "stacks"
        shutil.copytree(ROOT / "stacks", stacks, ignore=shutil.ignore_patterns("__pycache__", "*bank-dev*"))
        for name in ("Pulumi.yaml", "images.lock.yaml"):
            shutil.copy(ROOT / name, root)
        (root / ".venv").symlink_to(Path(sys.prefix))
        self.settings = stacks / "Pulumi.insurer.yaml"
        self.env: dict[str, str] = kept() | {"PYTHONPATH": str(ROOT)}
        example = ROOT / "examples" / "cloud-managed.requirements.yaml"
        self.must("init", "insurer", "--requirements", str(example), "--sandbox", "--as-of", "2026-11-25")
        api.up(stacks / "insurer.requirements.yaml", home=home)
        self.env |= api.environment(home)
        self.client = aws.clients(self.env)

    def isthmus(self, *args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "isthmus", *args, "--project", str(self.root)]
        return subprocess.run(
            command, cwd=self.root, env=self.env, capture_output=True, text=True, check=False
        )

    def must(self, *args: str) -> str:
        done = self.isthmus(*args)
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stderr + done.stdout

    def change(self, **overrides: Any) -> None:
        """Lay more over the stack's overrides, by the lists' names."""
        data = yamlfile.load(self.settings).data
        own = data["config"]["isthmus:overrides"]
        for part, changes in overrides.items():
            for name, more in changes.items():
                next(each for each in own[part] if each["name"] == name).update(more)
        yamlfile.dump(data, "", self.settings)

    def state(self) -> list[dict[str, Any]]:
        done = subprocess.run(
            ["pulumi", "stack", "export", "--stack", "insurer"],
            cwd=self.root,
            env=self.env,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)["deployment"].get("resources", [])

    def services(self) -> dict[str, dict[str, Any]]:
        """ECS's services of the internal gateway, by their container's name."""
        ecs = self.client("ecs")
        [cluster] = [each for each in ecs.list_clusters()["clusterArns"] if CLUSTER in each]
        named = ecs.list_services(cluster=cluster)["serviceArns"]
        found = ecs.describe_services(cluster=cluster, services=named)["services"]
        return {each["loadBalancers"][0]["containerName"]: each for each in found}


@pytest.fixture(scope="module")
def insurer(toolchain: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Insurer]:
    home = tmp_path_factory.mktemp("insurer-home") / "home"
    try:
        made = Insurer(tmp_path_factory.mktemp("insurer"), home)
        made.must("up", "insurer", "--yes")
        yield made
    finally:
        api.down(home)


def test_it_is_up_without_a_cluster(insurer: Insurer):
    assert not api.status(insurer.home).clusters
    services = insurer.services()
    assert {name: each["desiredCount"] for name, each in services.items()} == {"edge": 2, "translator": 2}
    assert {each["launchType"] for each in services.values()} == {"FARGATE"}
    balancers = insurer.client("elbv2").describe_load_balancers()["LoadBalancers"]
    assert {each["Scheme"] for each in balancers} == {"internal"}
    state = insurer.state()
    [stack] = [each for each in state if each["type"] == "pulumi:pulumi:Stack"]
    assert {each["address"] for each in stack["outputs"]["gateways"]} == {
        f"https://{held}-gateway.frankfurt.isthmus.internal" for held in ("internal", "public")
    }
    assert not aws.strange(state)
    listed, known = aws.listed(insurer.client), aws.in_state(state)
    assert {kind: ids - known[kind] for kind, ids in listed.items() if ids - known[kind]} == {}


def test_up_again_changes_nothing(insurer: Insurer):
    told = insurer.must("up", "insurer", "--yes")
    assert "0 created" not in told
    assert " unchanged in " in told
    assert not [word for word in (" updated", " replaced", " created", " deleted") if f"{word}," in told], (
        told
    )


def test_more_tasks_and_another_budget_change_these_and_nothing_else(insurer: Insurer):
    insurer.change(
        gateways={"internal-frankfurt": {"replicas": 3}}, budgets={"internal-frankfurt": {"monthly_usd": 900}}
    )
    told = insurer.must("up", "insurer", "--yes")
    assert "Resources: 3 updated, " in told, told
    assert {each["desiredCount"] for each in insurer.services().values()} == {3}


def test_what_another_hand_turned_off_is_found_and_mended(insurer: Insurer):
    edge = insurer.services()["edge"]
    insurer.client("ecs").update_service(
        cluster=edge["clusterArn"], service=edge["serviceArn"], desiredCount=0
    )
    told = insurer.must("up", "insurer", "--yes")
    assert "1 updated, " in told, told
    assert insurer.services()["edge"]["desiredCount"] == 3


def test_a_destroy_leaves_records_and_their_keys_and_says_so(insurer: Insurer):
    told = insurer.must("destroy", "insurer", "--yes")
    assert "Retained on purpose:" in told
    assert "insurer-frankfurt-internal-gateway-tasks" in told
    left = {kind for kind, ids in aws.listed(insurer.client).items() if ids}
    assert left <= {"aws:cloudwatch/logGroup:LogGroup", "aws:kms/key:Key", "aws:s3/bucket:Bucket"}, left
    assert not insurer.client("ecs").list_task_definitions()["taskDefinitionArns"]
