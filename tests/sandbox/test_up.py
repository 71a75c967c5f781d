"""The bank's platform, up for real: the real engine, provider and API server; AWS by moto.

One stack, brought up once; the tests run in the order of the file, the last takes it down.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.accounting import aws, cluster
from tests.catalogue import by_hand
from tests.catalogue.bank import both, serving

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.sandbox

PLAN = both()[1]
SERVED = {each.id: each for each in PLAN.endpoints if each.gpu}
"""What of the plan runs on GPUs."""
MORE = serving("kyc-extraction")
"""The endpoint that gets one replica more, is changed by others, and claims other weights."""


class Bank:
    """The stack in a project folder of its own, in the shared sandbox."""

    def __init__(self, root: Path, sandbox: Any) -> None:
        self.root = root
        self.sandbox = sandbox
        self.aws = aws.clients(sandbox.env)
        self.before: dict[str, set[str]] = {}
        """What other tests of this sandbox have left in AWS, by type."""

    def isthmus(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self._run([sys.executable, "-m", "isthmus", *args, "--project", str(self.root)])

    def up(self) -> str:
        """`isthmus up`; its whole output, stdout and stderr."""
        done = self.isthmus("up", "bank-dev", "--yes")
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stderr + done.stdout

    def pulumi(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self._run(["pulumi", *args, "--stack", "bank-dev", "--non-interactive"])

    def state(self) -> list[dict[str, Any]]:
        exported = self.pulumi("stack", "export")
        assert exported.returncode == 0, exported.stderr
        return json.loads(exported.stdout)["deployment"].get("resources") or []

    def pods(self) -> list[dict[str, Any]]:
        listed = self.sandbox.client().get("/api/v1/pods?labelSelector=app.kubernetes.io/part-of=isthmus")
        return [pod for pod in listed["items"] if not pod["metadata"].get("deletionTimestamp")]

    def edit(self, name: str, pattern: str, by: str) -> None:
        file = self.root / "stacks" / name
        changed, count = re.subn(pattern, by, file.read_text(), count=1)
        assert count, f"{pattern!r} is not in {name}"
        file.write_text(changed)

    def in_aws(self) -> dict[str, set[str]]:
        """What came to AWS since this stack began, by type."""
        found = aws.listed(self.aws)
        return {kind: ids - self.before.get(kind, set()) for kind, ids in found.items()}

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        env = self.sandbox.env | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def bank(sandbox: Any, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    root = tmp_path_factory.mktemp("bank")
    shutil.copytree(ROOT / "stacks", root / "stacks", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Pulumi.yaml", "images.lock.yaml"):
        shutil.copy(ROOT / name, root)
    (root / ".venv").symlink_to(Path(sys.prefix))
    made = Bank(root, sandbox)
    made.before = aws.listed(made.aws)
    said = made.up()
    assert "The platform bank is up" in said
    assert "refuses AWS credentials and foreign images in isthmus-restricted" in said
    return made


def eventually(look: Any, wanted: Any, seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not wanted(found := look()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def gpus(pod: dict[str, Any]) -> int:
    limits = [each.get("resources", {}).get("limits", {}) for each in pod["spec"]["containers"]]
    return sum(int(each.get("nvidia.com/gpu", 0)) for each in limits)


def placed(pods: list[dict[str, Any]], pools: dict[str, str]) -> Counter[str]:
    """Pods of each endpoint, each on its pool; no other pod has a GPU."""
    found: Counter[str] = Counter()
    for pod in pods:
        endpoint = pod["metadata"]["labels"].get("isthmus.dev/endpoint")
        if endpoint in pools:
            assert pod["spec"]["nodeName"].startswith(pools[endpoint] + "-"), pod["metadata"]["name"]
            found[endpoint] += 1
        else:
            assert gpus(pod) == 0
    return found


def spread(pods: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Of each endpoint on GPUs, how many of its pods each node has."""
    nodes: dict[str, Counter[str]] = {}
    for pod in pods:
        if gpus(pod):
            endpoint = pod["metadata"]["labels"]["isthmus.dev/endpoint"]
            nodes.setdefault(endpoint, Counter())[pod["spec"]["nodeName"]] += 1
    return {endpoint: sorted(each.values()) for endpoint, each in nodes.items()}


def test_every_pod_runs_on_the_pool_that_the_plan_names(bank):
    pods = eventually(bank.pods, lambda found: all(pod["status"].get("phase") == "Running" for pod in found))
    assert {pod["status"].get("phase") for pod in pods} == {"Running"}
    assert placed(pods, {name: f"fra1-{each.gpu}" for name, each in SERVED.items()}) == {
        name: each.replicas for name, each in SERVED.items()
    }
    assert sum(gpus(pod) for pod in pods) == sum(each.gpus for each in SERVED.values())


