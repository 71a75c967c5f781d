"""The bank's platform, up for real: the real engine, provider and API server; AWS by moto.

One stack, brought up once with a plan made by hand, then moved to its own; the tests run in the order of the file.
Afterwards `test_readme` brings the same stack up again beside what this one retained, and destroys it.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from isthmus.engine.project import pins
from sandbox import api
from sandbox.local.serving import Platform
from tests.accounting import aws, cluster
from tests.blueprints import by_hand
from tests.blueprints.bank import requirements_and_plan, serving
from tests.laying import ROOT
from tests.sandbox import chatting, drifts, previews
from tests.sandbox.bank_up import Bank, gpus, placed, spread
from tests.sandbox.waiting import eventually

pytestmark = pytest.mark.sandbox

BUCKET = "aws:s3/bucket:Bucket"
PLAN = requirements_and_plan()[1]
SERVED = {endpoint.id: endpoint for endpoint in PLAN.endpoints if endpoint.gpu}
MORE = serving("kyc-extraction")
"""The endpoint that gets one replica more, and is changed by others."""
MOVE = ("up", "bank-dev", "--yes", "--replace-in-place")
BASE_MODEL = "workloads: [{name: kyc-extraction, adapter: null}]"
"""An override by which the workload asks for the model without its adapter."""


@pytest.fixture(scope="module")
def bank(sandbox: Any, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    new_bank = Bank(tmp_path_factory.mktemp("bank"), sandbox)
    new_bank.lay()
    by_hand.write(new_bank.root / "stacks")
    new_bank.before = aws.listed(new_bank.aws)
    output = new_bank.up()
    assert "The platform bank is up" in output
    assert "refuses AWS credentials and foreign images in isthmus-restricted" in output
    return new_bank


@pytest.fixture(scope="module")
def replacing(bank: Bank) -> str:
    """What an `up` said that found the lock of a dead run, replaced a ConfigMap and made the records durable."""
    # Another content is another configuration: an immutable ConfigMap of another name.
    arguments = "- name: confidential-fra1\n"
    bank.edit("Pulumi.bank-dev.yaml", arguments, f"{arguments}        {BASE_MODEL}\n")
    # From now on records and models outlive the stack.
    bank.edit("Pulumi.bank-dev.yaml", "    budgets:\n", "    lifecycle: durable\n    budgets:\n")
    dead = subprocess.Popen(["true"])
    dead.wait()
    state = Path(bank.sandbox.env["PULUMI_BACKEND_URL"].removeprefix("file://"))
    folder = state / ".pulumi" / "locks" / "organization" / "isthmus" / "bank-dev"
    folder.mkdir(parents=True, exist_ok=True)
    lock = {"pid": dead.pid, "username": "x", "hostname": socket.gethostname(), "timestamp": "earlier"}
    (folder / "left.json").write_text(json.dumps(lock))
    bank.dead = dead.pid
    return bank.up()


def inputs_by_urn(state: list[dict[str, Any]]) -> dict[str, Any]:
    """What the state has of clusters and accounts, as it was asked for."""
    return {
        resource["urn"]: resource.get("inputs")
        for resource in state
        if not resource["type"].startswith("pulumi:")
    }


def test_a_plan_by_hand_runs_on_both_pools_with_four_gpus_a_replica(bank):
    pods = eventually(bank.pods, lambda pods: all(pod["status"].get("phase") == "Running" for pod in pods))
    assert {pod["status"].get("phase") for pod in pods} == {"Running"}
    assert placed(pods, by_hand.POOLS) == {"restricted-llama-70b": 2, "confidential-llama-8b": 6}
    assert {gpus(pod) for pod in pods} == {0, 1, 4}
    assert spread(pods) == {
        "restricted-llama-70b": [1, 1],  # a domain's loss would end it otherwise
        "confidential-llama-8b": [3, 3],  # a node's loss would take too much
    }


def test_a_plan_that_leaves_no_room_is_refused_before_anything_is_changed(bank):
    bank.lay()
    before = bank.state()
    done = bank.isthmus("up", "bank-dev", "--yes")
    assert done.returncode == 1, done.stderr[-3000:]
    assert (
        "pool fra1-h100-sxm-80gb has 16 usable GPUs, 2 fewer than the 18 that the old and the new endpoints"
        in done.stderr
    )
    assert "restricted-llama-70b must go before restricted-qwen3-32b can come" in done.stderr
    assert "transaction-narratives would get no answers" in done.stderr
    assert "isthmus up bank-dev --replace-in-place" in done.stderr
    assert "kyc-extraction" not in done.stderr, "it moves to another pool, where there is room"
    assert bank.state() == before
    assert placed(bank.pods(), by_hand.POOLS) == {"restricted-llama-70b": 2, "confidential-llama-8b": 6}


def test_plain_pulumi_warns_of_it_in_the_preview_and_refuses_the_run(bank):
    before = bank.state()
    shown = bank.pulumi("preview")
    assert shown.returncode == 0, shown.stdout[-3000:]
    assert "`pulumi up` will refuse this: stack bank-dev: the plan moves workloads" in shown.stdout
    done = bank.pulumi("up", "--yes", "--skip-preview")
    assert done.returncode != 0
    assert "isthmus up bank-dev --replace-in-place" in done.stdout
    # What asked for the stack's outputs is a provider of the engine's own, and makes nothing.
    assert inputs_by_urn(bank.state()) == inputs_by_urn(before)


def test_a_move_that_is_cut_off_is_gone_on_with_by_the_same_command(bank):
    went = bank.killed_after("updated Deployment bank-restricted-llama-70b-server", *MOVE)
    assert "restricted-gateway" not in went, "the gateway was changed while nobody was there for it"
    down = eventually(bank.pods, lambda pods: placed(pods, by_hand.POOLS) == {"confidential-llama-8b": 6})
    assert placed(down, by_hand.POOLS) == {"confidential-llama-8b": 6}, "only what must go first may go"
    done = bank.isthmus(*MOVE)
    assert done.returncode == 0, done.stderr[-3000:]
    bank.moved = done.stderr


def test_where_both_fit_the_old_serve_until_the_new_are_ready_and_the_gateway_sends_there(bank):
    def line(text: str) -> int:
        [actual] = [at for at, entry in enumerate(bank.moved.splitlines()) if entry.strip().startswith(text)]
        return actual

    new, old = "bank-confidential-llama-3-1-8b", "bank-confidential-llama-8b"
    # A Deployment and a Service are finished when pods are ready.
    ready = max(line(f"created Deployment {new}-server"), line(f"created Service {new}-service"))
    rule = line(f"created NetworkPolicy bank-fra1-confidential-gateway-to-{new.removeprefix('bank-')}")
    switched = line("updated Deployment bank-fra1-confidential-gateway-server")
    assert ready < switched, "the gateway sent requests to a model that was not there"
    assert rule < switched
    for gone in (
        f"Deployment {old}-server",
        f"Service {old}-service",
        f"NetworkPolicy {old}-network",
        f"NetworkPolicy bank-fra1-confidential-gateway-to-{old.removeprefix('bank-')}",
    ):
        assert switched < line(f"deleted {gone}"), f"{gone} went while requests were sent there"


def test_one_claim_serves_the_old_endpoint_and_the_new_one_of_a_model(bank):
    path = "/api/v1/namespaces/isthmus-confidential/persistentvolumeclaims"
    claims = bank.sandbox.client().get(path)["items"]
    own = ("confidential-gateway-records", "confidential-gateway-held-keys")
    [claim] = [claim for claim in claims if claim["metadata"]["name"] not in own]
    assert claim["metadata"]["name"] == "llama-3-1-8b-instruct"
    assert claim["status"]["phase"] == "Bound"
    assert "deletionTimestamp" not in claim["metadata"]


def test_after_a_move_the_stack_is_as_its_plan_says_and_nothing_of_the_old_is_left(bank):
    pods = eventually(bank.pods, lambda pods: all(pod["status"].get("phase") == "Running" for pod in pods))
    expected = {name: resource.replicas for name, resource in SERVED.items()}
    assert placed(pods, {name: f"fra1-{resource.gpu}" for name, resource in SERVED.items()}) == expected
    assert not [
        resource["urn"] for resource in bank.state() for old in by_hand.POOLS if old in resource["urn"]
    ]


def test_every_pod_runs_on_the_pool_that_the_plan_names(bank):
    pods = eventually(bank.pods, lambda pods: all(pod["status"].get("phase") == "Running" for pod in pods))
    assert {pod["status"].get("phase") for pod in pods} == {"Running"}
    assert placed(pods, {name: f"fra1-{condition.gpu}" for name, condition in SERVED.items()}) == {
        name: endpoint.replicas for name, endpoint in SERVED.items()
    }
    assert sum(gpus(pod) for pod in pods) == sum(endpoint.gpus for endpoint in SERVED.values())


def test_replicas_outlive_what_the_plan_says_they_must(bank):
    # Each of the site's two domains is one node of the pool.
    assert spread(bank.pods()) == {
        name: sorted((endpoint.replicas_by_domain or {}).values()) for name, endpoint in SERVED.items()
    }


def test_a_pin_is_printed_and_a_run_on_another_cluster_is_refused_before_anything_changes(bank):
    lines = YAML(typ="safe").load(bank.isthmus("trust", "pin", "bank-dev").stdout)
    uid = bank.sandbox.client().get(pins.KUBE_SYSTEM)["metadata"]["uid"]
    assert lines == {
        "sites": [{"name": "fra1", "cluster_uid": uid}, {"name": "frankfurt", "account_id": "123456789012"}]
    }
    file = bank.root / "stacks" / "Pulumi.bank-dev.yaml"
    text = file.read_text()
    other = uid[:-4] + ("0000" if uid[-4:] != "0000" else "1111")
    try:
        for pinned, code in ((uid, 0), (other, 1)):
            pin = f"    sites: [{{name: fra1, cluster_uid: {pinned}}}]\n"
            file.write_text(text.replace("  isthmus:overrides:\n", "  isthmus:overrides:\n" + pin))
            drift = bank.isthmus("drift", "bank-dev")
            assert (drift.returncode, f"leads to the cluster {uid}" in drift.stderr) == (
                code,
                pinned == other,
            ), drift.stderr
        destroyed = bank.isthmus("destroy", "bank-dev", "--yes")
        assert destroyed.returncode == 1
        assert f"leads to the cluster {uid}" in destroyed.stderr
    finally:
        file.write_text(text)


def test_a_preview_right_after_finds_nothing_to_change(bank):
    previews.nothing_to_change(bank)


def test_what_is_deployed_gives_the_same_evidence_as_what_was_rendered(bank):
    previews.same_evidence(bank)


def test_the_policies_find_nothing_in_a_preview_of_what_stands(bank):
    done = bank.pulumi("preview", "--policy-pack", str(ROOT / "policies"))
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-4000:]
    assert "isthmus@v" in output, "the pack did not run"
    assert "[mandatory]" not in output
    assert "[advisory]" not in output


def test_every_resource_of_the_state_is_in_aws_and_nothing_besides(bank):
    state = bank.state()
    assert aws.strange(state) == set(), "a type that nobody counts"
    expected, actual = aws.in_state(state), bank.in_aws()
    assert {kind: actual[kind] ^ ids for kind, ids in expected.items() if ids != actual[kind]} == {}
    assert sum(len(ids) for ids in actual.values()) > 80


def test_every_resource_of_the_state_is_in_the_cluster_and_nothing_besides(bank):
    ours = {
        (
            resource["inputs"]["kind"],
            resource["inputs"]["metadata"].get("namespace", ""),
            resource["inputs"]["metadata"]["name"],
        )
        for resource in bank.state()
        if resource["type"].startswith("kubernetes:") and not resource["type"].endswith("Patch")
        # The GPU operator's policy is read, not made.
        if resource["custom"] and not resource.get("external")
    }
    objects = cluster.objects(bank.sandbox.client())
    assert ours - objects == set()
    assert objects - ours == set()
    assert len(ours) > 80


def test_what_bears_tags_says_whose_it_is(bank):
    tags = bank.aws("resourcegroupstaggingapi").get_resources()["ResourceTagMappingList"]
    ours = {
        tag["ResourceARN"]
        for tag in tags
        if {"Key": "isthmus-stack", "Value": "isthmus/bank-dev"} in tag["Tags"]
    }
    roles = [role["RoleName"] for role in bank.aws("iam").list_roles()["Roles"]]
    for role in roles:
        output = {
            each["Key"]: each["Value"] for each in bank.aws("iam").list_role_tags(RoleName=role)["Tags"]
        }
        assert output["isthmus-stack"] == "isthmus/bank-dev"
        assert output["isthmus-resource"].startswith("bank-")
    assert roles
    assert any(":s3:::" in arn for arn in ours)


def test_no_secret_stands_in_the_state_in_the_clear(bank):
    manager = bank.aws("secretsmanager")
    values = [
        manager.get_secret_value(SecretId=secret["ARN"])["SecretString"]
        for secret in manager.list_secrets()["SecretList"]
    ]
    keys = {part for value in values for part in re.findall(r"[A-Za-z0-9._]{16,}", value)}
    assert len(keys) >= 2, "two tunnels have a key each"
    backend = Path(bank.sandbox.env["PULUMI_BACKEND_URL"].removeprefix("file://"))
    files = [file for file in (backend / ".pulumi").rglob("*") if file.is_file()]
    files += [file for file in (bank.root / "out").rglob("*") if file.is_file()]
    assert any("bank-dev.json" in file.name for file in files)
    assert [(file, key) for file in files for key in keys if key.encode() in file.read_bytes()] == []


@pytest.mark.soak
def test_a_second_up_changes_nothing(bank):
    assert re.search(r"Resources: \d+ unchanged in", bank.up())


@pytest.mark.soak
def test_what_nobody_changed_is_no_drift(bank):
    drifts.none(bank)


def asked_as(served: Platform, name: str, data_class: str, workload: str) -> httpx.Response:
    """A prompt of a person who signed on at the real Keycloak."""
    login = {"grant_type": "password", "client_id": "chat", "username": name, "password": name}
    token = httpx.post(f"{served.issuer}/protocol/openid-connect/token", data=login, trust_env=False).json()
    [door] = [door for door in served.doors if door.data_class == data_class]
    tls = ssl.create_default_context(cafile=str(served.ca))
    tls.load_cert_chain(served.certificate, served.certificate_key)
    body = {
        "model": workload,
        "messages": [
            {
                "role": "user",
                "content": "Please write one short English sentence that greets the new colleagues of the bank.",
            }
        ],
    }
    headers = {"authorization": f"Bearer {token['access_token']}"}
    with httpx.Client(verify=tls, trust_env=False, timeout=60) as client:
        return client.post(f"{door.url}/v1/chat/completions", json=body, headers=headers)


def told_by_mail(served: Platform) -> None:
    """An answer that a reviewer escalates is a mail to the heads, by the bank's own settings."""
    chatting.decide(served, "confidential", "escalate", reason="unclear")
    folder = Path(served.mails)
    [mail] = eventually(lambda: list(folder.glob("*.eml")), lambda mails: len(mails) == 1)
    assert "kyc-heads@bank.example" in mail.name
    [desk] = [desk for desk in served.desks if desk.data_class == "confidential"]
    text = mail.read_text()
    assert "1 answer escalated to seniors" in text
    assert desk.pages in text


