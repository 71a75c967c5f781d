"""Today's code over the states that earlier versions made: nothing stateful is lost unnoticed (docs/migrations.md)."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from isthmus import blueprints
from isthmus.blueprints import assembly as blueprints_assembly
from isthmus.blueprints import image_digests, missing_values, settings_template
from isthmus.contracts.platform import overrides as laying
from isthmus.contracts.reference.handling import HANDLING
from isthmus.core import yaml_files
from sandbox import api
from sandbox.environment import inherited_variables
from tests.contracts.bank import DIGEST, screening
from tests.laying import ROOT, lay
from tests.sandbox.projects import Project
from tests.upgrades.judging import Loss, losses, written
from tests.upgrades.taking import PLACEHOLDER

SNAPSHOTS = sorted(path for path in (Path(__file__).parent / "snapshots").iterdir() if path.is_dir())
MIGRATIONS: list[dict[str, Any]] = yaml_files.load(ROOT / "docs" / "migrations.yaml").data["migrations"]
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
BANK = "bank-dev"
"""The stack of the snapshots whose sandbox the other tests have, too."""


def without_state(urn: str) -> bool:
    """Of what later versions update in place: pods, quotas, who is admitted, and a gateway's policy and monitor."""
    kind, name = urn.split("::")[2:]
    of_gateways = name.endswith(("-gateway-network", "-gateway-monitor"))
    kinds = (f"${DEPLOYMENT}", ":ResourceQuota", ":ValidatingAdmissionPolicy")
    return kind.endswith(kinds) or of_gateways


def stack_of(snapshot: Path) -> str:
    (file,) = snapshot.glob("Pulumi.*.yaml")
    return file.name.removeprefix("Pulumi.").removesuffix(".yaml")


def answer(settings: Path, requirements: Path, plan: Path) -> None:
    """What versions since have asked for anew (docs/migrations.md), written into a stack's overrides."""
    networks = {
        site["name"]: site["network"]["cidrs"][0]
        for site in yaml_files.load(requirements).data["sites"]
        if site["kind"] == "on-prem"
    }
    data = yaml_files.load(settings).data
    isthmus_overrides = data["config"]["isthmus:overrides"]
    for store in isthmus_overrides.get("audit", []):
        if store["name"] in networks:
            store.setdefault("address", networks[store["name"]].rpartition(".")[0] + ".9")
    planned = yaml_files.load(plan).data
    for gateway in planned["gateways"]:
        class_, site = gateway["class"], gateway["site"]
        away = [
            endpoint
            for endpoint in planned["endpoints"]
            if endpoint["class"] == class_ and endpoint["site"] != site
        ]
        if site in networks and away and "prompts-leaving-site" in HANDLING[class_].redacted:
            isthmus_overrides.setdefault("gateways", []).append(
                {"name": f"{class_}-{site}", "screening": screening()}
            )
    for gateway in data["config"]["isthmus:overrides"].get("gateways", []):
        arn = str(gateway.get("callers_secret", ""))
        if arn.startswith("arn:"):
            secrets = {key: arn.replace("callers", key) for key in ("secret", "sealer_secret")}
            gateway.setdefault("audit", {key: value.replace("_", "-") for key, value in secrets.items()})
    files = blueprints_assembly.read(requirements.parent, requirements.name.partition(".")[0])
    rendered = blueprints.render(files.plan.blueprint, files.requirements, files.plan)
    if rendered.get("clusters") and not rendered.get("links") and isthmus_overrides["images"].get("registry"):
        # Nodes there reach Amazon ECR only.
        isthmus_overrides["images"]["registry"] = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/llm"
    for image, path in (("detector", "isthmus/detector"), ("resolver", "coredns/coredns")):
        if image in image_digests.needed_images(laying.merge(rendered, isthmus_overrides)):
            # Its lock is of then, and knows none.
            registry = (
                isthmus_overrides["images"].get("registry") or isthmus_overrides["images"]["registries"][0]
            )
            isthmus_overrides["images"].setdefault(image, f"{registry.rstrip('/')}/{path}@{DIGEST}")
    left = [
        missing
        for missing in missing_values.list_missing_values(laying.merge(rendered, isthmus_overrides))
        if missing[0].startswith("gateways[")
    ]
    data["config"]["isthmus:overrides"] = laying.merge(
        isthmus_overrides, settings_template.overrides_tree(left)
    )
    yaml_files.dump(data, "", settings)