def test_replicas_outlive_what_the_plan_says_they_must(bank):
    # Each of the site's two domains is one node of the pool.
    assert spread(bank.pods()) == {
        name: sorted((each.replicas_by_domain or {}).values()) for name, each in SERVED.items()
    }


def test_a_preview_right_after_finds_nothing_to_change(bank):
    done = bank.pulumi("preview", "--expect-no-changes")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_every_resource_of_the_state_is_in_aws_and_nothing_besides(bank):
    state = bank.state()
    assert aws.strange(state) == set(), "a type that nobody counts"
    wanted, found = aws.in_state(state), bank.in_aws()
    assert {kind: found[kind] ^ ids for kind, ids in wanted.items() if ids != found[kind]} == {}
    assert sum(len(ids) for ids in found.values()) > 80


def test_every_resource_of_the_state_is_in_the_cluster_and_nothing_besides(bank):
    ours = {
        (
            each["inputs"]["kind"],
            each["inputs"]["metadata"].get("namespace", ""),
            each["inputs"]["metadata"]["name"],
        )
        for each in bank.state()
        if each["type"].startswith("kubernetes:") and not each["type"].endswith("Patch")
        # The GPU operator's policy is read, not made.
        if each["custom"] and not each.get("external")
    }
    found = cluster.objects(bank.sandbox.client())
    assert ours - found == set()
    assert found - ours == set()
    assert len(ours) > 80


def test_what_bears_tags_says_whose_it_is(bank):
    tags = bank.aws("resourcegroupstaggingapi").get_resources()["ResourceTagMappingList"]
    ours = {
        each["ResourceARN"]
        for each in tags
        if {"Key": "isthmus-stack", "Value": "isthmus/bank-dev"} in each["Tags"]
    }
    roles = [each["RoleName"] for each in bank.aws("iam").list_roles()["Roles"]]
    for role in roles:
        said = {each["Key"]: each["Value"] for each in bank.aws("iam").list_role_tags(RoleName=role)["Tags"]}
        assert said["isthmus-stack"] == "isthmus/bank-dev"
        assert said["isthmus-resource"].startswith("bank-")
    assert roles
    assert any(":s3:::" in arn for arn in ours)


def test_no_secret_stands_in_the_state_in_the_clear(bank):
    manager = bank.aws("secretsmanager")
    values = [
        manager.get_secret_value(SecretId=each["ARN"])["SecretString"]
        for each in manager.list_secrets()["SecretList"]
    ]
    keys = {part for value in values for part in re.findall(r"[A-Za-z0-9._]{16,}", value)}
    assert len(keys) >= 2, "two tunnels have a key each"
    backend = Path(bank.sandbox.env["PULUMI_BACKEND_URL"].removeprefix("file://"))
    files = [each for each in (backend / ".pulumi").rglob("*") if each.is_file()]
    files += [each for each in (bank.root / "out").rglob("*") if each.is_file()]
    assert any("bank-dev.json" in each.name for each in files)
    assert [(each, key) for each in files for key in keys if key.encode() in each.read_bytes()] == []


def test_a_second_up_changes_nothing(bank):
    assert re.search(r"Resources: \d+ unchanged in", bank.up())


def test_up_finds_and_mends_what_others_changed(bank):
    s3 = bank.aws("s3")
    bucket = next(each["id"] for each in bank.state() if each["type"] == "aws:s3/bucket:Bucket")
    before = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration={**before, "BlockPublicAcls": False}
    )
    client = bank.sandbox.client()
    path = f"/apis/apps/v1/namespaces/isthmus-confidential/deployments/{MORE.id}"

    def engine() -> dict[str, Any]:
        containers = client.get(path)["spec"]["template"]["spec"]["containers"]
        return next(each for each in containers if each["name"] == "vllm")

    args = engine()["args"]
    changed = ["--max-model-len=4096" if each.startswith("--max-model-len=") else each for each in args]
    assert changed != args
    client.apply(
        path,
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": MORE.id},
            "spec": {"template": {"spec": {"containers": [{"name": "vllm", "args": changed}]}}},
        },
        manager="someone-else",
    )
    assert engine()["args"] == changed
    said = bank.up()
    assert "2 updated" in said
    assert engine()["args"] == args
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == before