@contextmanager
def running(bank: Bank) -> Iterator[tuple[str, Platform]]:
    """What `sandbox serve` printed, and what runs. The store of the records stays, with its locked seals."""
    before = bank.in_aws()
    try:
        shown = bank.must("sandbox", "serve", "bank-dev")
        served = api.served(bank.sandbox.home)
        assert served is not None
        yield shown, served
    finally:
        bank.must("sandbox", "serve", "bank-dev", "--stop")
        bank.before[BUCKET] |= bank.in_aws()[BUCKET] - before[BUCKET]


@pytest.mark.timeout(1800)
def test_what_stands_is_served_on_this_machine_and_answers_in_each_class(bank):
    known = set(bank.before[BUCKET])
    with running(bank) as (shown, served):
        assert "restricted at fra1: https://127.0.0.1:" in shown
        assert (
            "who signs on there: internal-audit (auditor), kyc-heads (senior), kyc-reviewers (reviewer)"
            in shown
        )
        assert "Whom notifiers tell: the mails are files in" in shown
        verified = json.loads(bank.isthmus("verify", "bank-dev", "--format", "json").stdout)
        by_class = {entry["class"]: entry for entry in verified["prompts"]}
        assert {name: entry["outcome"] for name, entry in by_class.items()} == {
            "public": "answered",
            "internal": "answered",
            "confidential": "approved",
            "restricted": "approved",
        }
        assert all(entry["well"] for entry in by_class.values())
        assert by_class["restricted"]["target"] == "onprem-vllm"
        [verdict] = by_class["internal"]["verdicts"]
        assert verdict.endswith("redacted LOCATION=1,PERSON=1")
        assert asked_as(served, "clara", "internal", "policy-assistant").status_code == 200
        assert asked_as(served, "clara", "confidential", "kyc-extraction").status_code == 202
        assert (
            asked_as(served, "gast", "internal", "policy-assistant").json()["error"]["code"] == "no_workload"
        )
        told_by_mail(served)
        chatting.checked(served)
        reached = {entry["pod"]: entry["reached"] for entry in verified["reach"]}
        assert reached["isthmus-restricted/restricted-gateway"] == []
        assert reached["isthmus-public/public-translator"] == ["the network of frankfurt"]
    assert len(bank.before[BUCKET] - known) == 1, "the store of the records"


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_four_people_ask_the_small_model_at_once_and_the_chats_memory_stays_flat(bank):
    """In the soak, because twelve answers of a language model on a loaded processor take many minutes."""
    with running(bank) as (_, served):
        chatting.four_at_once(served)