def previewed(snapshot: Path, env: dict[str, str], folder: Path) -> tuple[dict[str, Any], int]:
    """`pulumi preview --json` of today's program with the snapshot's own files, over its state, without a refresh,
    and how many resources the state has.

    What the state holds is nowhere: the engine compares with the state alone.
    """
    stack = stack_of(snapshot)
    stacks = lay(folder, files=("Pulumi.yaml",))
    shutil.copy(snapshot / "images.lock.yaml", folder)
    for name in (f"Pulumi.{stack}.yaml", f"{stack}.plan.yaml", f"{stack}.requirements.yaml"):
        shutil.copy(snapshot / name, stacks)
    answer(
        stacks / f"Pulumi.{stack}.yaml",
        *(stacks / f"{stack}.{part}.yaml" for part in ("requirements", "plan")),
    )
    (folder / "state").mkdir()
    project = Project(folder, stack, env | {"PULUMI_BACKEND_URL": f"file://{folder / 'state'}"})
    state = gzip.decompress((snapshot / "state.json.gz").read_bytes()).decode()
    state = state.replace(PLACEHOLDER, project.env["KUBECONFIG"])
    (folder / "state.json").write_text(state)

    def pulumi(*args: str) -> str:
        done = project.pulumi(*args)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    pulumi("stack", "init")
    pulumi("stack", "import", "--file", "state.json")
    resources = json.loads(state)["deployment"]["resources"]
    # The provider tries an update on the server, which has nothing of it; and none of these holds state.
    left = [
        argument
        for resource in resources
        if without_state(resource["urn"])
        for argument in ("--exclude", resource["urn"])
    ]
    return json.loads(pulumi("preview", "--json", *left)), len(resources)


def nothing_is_lost(shown: dict[str, Any], resources: int) -> None:
    unwritten = losses(shown["steps"]) - written(MIGRATIONS)
    assert not unwritten, "give it an alias, or write a migration (docs/migrations.md)"
    assert sum(shown["changeSummary"].values()) >= resources * 0.9, "the whole stack was looked at"


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "snapshot",
    [snapshot for snapshot in SNAPSHOTS if stack_of(snapshot) == BANK],
    ids=lambda snapshot: snapshot.name,
)
def test_an_upgrade_loses_no_stateful_resource_without_a_migration(
    snapshot: Path, sandbox: Any, tmp_path: Path
) -> None:
    nothing_is_lost(*previewed(snapshot, sandbox.env, tmp_path))


@pytest.mark.sandbox
@pytest.mark.soak
@pytest.mark.parametrize(
    "snapshot",
    [snapshot for snapshot in SNAPSHOTS if stack_of(snapshot) != BANK],
    ids=lambda snapshot: snapshot.name,
)
def test_an_upgrade_of_an_example_loses_no_stateful_resource_without_a_migration(
    snapshot: Path, toolchain: Any, tmp_path: Path
) -> None:
    """In a sandbox of its own, with the clusters that its own requirements name."""
    home, folder = tmp_path / "home", tmp_path / "project"
    folder.mkdir()
    try:
        api.up(snapshot / f"{stack_of(snapshot)}.requirements.yaml", home=home)
        nothing_is_lost(*previewed(snapshot, inherited_variables() | api.environment(home), folder))
    finally:
        api.down(home)


def step(op: str, kind: str, name: str) -> dict[str, Any]:
    return {"op": op, "urn": f"urn:pulumi:bank-dev::isthmus::isthmus:index:LlmPlatform${kind}::{name}"}


def test_a_lost_key_is_reported_and_a_replaced_configmap_is_not() -> None:
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


def test_a_migration_covers_one_resource_with_reason_and_steps() -> None:
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
