"""Today's code over the states that earlier versions made: nothing stateful is lost unnoticed (docs/migrations.md)."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts import yamlfile
from tests.laying import lay
from tests.sandbox.projects import Project
from tests.upgrades.judging import Loss, losses, written

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOTS = sorted(each for each in (Path(__file__).parent / "snapshots").iterdir() if each.is_dir())
MIGRATIONS: list[dict[str, Any]] = yamlfile.load(ROOT / "docs" / "migrations.yaml").data["migrations"]
STACK = "bank-dev"


def previewed(snapshot: Path, sandbox: Any, folder: Path) -> dict[str, Any]:
    """`pulumi preview --json` of today's program with the snapshot's own files, over its state, without a refresh.

    What the state holds is nowhere: the engine compares with the state alone.
    """
    stacks = lay(folder, files=("Pulumi.yaml",))
    shutil.copy(snapshot / "images.lock.yaml", folder)
    for name in (f"Pulumi.{STACK}.yaml", f"{STACK}.plan.yaml", f"{STACK}.requirements.yaml"):
        shutil.copy(snapshot / name, stacks)
    (folder / "state").mkdir()
    project = Project(folder, STACK, sandbox.env | {"PULUMI_BACKEND_URL": f"file://{folder / 'state'}"})
    state = gzip.decompress((snapshot / "state.json.gz").read_bytes()).decode()
    (folder / "state.json").write_text(state.replace("${KUBECONFIG}", project.env["KUBECONFIG"]))

    def pulumi(*args: str) -> str:
        done = project.pulumi(*args)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    pulumi("stack", "init")
    pulumi("stack", "import", "--file", "state.json")
    return json.loads(pulumi("preview", "--json"))


@pytest.mark.sandbox
@pytest.mark.parametrize("snapshot", SNAPSHOTS, ids=lambda each: each.name)
def test_an_upgrade_loses_nothing_stateful_but_what_a_migration_says(
    snapshot: Path, sandbox: Any, tmp_path: Path
) -> None:
    shown = previewed(snapshot, sandbox, tmp_path)
    found = losses(shown["steps"])
    unwritten = found - written(MIGRATIONS)
    assert not unwritten, "give it an alias, or write a migration (docs/migrations.md)"
    assert sum(shown["changeSummary"].values()) > 200, "the whole stack was looked at"


def step(op: str, kind: str, name: str) -> dict[str, Any]:
    return {"op": op, "urn": f"urn:pulumi:bank-dev::isthmus::isthmus:index:LlmPlatform${kind}::{name}"}


def test_a_lost_key_is_seen_and_a_replaced_configmap_is_none() -> None:
    key, bucket = "aws:kms/key:Key", "aws:s3/bucket:Bucket"
    steps = [
        step("create", key, "new"),
        step("delete", key, "old"),
        step("update", bucket, "records"),
        step("create-replacement", bucket, "other"),
        step("replace", "kubernetes:core/v1:ConfigMap", "config"),
        step("delete", "kubernetes:core/v1:PersistentVolumeClaim", "weights"),
        step("delete", "aws:s3/bucketPolicy:BucketPolicy", "policy"),
    ]
    assert losses(steps) == {
        Loss(key, "old", "delete"),
        Loss(bucket, "other", "replace"),
        Loss("kubernetes:core/v1:PersistentVolumeClaim", "weights", "delete"),
    }


def test_a_migration_is_for_one_resource_and_says_why_and_how() -> None:
    entry = {
        "since": "0.2.0",
        "type": "aws:kms/key:Key",
        "name": "old",
        "op": "delete",
        "why": "w",
        "steps": "s",
    }
    assert written([entry]) == {Loss("aws:kms/key:Key", "old", "delete")}
    assert written([{**entry, "why": ""}]) == set()
    with pytest.raises(KeyError):
        written([{key: value for key, value in entry.items() if key != "steps"}])
    assert len(written(MIGRATIONS)) == len(MIGRATIONS), "an entry lacks what it must say, or stands twice"
