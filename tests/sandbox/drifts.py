"""What `isthmus drift` says of the bank that stands, before and after others have changed it.

What `isthmus up` mends is left for the test of that; what it leaves alone is taken away here.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

from isthmus.contracts.reports.drift import Drift
from isthmus.reports.drift import wording as drift_wording
from tests.sandbox.bank_up import Bank

SECRET = "hunter2-0123456789abcdef"
SPACE = "/apis/apps/v1/namespaces/isthmus-restricted"
CONFIDENTIAL = SPACE.replace("restricted", "confidential")
SERVER = f"{SPACE}/deployments/restricted-gateway"
SCALED = f"{CONFIDENTIAL}/deployments/confidential-gateway"
SECRETS = "/api/v1/namespaces/isthmus-restricted/secrets"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/isthmus-restricted/networkpolicies"
MERGE = "application/merge-patch+json"
STRAY = "isthmus-stray"
TAGS = [{"Key": "isthmus-stack", "Value": "isthmus/bank-dev"}]


def looked(bank: Bank, code: int) -> Drift:
    done = bank.isthmus("drift", "bank-dev", "--format", "json")
    assert done.returncode == code, done.stderr[-3000:] + done.stdout[-3000:]
    assert SECRET not in done.stdout + done.stderr
    return Drift.model_validate_json(done.stdout)


def none(bank: Bank) -> None:
    """Nothing has changed since the stack was brought up, whatever cluster and account have added to it."""
    state = bank.state()
    actual = looked(bank, 0)
    assert (actual.status, actual.drifts, actual.unseen, actual.policy) == ("complete", [], [], [])
    assert actual.resources > 180
    assert actual.data_paths.before == actual.data_paths.after
    assert bank.state() == state, "a look has written the state"


def found(bank: Bank) -> None:
    """Each change by others is found, ranked and masked, and nothing besides."""
    with _changed(bank) as gone:
        output = looked(bank, 1)
    # Where confidential data may go cannot be told without its gateway's configuration.
    assert (output.status, output.unseen, output.diagnostics) == ("partial", [], [])
    told = {(drift.what, drift.type.rpartition(":")[2], drift.severity): drift for drift in output.drifts}
    assert sorted(told) == [
        ("added", "Deployment", "high"),
        ("changed", "BucketPolicy", "high"),
        ("changed", "Deployment", "medium"),
        ("changed", "NetworkPolicy", "high"),
        ("foreign", "Deployment", "high"),
        ("foreign", "Secret", "medium"),
        ("foreign", "s3", "medium"),
        ("gone", "ConfigMap", "medium"),
    ]
    assert len(output.drifts) == len(told)
    assert [each.severity for each in output.drifts] == ["high"] * 4 + ["medium"] * 4
    sidecar = told["added", "Deployment", "high"]
    assert (sidecar.by, [prop.path for prop in sidecar.properties]) == (
        ["injector"],
        ['spec.template.spec.containers["side"]'],
    )
    scaled = told["changed", "Deployment", "medium"]
    assert (scaled.by, [prop.path for prop in scaled.properties]) == (["kubectl-scale"], ["spec.replicas"])
    assert told["changed", "NetworkPolicy", "high"].by == ["kubectl-edit"]
    assert [key.path for key in told["foreign", "Secret", "medium"].properties] == ['data["key"]']
    assert told["foreign", "s3", "medium"].name == STRAY
    assert told["gone", "ConfigMap", "medium"].urn == gone
    # The policy lets restricted data out to anywhere.
    opened = drift_wording.newly_open_paths(output.data_paths)
    assert {(each.class_, each.verdict) for each in opened if each.verdict != "allowed"} == {
        ("restricted", "refused"),
        ("confidential", "undecided"),
    }
    assert {"audit/trail-out-of-reach", "network/policies-name-peers", "data-path/own-network"} <= {
        finding.policy for finding in output.policy if finding.severity == "critical"
    }


@contextlib.contextmanager
def _changed(bank: Bank) -> Iterator[str]:
    """What others do; the URN of what they take away. What `isthmus up` leaves alone is gone afterwards."""
    client, s3 = bank.sandbox.client(), bank.aws("s3")
    state = bank.state()
    server = client.get(SERVER)
    client.call(
        "PATCH",
        SCALED,
        body={"spec": {"replicas": 1}},
        content_type=MERGE,
        params={"fieldManager": "kubectl-scale"},
    )
    box = copy.deepcopy(server["spec"]["template"]["spec"]["containers"][0])
    side = {key: box[key] for key in ("image", "resources", "securityContext")}
    side |= {"name": "side", "env": [{"name": "DB_PASSWORD", "value": SECRET}]}
    client.apply(SERVER, _deployment("restricted-gateway", {"containers": [side]}), manager="injector")
    policy = f"{POLICIES}/{_of(state, 'NetworkPolicy', 'restricted-gateway-to-restricted-qwen3-32b')}"
    egress = client.get(policy)["spec"]["egress"]
    opened = {"spec": {"egress": [*egress, {}]}}
    client.call("PATCH", policy, body=opened, content_type=MERGE, params={"fieldManager": "kubectl-edit"})
    spec = server["spec"] | {"replicas": 0, "selector": {"matchLabels": {"app": "miner"}}}
    spec["template"]["metadata"]["labels"]["app"] = "miner"
    client.apply(f"{SPACE}/deployments/miner", {**_deployment("miner", {}), "spec": spec}, manager="helm")
    created = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "theirs"},
        "stringData": {"key": SECRET},
    }
    client.create(SECRETS, created)
    config = next(resource for resource in state if resource["urn"].endswith("confidential-gateway-config"))
    client.delete(f"/api/v1/namespaces/isthmus-confidential/configmaps/{config['id'].rpartition('/')[2]}")
    bucket = next(resource["id"] for resource in state if resource["type"] == "aws:s3/bucket:Bucket")
    document = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    document["Statement"][0]["Effect"] = "Allow"
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    where = {"LocationConstraint": bank.sandbox.env["AWS_REGION"]}
    s3.create_bucket(Bucket=STRAY, CreateBucketConfiguration=where)
    s3.put_bucket_tagging(Bucket=STRAY, Tagging={"TagSet": TAGS})
    try:
        yield config["urn"]
    finally:
        client.apply(SERVER, _deployment("restricted-gateway", {}), manager="injector")
        client.delete(f"{SPACE}/deployments/miner")
        client.delete(f"{SECRETS}/theirs")
        s3.delete_bucket(Bucket=STRAY)
        # The provider sees no rule more than the program said, so `isthmus up` would leave it.
        back = {"spec": {"egress": egress}}
        client.call("PATCH", policy, body=back, content_type=MERGE, params={"fieldManager": "kubectl-edit"})


def _deployment(name: str, pod: dict[str, Any]) -> dict[str, Any]:
    head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}}
    return {**head, "spec": {"template": {"spec": pod}}} if pod else head


def _of(state: list[dict[str, Any]], kind: str, name: str) -> str:
    """What the cluster calls one of the stack's objects."""
    actual = next(
        resource
        for resource in state
        if resource["type"].endswith(f":{kind}") and resource["urn"].endswith(name)
    )
    return actual["id"].rpartition("/")[2]
