"""`isthmus up` sets back what others added to a stack's live objects, and leaves the rest of their work in peace.

The real engine, provider and API server; AWS by moto. One stack, brought up once; the tests run in the order of the
file.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from isthmus.core.kubernetes_client import MERGE_PATCH
from tests.accounting import aws
from tests.sandbox import small_project
from tests.sandbox.projects import standing
from tests.sandbox.small_project import Small

pytestmark = pytest.mark.sandbox

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
ADOPTED = "/api/v1/namespaces/isthmus-confidential"
CONFIDENTIAL = "/apis/apps/v1/namespaces/isthmus-confidential/deployments"
DENY = "/apis/networking.k8s.io/v1/namespaces/isthmus-restricted/networkpolicies/default-deny"
MODEL = "/apis/networking.k8s.io/v1/namespaces/isthmus-restricted/networkpolicies/restricted-reports"
POLICY = f"{ADMISSION}/validatingadmissionpolicies/isthmus-restricted-pods"
BINDING = f"{ADMISSION}/validatingadmissionpolicybindings/isthmus-restricted-pods"
ROLE = f"{RBAC}/namespaces/isthmus-confidential/roles/isthmus-model-owner"
ROLE_BINDING = f"{RBAC}/namespaces/isthmus-confidential/rolebindings/isthmus-model-owner"
CLUSTER_ROLE = f"{RBAC}/clusterroles/isthmus-platform"
CLUSTER_BINDING = f"{RBAC}/clusterrolebindings/isthmus-platform"
BOUNDARIES = (DENY, MODEL, POLICY, BINDING, ROLE, ROLE_BINDING, CLUSTER_ROLE, CLUSTER_BINDING)
EVERYBODY = {
    "kind": "Group",
    "name": "system:authenticated",
    "apiGroup": "rbac.authorization.k8s.io",
}
ALL = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
ANYBODY = {"Sid": "Foreign", "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
NOTHING: dict[str, Any] = {"Version": "2012-10-17", "Statement": []}
QUARANTINE = "quarantine"
SITE = {"name": "frankfurt", "kind": "aws", "jurisdiction": "de", "region": "eu-central-1"}
OVERRIDES: dict[str, Any] = {
    "sites": [SITE, {"name": "fra1", "existing_namespaces": ["confidential"]}],
    "people": {
        "members": [
            {"name": role, "role": role, "groups": [f"oidc:{role}s"], "classes": ["confidential"]}
            for role in ("model-owner", "platform")
        ]
    },
    "audit": [
        *small_project.OVERRIDES["audit"],
        {"name": "frankfurt", "site": "frankfurt", "mode": "manage", "retention_days": 400},
    ],
    "invocation_logging": [{"name": "frankfurt", "site": "frankfurt", "retention_days": 400}],
    "monitoring": {"namespace": "monitoring", "prometheus_url": "http://prometheus.monitoring.svc:9090"},
    "scaling": [{"endpoint": "confidential-kyc", "min_replicas": 2, "max_replicas": 4}],
}
TRUST = """isthmus: v1
managers:
- {value: mesh-labels, reason: "The mesh labels what it serves", owner: platform-team}
"""
SIDECAR = {"name": "side", "image": f"evil.example/side@sha256:{'b' * 64}"}


class Live(Small):
    """The stack, its cluster and its account."""

    @property
    def approved(self) -> Path:
        """The file of the approved preview."""
        return self.root / "approved.json"

    def begin(self, context: str) -> None:
        super().begin(context)
        (self.root / "trust.yaml").write_text(TRUST)
        labels = {"team": "risk", "pod-security.kubernetes.io/enforce": "baseline"}
        body = {"apiVersion": "v1", "kind": "Namespace"}
        metadata = {"name": "isthmus-confidential", "labels": labels}
        self.cluster.create("/api/v1/namespaces", {**body, "metadata": metadata})

    def aws(self, service: str) -> Any:
        return aws.clients(self.env)(service)

    def write(self, path: str, body: dict[str, Any], manager: str = "kubectl-edit") -> None:
        """What somebody else does to a live object."""
        self.cluster.call(
            "PATCH", path, body=body, content_type=MERGE_PATCH, params={"fieldManager": manager}
        )

    def bodies(self) -> dict[str, Any]:
        """Path → what each boundary object sets, with its labels and identity."""
        objects = {path: self.cluster.get(path) for path in BOUNDARIES}
        return {
            path: {
                **{key: live.get(key) for key in ("spec", "rules", "subjects", "roleRef")},
                "labels": live["metadata"].get("labels"),
                "uid": live["metadata"]["uid"],
            }
            for path, live in objects.items()
        }

    def documents(self) -> dict[str, Any]:
        """Name → policy document of the account's roles, bucket and key."""
        iam, s3, kms = self.aws("iam"), self.aws("s3"), self.aws("kms")
        role, bucket, key = self.names()
        inline = iam.list_role_policies(RoleName=role)["PolicyNames"]
        return {
            "role": iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"],
            **{
                f"inline {name}": iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
                for name in inline
            },
            "bucket": json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]),
            "key": json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]),
        }

    def names(self) -> tuple[str, str, str]:
        """The role that writes the log of calls, the records' bucket and its key."""
        ids = {resource["urn"].rsplit("::", 1)[-1]: resource.get("id", "") for resource in self.state()}
        return (
            ids["small-frankfurt-calls-role"],
            ids["small-frankfurt-bucket"],
            ids["small-frankfurt-key"],
        )

    def ids(self) -> dict[str, str]:
        return {
            resource["urn"]: resource.get("id", "")
            for resource in self.state()
            if not resource["type"].startswith("pulumi:")
        }


