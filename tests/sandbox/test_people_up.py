"""People's roles, emergency access and an organisation's namespace, on the real API server.

Every cell of the table is asked of the cluster's own authorizer, allowed and denied. One stack; the tests run in the
order of the file.
"""

from __future__ import annotations

import datetime
import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from isthmus.blueprints import emergency_access
from isthmus.contracts.platform.model.emergency_access import SIGNATURE_NAMESPACE, Record
from isthmus.contracts.reference import roles
from isthmus.core import yaml_files
from isthmus.core.kubernetes_client import KubeClient
from tests.sandbox.projects import standing
from tests.sandbox.small_project import Small
from tests.sandbox.waiting import eventually

pytestmark = pytest.mark.sandbox

SPACE = "isthmus-confidential"
MINE = "confidential-kyc"
GROUPS: dict[str, str] = {role: f"oidc:{role}s" for role in roles.ROLES}
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
BESIDES: tuple[tuple[str, str], ...] = (
    *(("", each) for each in ("secrets", "pods/exec", "pods/attach", "pods/portforward", "pods/proxy")),
    *(("", each) for each in ("pods/ephemeralcontainers", "services/proxy", "serviceaccounts/token")),
    ("cert-manager.io", "issuers"),
    ("networking.k8s.io", "ingresses"),
)
"""What no cell of the table names, beside what it names."""
USERS = {"ann": "oidc:ann@bank.example", "bob": "oidc:bob@bank.example"}


def sign(folder: Path, user: str, text: str) -> str:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", SIGNATURE_NAMESPACE, "-f", str(folder / user)]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def write_access(stack: Small, keys: Path, since: float, until: float) -> None:
    """Hours from now; signed by both."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    values: dict[str, Any] = {
        **{"id": "inc-4711", "requester": "ann", "approver": "bob", "site": "fra1", "class": "confidential"},
        "reason": "INC-4711: the model hangs while it loads",
        "since": (now + datetime.timedelta(hours=since)).isoformat(),
        "until": (now + datetime.timedelta(hours=until)).isoformat(),
    }
    file = emergency_access.file_of(stack.stacks, "small")
    yaml_files.dump({"isthmus": "v1", "accesses": [values]}, "", file)
    shown = stack.isthmus("break-glass", "small", "inc-4711")
    assert shown.stdout == Record.model_validate(values).text("small"), shown.stderr
    values["signatures"] = {user: sign(keys, user, shown.stdout) for user in ("ann", "bob")}
    yaml_files.dump({"isthmus": "v1", "accesses": [values]}, "", file)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for user in USERS:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / user)], check=True)
    return folder


@pytest.fixture(scope="module")
def stack(site_home: Path, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    holders = [
        {"name": who, "user": user, "key": (keys / f"{who}.pub").read_text().strip()}
        for who, user in USERS.items()
    ]
    members = [
        {"name": role, "role": role, "groups": [group], "classes": ["confidential"]}
        for role, group in GROUPS.items()
    ]
    overrides = {
        "people": {"members": members, "break_glass": {"keyholders": holders}},
        "sites": [{"name": "fra1", "existing_namespaces": ["confidential"]}],
    }
    with standing(
        lambda root, home: Small(root, home, overrides), tmp_path_factory.mktemp("people"), site_home
    ) as project:
        body = {"apiVersion": "v1", "kind": "Namespace"}
        labels = {"team": "risk", "cost-center": "4711", "pod-security.kubernetes.io/enforce": "baseline"}
        project.cluster.create("/api/v1/namespaces", {**body, "metadata": {"name": SPACE, "labels": labels}})
        write_access(project, keys, -0.1, 2)
        project.up()
        yield project
    with KubeClient.from_kubeconfig(site_home / "kubeconfig", "fra1") as client:
        client.delete(f"/api/v1/namespaces/{SPACE}")
        assert (
            eventually(lambda: client.find(f"/api/v1/namespaces/{SPACE}"), lambda left: left is None) is None
        )


def may(stack: Small, group: str, api_group: str, resource: str, verb: str, **more: str) -> bool:
    """The cluster's own answer."""
    plain, _, sub = resource.partition("/")
    request = {"group": api_group, "resource": plain, "subresource": sub, "verb": verb, **more}
    user = {"user": more.pop("user", "somebody"), "groups": [group, "system:authenticated"]}
    request = {key: value for key, value in request.items() if value and key != "user"}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {**user, "resourceAttributes": request},
    }
    return stack.cluster.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=body)[
        "status"
    ]["allowed"]


def table(role: roles.RoleName, api_group: str, resource: str, verb: str, name: str) -> bool:
    """What the table says of one thing in the class's namespace, or in the cluster."""
    for thing, verbs in roles.GRANTS[role].items():
        entry = roles.THINGS[thing]
        names = {"": name, "models": MINE, "gateway": "confidential-gateway"}[entry.named]
        if verb in verbs and names == name and any(api_group == g and resource in r for g, r in entry.kinds):
            return True
    return False