def test_what_others_did_is_found_ranked_and_masked_and_nothing_besides(bank):
    drifts.found(bank)


def test_up_finds_and_mends_what_others_changed(bank):
    s3 = bank.aws("s3")
    bucket = next(resource["id"] for resource in bank.state() if resource["type"] == "aws:s3/bucket:Bucket")
    before = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration={**before, "BlockPublicAcls": False}
    )
    client = bank.sandbox.client()
    path = f"/apis/apps/v1/namespaces/isthmus-confidential/deployments/{MORE.id}"

    def engine() -> dict[str, Any]:
        containers = client.get(path)["spec"]["template"]["spec"]["containers"]
        return next(container for container in containers if container["name"] == "vllm")

    args = engine()["args"]
    changed = ["--max-model-len=4096" if arg.startswith("--max-model-len=") else arg for arg in args]
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
    output = bank.up()
    # And what the test before has left changed.
    assert "1 created, 4 updated" in output
    assert engine()["args"] == args
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == before


@pytest.mark.soak
def test_a_secret_in_the_settings_is_masked_in_the_preview_of_a_change(bank):
    previews.held_to_a_comparison(bank, bank.rendered())


@pytest.mark.soak
def test_a_preview_that_no_longer_fits_is_not_built(bank):
    previews.refused_as_approved(bank)