@pytest.fixture(scope="module")
def live(toolchain: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    requirements = copy.deepcopy(small_project.REQUIREMENTS)
    requirements["sites"].append(SITE)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(small_project, "REQUIREMENTS", requirements)
        with standing(lambda root, home: Live(root, home, OVERRIDES), tmp_path_factory.mktemp("live")) as it:
            it.up()
            yield it


def add_to_boundaries(live: Live) -> None:
    """A foreign entry in one object of each kind that holds a boundary."""
    live.write(DENY, {"spec": {"egress": [{}]}})
    ingress = live.cluster.get(MODEL)["spec"]["ingress"]
    live.write(MODEL, {"spec": {"ingress": [*ingress, {}]}})
    # As an admission webhook leaves it: no manager claims the rule.
    live.write(MODEL, {"metadata": {"managedFields": [{}]}})
    live.write(POLICY, {"spec": {"matchConditions": [{"name": "never", "expression": "false"}]}})
    live.write(BINDING, {"spec": {"validationActions": ["Audit"]}})
    for role in (ROLE, CLUSTER_ROLE):
        live.write(role, {"rules": [*live.cluster.get(role)["rules"], ALL]})
    for binding in (ROLE_BINDING, CLUSTER_BINDING):
        live.write(binding, {"subjects": [*live.cluster.get(binding)["subjects"], EVERYBODY]})


def add_to_documents(live: Live) -> None:
    """A foreign statement in each policy document."""
    iam, s3, kms = live.aws("iam"), live.aws("s3"), live.aws("kms")
    role, bucket, key = live.names()
    documents = live.documents()
    trust = documents["role"]
    anybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=_with(trust, anybody))
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    [inline] = [name for name in names if name != QUARANTINE]
    anything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    document = _with(documents[f"inline {inline}"], anything)
    iam.put_role_policy(RoleName=role, PolicyName=inline, PolicyDocument=document)
    # A policy more, which the engine does not see.
    iam.put_role_policy(RoleName=role, PolicyName="evil", PolicyDocument=_with(NOTHING, anything))
    s3.put_bucket_policy(Bucket=bucket, Policy=_with(documents["bucket"], ANYBODY))
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=_with(documents["key"], ANYBODY))


def _with(document: dict[str, Any], statement: dict[str, Any]) -> str:
    return json.dumps({**document, "Statement": [*document["Statement"], statement]})


def add_what_stays(live: Live) -> None:
    """An autoscaler's replicas, a trusted manager's labels, a label of the adopted namespace, another team's, and a
    policy that takes a role's rights away.
    """
    live.write(f"{CONFIDENTIAL}/confidential-kyc", {"spec": {"replicas": 3}}, "kube-controller-manager")
    live.write(DENY, {"metadata": {"labels": {"mesh": "on"}}}, "mesh-labels")
    live.write(ADOPTED, {"metadata": {"labels": {"cost-center": "4711"}}})
    live.write("/api/v1/namespaces/isthmus-restricted", {"metadata": {"labels": {"team": "risk"}}})
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    live.aws("iam").put_role_policy(
        RoleName=live.names()[0], PolicyName=QUARANTINE, PolicyDocument=_with(NOTHING, deny)
    )
    template = {"metadata": {"annotations": {"reviewed": "yes"}}}
    live.write(f"{CONFIDENTIAL}/confidential-kyc", {"spec": {"template": template}})