@pytest.mark.parametrize("role", roles.ROLES)
def test_the_cluster_allows_every_role_what_the_table_says_and_nothing_else(
    stack: Small, role: roles.RoleName
) -> None:
    things = {
        (group, kind) for role in roles.THINGS.values() for group, kinds in role.kinds for kind in kinds
    }
    namespaced = {
        (g, k) for role in roles.THINGS.values() if not role.cluster for g, ks in role.kinds for k in ks
    }
    wrong, request = [], 0
    for (group, kind), verb in itertools.product(sorted(things | set(BESIDES)), VERBS):
        names = ("", MINE, "confidential-gateway") if verb in ("get", "patch", "update") else ("",)
        within = {"namespace": SPACE} if (group, kind) in namespaced | set(BESIDES) else {}
        for name in names:
            request += 1
            output = may(stack, GROUPS[role], group, kind, verb, name=name, **within)
            if output != table(role, group, kind, verb, name):
                wrong.append(f"{verb} {kind}.{group} {name}: the cluster says {output}")
    assert wrong == []
    assert request > 300


def test_what_the_docs_promise_by_name_is_so(stack: Small) -> None:
    def of(role: str, verb: str, kind: str, group: str = "", **more: str) -> bool:
        return may(stack, GROUPS[role], group, kind, verb, **{"namespace": SPACE, **more})

    rules = "networking.k8s.io"
    assert of("model-owner", "patch", "deployments", "apps", name=MINE)
    assert not of("model-owner", "patch", "deployments", "apps", name="confidential-gateway")
    assert not of("model-owner", "patch", "networkpolicies", rules)
    assert not of("model-owner", "patch", "deployments", "apps", name=MINE, namespace="isthmus-restricted")
    assert of("auditor", "list", "networkpolicies", rules)
    assert not of("auditor", "get", "pods/log")
    assert of("platform", "get", "pods/log")
    assert of("platform", "delete", "pods")
    assert of("application", "get", "services", name="confidential-gateway")
    assert not of("application", "list", "services")
    assert not any(of(role, "get", "secrets", name="confidential-callers") for role in GROUPS)
    assert not of("nobody", "get", "pods") if "nobody" in GROUPS else True


def as_(stack: Small, group: str, method: str, path: str, body: Any) -> httpx.Response:
    """A dry run by a member of a group, by impersonation."""
    headers = {"Impersonate-User": "kim", "Impersonate-Group": group}
    media = "application/strategic-merge-patch+json"
    return stack.cluster.request(
        method, path, body=body, content_type=media, headers=headers, params={"dryRun": "All"}
    )


def test_a_models_owner_tunes_the_engine_and_cannot_bring_in_images_volumes_or_labels(stack: Small) -> None:
    path = f"/apis/apps/v1/namespaces/{SPACE}/deployments/{MINE}"
    pod = stack.cluster.get(path)["spec"]["template"]["spec"]
    args = next(container for container in pod["containers"] if container["name"] == "vllm")["args"]

    def patched(body: Any, group: str = GROUPS["model-owner"]) -> int:
        return as_(stack, group, "PATCH", path, {"spec": body}).status_code

    def vllm(**change: Any) -> dict[str, Any]:
        return {"template": {"spec": {"containers": [{"name": "vllm", **change}]}}}

    tuned = ["--max-model-len=2048" if arg.startswith("--max-model-len=") else arg for arg in args]
    assert tuned != args
    assert patched({"replicas": 3}) == 200
    assert patched(vllm(args=tuned)) == 200
    assert patched(vllm(resources={key: {"memory": "48Gi"} for key in ("limits", "requests")})) == 200
    assert patched(vllm(args=[*tuned, "--trust-remote-code"])) == 403
    assert patched(vllm(image="registry.example/other@sha256:" + "b" * 64)) == 403
    assert patched(vllm(env=[{"name": "X", "value": "y"}])) == 403
    assert patched(vllm(command=["sh"])) == 403
    secret = {"name": "s", "secret": {"secretName": "confidential-callers"}}
    assert patched({"template": {"spec": {"volumes": [secret]}}}) == 403
    assert patched({"template": {"metadata": {"labels": {"isthmus.dev/role": "gateway"}}}}) == 403
    assert (
        patched({"template": {"spec": {"containers": [{"name": "more", "image": "registry.example/x"}]}}})
        == 403
    )
    assert patched({"replicas": 3}, GROUPS["reviewer"]) == 403
    # Not by the role's word alone: who else may change Deployments is not bound by it.
    assert (
        as_(stack, "system:masters", "PATCH", path, {"spec": vllm(args=[*args, "--seed=1"])}).status_code
        == 200
    )


def test_an_emergency_access_is_one_persons_in_one_namespace(stack: Small) -> None:
    def reach(user: str, **more: str) -> bool:
        return may(stack, "oidc:none", "", "pods/exec", "create", user=user, **{"namespace": SPACE, **more})

    assert reach(USERS["ann"])
    assert not reach(USERS["bob"])
    assert not reach(USERS["ann"], namespace="isthmus-restricted")
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{SPACE}/rolebindings/isthmus-break-glass-inc-4711"
    notes = stack.cluster.get(path)["metadata"]["annotations"]
    assert notes["isthmus.dev/break-glass-approver"] == USERS["bob"]
    out = stack.pulumi("stack", "output", "break_glass", "--json").stdout
    assert '"inc-4711"' in out
    assert USERS["bob"] in out