@pytest.mark.soak
def test_one_replica_more_changes_what_the_docs_list_and_replaces_nothing(bank):
    before = {resource["urn"]: resource.get("id") for resource in bank.state()}
    of_one = MORE.gpus // (MORE.replicas or 1)
    more = f"replicas: {(MORE.replicas or 0) + 1}\n        gpus: {MORE.gpus + of_one}"
    was = bank.rendered()
    bank.edit("Pulumi.bank-dev.yaml", f"- id: {MORE.id}\n", f"- id: {MORE.id}\n        {more}\n")
    output = previews.built_as_approved(bank, was)
    changed = set(re.findall(r"^  (created|updated|deleted|replaced) (\w+) (\S+)", output, re.M))
    listed = (ROOT / "docs" / "cli.md").read_text().split("Adding one replica changes:")[1].split("\n\n")[1]
    allowed = {tuple(resource.split()) for resource in re.findall(r"`([^`]+)`", listed)}
    assert changed == {("updated", *resource) for resource in allowed}
    assert "replaces" not in output
    after = {resource["urn"]: resource.get("id") for resource in bank.state()}
    assert after == before, "a resource was replaced, added or lost"
    expected = sum(endpoint.gpus for endpoint in SERVED.values()) + of_one
    pods = eventually(bank.pods, lambda pods: sum(gpus(pod) for pod in pods) == expected)
    assert sum(gpus(pod) for pod in pods if pod["status"]["phase"] == "Running") == expected