def add_a_container(live: Live) -> None:
    """A container that the policies refuse."""
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "confidential-gateway"},
        "spec": {"template": {"spec": {"containers": [SIDECAR]}}},
    }
    live.cluster.apply(f"{CONFIDENTIAL}/confidential-gateway", body, manager="injector")


def check_what_stays(live: Live) -> None:
    model = live.cluster.get(f"{CONFIDENTIAL}/confidential-kyc")["spec"]
    assert model["replicas"] == 3
    assert model["template"]["metadata"]["annotations"]["reviewed"] == "yes"
    assert live.cluster.get(DENY)["metadata"]["labels"]["mesh"] == "on"
    assert live.cluster.get(ADOPTED)["metadata"]["labels"]["cost-center"] == "4711"
    assert live.cluster.get("/api/v1/namespaces/isthmus-restricted")["metadata"]["labels"]["team"] == "risk"


@dataclass
class Before:
    """What was live before others changed it."""

    bodies: dict[str, Any] = field(default_factory=dict)
    documents: dict[str, Any] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    uid: str = ""


@pytest.fixture(scope="module")
def before(live: Live) -> Before:
    """The foreign entries are added."""
    add_what_stays(live)
    was = Before(live.bodies(), live.documents(), live.ids())
    was.uid = live.cluster.get(f"{CONFIDENTIAL}/confidential-gateway")["metadata"]["uid"]
    add_to_boundaries(live)
    add_to_documents(live)
    add_a_container(live)
    assert live.bodies() != was.bodies
    return was


def test_a_preview_shows_what_others_added(live: Live, before: Before):
    live.must("preview", "small", "--format", "json", "-o", str(live.approved))
    preview = json.loads(live.approved.read_text())
    changes = {change["name"]: change for change in preview["changes"] if change["op"] != "read"}
    assert {change["op"] for change in changes.values()} == {"update"}
    paths = {
        change["type"].rpartition(":")[2]: {entry["path"] for entry in change["properties"]}
        for change in changes.values()
    }
    assert set(paths) == {
        *("NetworkPolicy", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
        *("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Deployment"),
        *("RolePolicy", "BucketPolicy", "Key"),
    }
    deny = changes["small-fra1-restricted-default-deny"]["properties"]
    assert [(entry["path"], entry["old"], entry["new"]) for entry in deny] == [("spec.egress", [{}], None)]
    assert paths["ValidatingAdmissionPolicyBinding"] == {"spec.validationActions[0]"}
    assert {entry["path"] for entry in changes["small-frankfurt-calls-role"]["properties"]} > {
        'inlinePolicies["evil"]'
    }
    assert paths["Deployment"] == {'spec.template.spec.containers["side"]'}
    said = [entry["message"] for entry in preview["diagnostics"] if "others changed" in entry["message"]]
    assert len(said) == len(BOUNDARIES) + 2
    assert sum("`kubectl-edit`" in line for line in said) == len(BOUNDARIES) - 1


def test_up_sets_it_back_in_place(live: Live, before: Before):
    done = live.must("up", "small", "--yes", "--approved", str(live.approved))
    assert "Set back: NetworkPolicy isthmus-restricted/default-deny in fra1 (spec.egress" in done
    assert "replaced" not in done
    assert live.bodies() == before.bodies
    assert live.documents() == before.documents
    assert live.ids() == before.ids
    gateway = live.cluster.get(f"{CONFIDENTIAL}/confidential-gateway")
    assert gateway["metadata"]["uid"] == before.uid
    assert [container["name"] for container in gateway["spec"]["template"]["spec"]["containers"]] == ["edge"]


def test_what_the_policies_allow_and_whom_the_organisation_trusts_is_left_in_peace(
    live: Live, before: Before
):
    check_what_stays(live)


def test_who_adds_it_again_is_named_and_up_does_not_succeed(live: Live, before: Before):
    stop = threading.Event()

    def open_again() -> None:
        while not stop.wait(0.2):
            if not live.cluster.get(DENY)["spec"].get("egress"):
                live.write(DENY, {"spec": {"egress": [{}]}}, "netbot")

    writer = threading.Thread(target=open_again)
    writer.start()
    try:
        done = live.isthmus("up", "small", "--yes")
    finally:
        stop.set()
        writer.join()
    assert done.returncode == 1, done.stderr[-3000:]
    assert "default-deny in fra1: spec.egress, added again by `netbot`" in done.stderr
    assert "trust.yaml" not in done.stderr, "a name opens no boundary"