def binding(hours: float = 2, **change: Any) -> dict[str, Any]:
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
    notes = {"requester": "a", "approver": "b", "reason": "INC-1: it hangs", "until": until.isoformat()}
    notes |= change.pop("notes", {})
    name = "isthmus-break-glass-by-hand"
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": "0"}
    created = {
        "metadata": {
            "name": name,
            "annotations": {f"isthmus.dev/break-glass-{key}": value for key, value in notes.items()},
            "ownerReferences": [owner],
        },
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            **{"kind": "ClusterRole", "name": "isthmus-break-glass"},
        },
        "subjects": [{"kind": "User", "name": "a", "apiGroup": "rbac.authorization.k8s.io"}],
        **change,
    }
    return created


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (binding(), ""),
        (binding(notes={"approver": "a"}), "needs two people"),
        (binding(notes={"approver": ""}), "needs two people"),
        (binding(notes={"reason": "so"}), "needs its reason"),
        (binding(5), "lasts more than 4 hours"),
        (binding(-0.1), "has ended"),
        (
            binding(subjects=[{"kind": "Group", "name": "a", "apiGroup": "rbac.authorization.k8s.io"}]),
            "one person's",
        ),
        (binding(notes={"requester": "c"}), "one person's"),
        ({**binding(), "metadata": {**binding()["metadata"], "ownerReferences": []}}, "a timer that ends it"),
    ],
)
def test_the_cluster_refuses_an_emergency_access_made_by_hand_past_two_people_or_hours(
    stack: Small, body: dict[str, Any], says: str
) -> None:
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{SPACE}/rolebindings"
    answer = stack.cluster.request("POST", path, body=body, params={"dryRun": "All"})
    assert (answer.status_code == 201) == (says == ""), answer.text
    assert says in answer.text
    everywhere = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    answer = stack.cluster.request("POST", everywhere, body=body, params={"dryRun": "All"})
    assert answer.status_code == 422 or answer.status_code == 403, "never in the whole cluster"


def test_an_emergency_access_is_not_prolonged(stack: Small) -> None:
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{SPACE}/rolebindings/isthmus-break-glass-inc-4711"
    later = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=3)).isoformat()
    for meta in ({"annotations": {"isthmus.dev/break-glass-until": later}}, {"ownerReferences": None}):
        answer = stack.cluster.request(
            "PATCH", path, body={"metadata": meta}, content_type="application/merge-patch+json"
        )
        assert answer.status_code in (403, 422), answer.text


def test_when_its_time_is_over_the_cluster_itself_ends_it(stack: Small) -> None:
    """The Job's deadline is moved into the present, in place of waiting two hours."""
    job = f"/apis/batch/v1/namespaces/{SPACE}/jobs/isthmus-break-glass-inc-4711"
    assert 7000 < stack.cluster.get(job)["spec"]["activeDeadlineSeconds"] <= 7200
    patch = {"spec": {"activeDeadlineSeconds": 1}}
    stack.cluster.call("PATCH", job, body=patch, content_type="application/merge-patch+json")
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{SPACE}/rolebindings"
    left = eventually(
        lambda: [name for name in stack.cluster.names(bindings) if "break-glass" in name],
        lambda value: not value,
    )
    assert left == []
    assert stack.cluster.find(job) is None


def test_up_again_gives_it_once_more_while_it_is_in_force_and_never_after(stack: Small, keys: Path) -> None:
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{SPACE}/rolebindings"
    stack.up()
    assert "isthmus-break-glass-inc-4711" in stack.cluster.names(bindings)
    write_access(stack, keys, -3, -0.1)
    output = stack.up()
    assert "emergency access inc-4711 of ann ended at" in output
    assert "isthmus-break-glass-inc-4711" not in stack.cluster.names(bindings)


def test_an_organisations_namespace_keeps_its_labels_gets_its_rules_and_outlives_the_stack(
    stack: Small,
) -> None:
    path = f"/api/v1/namespaces/{SPACE}"
    before = stack.cluster.get(path)["metadata"]
    assert before["labels"]["team"] == "risk"
    assert before["labels"]["isthmus.dev/class"] == "confidential"
    assert before["labels"]["pod-security.kubernetes.io/enforce"] == "restricted", "baseline was not enough"
    done = stack.isthmus("destroy", "small", "--yes")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "the organisation owns the namespace" in done.stdout
    after = stack.cluster.get(path)["metadata"]
    assert (after["uid"], after["labels"]) == (before["uid"], before["labels"])
    assert "deletionTimestamp" not in after
    spaces = eventually(
        lambda: {name for name in stack.cluster.names("/api/v1/namespaces") if name.startswith("isthmus-")},
        lambda value: value == {SPACE},
    )
    assert spaces == {SPACE}
    inside = stack.cluster.names(f"/apis/networking.k8s.io/v1/namespaces/{SPACE}/networkpolicies")
    assert not inside