def test_a_replacement_says_which_property_forces_it(replacing: str):
    assert "replaces ConfigMap bank-fra1-confidential-gateway-config, because of" in replacing
    assert "metadata.name" in replacing


def test_the_lock_of_a_dead_run_is_cleared(bank, replacing: str):
    assert f"cleared the lock of dead process {bank.dead}" in replacing


RETAINED = {
    "bank-frankfurt-bucket",
    "bank-frankfurt-key",
    "bank-frankfurt-trail-logs",
    "bank-frankfurt-trail-log-key",
    "bank-frankfurt-calls-logs",
    "bank-frankfurt-calls-log-key",
    "bank-frankfurt-network-flow-logs",
    "bank-frankfurt-network-flow-log-key",
    "bank-frankfurt-network-queries-logs",
    "bank-frankfurt-network-queries-log-key",
    "bank-fra1-confidential-namespace",
    "bank-fra1-confidential-llama-3-1-8b-instruct",
    "bank-fra1-restricted-namespace",
    "bank-fra1-restricted-qwen3-32b",
}
"""Records, the keys that open them, and claims on models with their namespaces; by logical name."""


def test_a_plain_destroy_is_refused_for_what_is_protected(bank):
    done = bank.pulumi("destroy", "--preview-only")
    assert done.returncode != 0
    assert "because it is protected" in done.stdout + done.stderr