def test_one_replica_more_changes_what_the_docs_list_and_replaces_nothing(bank):
    before = {each["urn"]: each.get("id") for each in bank.state()}
    of_one = MORE.gpus // (MORE.replicas or 1)
    more = f"replicas: {(MORE.replicas or 0) + 1}\n        gpus: {MORE.gpus + of_one}"
    bank.edit("Pulumi.bank-dev.yaml", f"- id: {MORE.id}\n", f"- id: {MORE.id}\n        {more}\n")
    said = bank.up()
    changed = set(re.findall(r"^  (created|updated|deleted|replaced) (\w+) (\S+)", said, re.M))
    listed = (ROOT / "docs" / "cli.md").read_text().split("One replica more changes:")[1].split("\n\n")[1]
    allowed = {tuple(each.split()) for each in re.findall(r"`([^`]+)`", listed)}
    assert changed == {("updated", *each) for each in allowed}
    assert "replaces" not in said
    after = {each["urn"]: each.get("id") for each in bank.state()}
    assert after == before, "a resource was replaced, added or lost"
    wanted = sum(each.gpus for each in SERVED.values()) + of_one
    pods = eventually(bank.pods, lambda found: sum(gpus(pod) for pod in found) == wanted)
    assert sum(gpus(pod) for pod in pods if pod["status"]["phase"] == "Running") == wanted


def test_a_replacement_says_which_property_forces_it(bank):
    for old, new in (
        (f"pvc://{MORE.id}-weights", "pvc://confidential-weights"),
        ("volume: weights-meta-llama-llama-3-1-8b-instruct", "volume: weights-qwen-qwen3-32b-2"),
    ):
        bank.edit("Pulumi.bank-dev.yaml", old, new)
    said = bank.up()
    assert f"replaces PersistentVolumeClaim bank-{MORE.id}-weights, because of" in said
    assert "metadata.name" in said


def test_the_lock_of_a_dead_run_is_cleared(bank):
    dead = subprocess.Popen(["true"])
    dead.wait()
    state = Path(bank.sandbox.env["PULUMI_BACKEND_URL"].removeprefix("file://"))
    folder = state / ".pulumi" / "locks" / "organization" / "isthmus" / "bank-dev"
    folder.mkdir(parents=True, exist_ok=True)
    import socket

    lock = {"pid": dead.pid, "username": "x", "hostname": socket.gethostname(), "timestamp": "earlier"}
    (folder / "left.json").write_text(json.dumps(lock))
    assert f"cleared the lock of process {dead.pid}" in bank.up()


RETAINED = {
    "bank-frankfurt-bucket",
    "bank-frankfurt-key",
    "bank-frankfurt-trail-logs",
    "bank-frankfurt-trail-log-key",
    "bank-frankfurt-calls-logs",
    "bank-frankfurt-calls-log-key",
    "bank-frankfurt-network-flow-logs",
    "bank-frankfurt-network-flow-log-key",
}
"""Records, and the keys that open them; by logical name."""


def test_destroy_leaves_what_it_names_and_nothing_else(bank):
    kept = [each for each in bank.state() if each["urn"].rpartition("::")[2] in RETAINED]
    assert len(kept) == len(RETAINED)
    done = bank.isthmus("destroy", "bank-dev", "--yes")
    assert done.returncode == 0, done.stderr[-3000:]
    assert [each["id"] for each in kept if each["id"] not in done.stdout] == []
    client = bank.sandbox.client()
    spaces = eventually(
        lambda: [name for name in client.names("/api/v1/namespaces") if name.startswith("isthmus-")],
        lambda found: not found,
    )
    assert spaces == []
    assert not [name for name in _policies(client) if name.startswith("isthmus-")]
    assert eventually(lambda: cluster.objects(client), lambda found: not found) == set()
    assert bank.in_aws() == aws.in_state(kept)
    left = [each for each in bank.state() if each["type"] != "pulumi:pulumi:Stack"]
    assert left == []


def test_what_was_destroyed_comes_up_again_beside_what_was_kept(bank):
    kept = bank.in_aws()
    by_hand.write(bank.root / "stacks")
    bank.up()
    wanted, found = aws.in_state(bank.state()), bank.in_aws()
    assert {kind: found[kind] - kept[kind] for kind in found} == wanted


def test_a_plan_by_hand_runs_on_both_pools_with_four_gpus_a_replica(bank):
    pods = eventually(bank.pods, lambda found: all(pod["status"].get("phase") == "Running" for pod in found))
    assert {pod["status"].get("phase") for pod in pods} == {"Running"}
    assert placed(pods, by_hand.POOLS) == {"restricted-llama-70b": 2, "confidential-llama-8b": 6}
    assert {gpus(pod) for pod in pods} == {0, 1, 4}
    assert spread(pods) == {
        "restricted-llama-70b": [1, 1],  # a domain's loss would end it otherwise
        "confidential-llama-8b": [3, 3],  # a node's loss would take too much
    }


def test_what_comes_of_a_plan_by_hand_goes_as_well(bank):
    done = bank.isthmus("destroy", "bank-dev", "--yes")
    assert done.returncode == 0, done.stderr[-3000:]


def _policies(client: Any) -> set[str]:
    return client.names("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies")