def test_destroy_leaves_what_it_names_and_nothing_else(bank):
    retained = [resource for resource in bank.state() if resource["urn"].rpartition("::")[2] in RETAINED]
    assert len(retained) == len(RETAINED)
    done = bank.isthmus("destroy", "bank-dev", "--yes")
    assert done.returncode == 0, done.stderr[-3000:]
    assert [entry["id"] for entry in retained if entry["id"] not in done.stdout] == []
    assert "it holds audit records, locked until their retention ends" in done.stdout
    assert len(re.findall(r"records encrypted with it could not be read without it", done.stdout)) == 5
    client = bank.sandbox.client()
    spaces = eventually(
        lambda: {name for name in client.names("/api/v1/namespaces") if name.startswith("isthmus-")},
        lambda value: len(value) == 2,
    )
    assert spaces == {"isthmus-confidential", "isthmus-restricted"}
    assert not [name for name in _policies(client) if name.startswith("isthmus-")]
    stay = {
        (resource["inputs"]["kind"], resource["id"].rpartition("/")[2])
        for resource in retained
        if "metadata" in resource["inputs"]
    }
    objects = eventually(lambda: cluster.objects(client), lambda objects: len(objects) == len(stay))
    assert {(kind, name) for kind, _, name in objects} == stay
    assert bank.in_aws() == aws.in_state(retained)
    left = [resource for resource in bank.state() if resource["type"] != "pulumi:pulumi:Stack"]
    assert left == []


@pytest.mark.soak
def test_what_was_destroyed_comes_up_again_beside_what_was_kept(bank):
    retained = bank.kept = bank.in_aws()
    spaces = "/api/v1/namespaces/isthmus-restricted"
    before = bank.sandbox.client().get(spaces)["metadata"]["uid"]
    bank.lay()
    bank.up()
    assert bank.sandbox.client().get(spaces)["metadata"]["uid"] == before, "taken over, not made again"
    expected, actual = aws.in_state(bank.state()), bank.in_aws()
    assert {kind: actual[kind] - retained[kind] for kind in actual} == expected


@pytest.mark.soak
def test_what_comes_of_a_move_goes_as_well_and_of_a_disposable_stack_nothing_stays(bank):
    done = bank.isthmus("destroy", "bank-dev", "--yes")
    assert done.returncode == 0, done.stderr[-3000:]
    assert eventually(lambda: cluster.objects(bank.sandbox.client()), lambda objects: not objects) == set()
    assert bank.in_aws() == bank.kept, "what the first life left, and nothing of the second"
    assert "Bucket" not in done.stdout


def _policies(client: Any) -> set[str]:
    return client.names("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies")
