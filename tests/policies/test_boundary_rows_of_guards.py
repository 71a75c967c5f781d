"""Ways around the boundary that guards close: arguments of vLLM, missing guards, permissions, certificates."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from isthmus.blueprints.emergency_access import file_of
from isthmus.contracts.platform.model.reviews import Reviewer
from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.trust import Trust
from isthmus.core import yaml_files
from isthmus.engine.render import rendering
from isthmus.graph.resources.resources import Graph
from policies.evaluation.evaluation import judge
from policies.inputs.pods import pods
from tests.blueprints.bank import remove_pages
from tests.engine.test_layers_whole import emergency
from tests.estate import bank_estate, change_overrides
from tests.policies.cases_cluster import BOX, deployment
from tests.policies.cases_inside import namespace_of_class
from tests.policies.making import findings_of, resource_of

FLAGS = "workload/engine-keeps-data"


def trusting(kind: str, value: str, days: int | None = None) -> Settings:
    """Settings whose trust file names one value, for so many days from today."""
    entry: dict[str, Any] = {"value": value, "reason": "checked", "owner": "security@bank.example"}
    if days is not None:
        entry["expires"] = datetime.now(UTC).date() + timedelta(days=days)
    return Settings(trust=Trust.model_validate({kind: [entry]}))


def engine(*args: str, command: list[str] | None = None, env: list[Any] | None = None) -> Any:
    box = {**BOX, "name": "vllm", "command": command or ["vllm", "serve"], "args": list(args)}
    return deployment({**box, "env": env or []}, "model")


def verdicts(sensitivity: str, workload: Any, settings: Settings | None = None) -> list[str]:
    graph = (workload, namespace_of_class(sensitivity))
    return [finding.verdict for finding in findings_of(FLAGS, *graph, settings=settings)]


@pytest.mark.parametrize("sensitivity", ["confidential", "restricted"])
@pytest.mark.parametrize(
    "workload",
    [
        engine("/models", "--kv-transfer-config", "{}"),
        engine("/models", "--log_level", "debug"),
        engine(command=["sh", "-c", "exec vllm serve /models --log-level=debug"]),
        engine("$(MORE)", env=[{"name": "MORE", "value": "--otlp-traces-endpoint=http://10.9.9.9"}]),
        engine("--middleware=x.y", command=["python3", "-m", "vllm.entrypoints.openai.api_server"]),
    ],
)
def test_an_own_pod_with_a_leaking_argument_is_refused_and_no_trust_allows_it(
    sensitivity: str, workload: Any
):
    assert verdicts(sensitivity, workload) == ["violated"]
    for flag in ("--kv-transfer-config", "--log-level"):
        assert verdicts(sensitivity, workload, trusting("engine_flags", flag)) == ["violated"]
    assert verdicts("public", workload) == []


@pytest.mark.parametrize(
    "workload",
    [
        engine("/models", "--profiler-config", "{}"),
        engine("/models", "--a-flag-of-tomorrow"),
        engine("/models", "$(MORE)"),
        engine(command=["sh", "-c", "vllm serve /models $MORE"]),
    ],
)
@pytest.mark.parametrize("sensitivity", ["internal", "confidential", "restricted"])
def test_an_argument_that_nobody_knows_is_undecided(sensitivity: str, workload: Any):
    assert verdicts(sensitivity, workload) == ["undecided"]


def test_the_trust_file_decides_about_unknown_arguments_until_its_entry_ends():
    workload = engine("/models", "--profiler_config={}")
    assert verdicts("restricted", workload, trusting("engine_flags", "--profiler-config", days=1)) == []
    assert verdicts("restricted", workload, trusting("engine_flags", "--profiler-config", days=-1)) == [
        "undecided"
    ]
    leaking = engine("/models", "--kv-transfer-config={}")
    assert verdicts("internal", leaking) == ["undecided"]
    assert verdicts("internal", leaking, trusting("engine_flags", "--kv-transfer-config")) == []


def test_a_program_beside_vllm_is_not_judged_by_vllms_arguments():
    assert verdicts("restricted", engine("--config=x", command=["collector"])) == []


def test_variables_of_a_sagemaker_model_are_arguments_too():
    for variables, expected in (
        ({"SM_VLLM_MODEL": "/opt/ml/model", "SM_VLLM_MAX_NUM_SEQS": "8", "HF_HUB_OFFLINE": "1"}, []),
        ({"SM_VLLM_KV_TRANSFER_CONFIG": "{}"}, ["violated"]),
        ({"SM_VLLM_LOG_LEVEL": "debug"}, ["violated"]),
    ):
        inputs = {
            "tags": {"isthmus.dev/class": "confidential"},
            "primaryContainer": {"environment": variables},
        }
        model = resource_of("aws:sagemaker/model:Model", "m", inputs)
        assert [finding.verdict for finding in findings_of(FLAGS, model)] == expected


ADMISSION = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
GUARDS = ("workload/admission-complete", "network/class-default-deny", "identity/class-roles-bounded")


def guard_findings(resources: list[Any], platform: Any) -> list[Any]:
    return [finding for finding in judge(resources, platform) if finding.policy in GUARDS]


def test_the_banks_stack_has_all_guards(rendered: Any, platform: Any):
    assert guard_findings(list(rendered.resources), platform) == []


def _of_kind(resource: Any, *kinds: str) -> bool:
    return resource.type.rsplit(":", 1)[-1] in kinds


def _edited(resources: list[Any], match: Any, edit: Any) -> list[Any]:
    """The resources, with a change to the inputs of those that match."""
    result = []
    for resource in resources:
        if match(resource):
            inputs = copy.deepcopy(resource.inputs)
            edit(inputs)
            resource = replace(resource, inputs=inputs)
        result.append(resource)
    return result


def _named(name: str, *kinds: str) -> Any:
    return lambda resource: (
        _of_kind(resource, *kinds) and resource.inputs.get("metadata", {}).get("name") == name
    )


def _in_namespace(namespace: str) -> Any:
    return lambda resource: (
        _of_kind(resource, "NetworkPolicy")
        and resource.inputs["metadata"].get("namespace") == namespace
        and resource.inputs["metadata"].get("name") == "default-deny"
    )


REMOVED = [
    (lambda resource: _of_kind(resource, *ADMISSION), "workload/admission-complete"),
    (_named("isthmus-restricted-pods", *ADMISSION), "workload/admission-complete"),
    (_named("isthmus-class-labels", "ValidatingAdmissionPolicyBinding"), "workload/admission-complete"),
    (_in_namespace("isthmus-restricted"), "network/class-default-deny"),
    (_in_namespace("isthmus-confidential-sealer"), "network/class-default-deny"),
]


@pytest.mark.parametrize(("match", "rule"), REMOVED)
def test_a_guard_that_is_removed_is_critical(match: Any, rule: str, rendered: Any, platform: Any):
    findings = guard_findings([r for r in rendered.resources if not match(r)], platform)
    assert {(f.policy, f.severity, f.verdict) for f in findings} == {(rule, "critical", "violated")}


def _first_rule(inputs: dict[str, Any]) -> dict[str, Any]:
    return inputs["spec"]["matchConstraints"]["resourceRules"][0]


POLICY, BINDING = ADMISSION
WEAKENED = [
    (_named("isthmus-restricted-pods", BINDING), lambda i: i["spec"].update(validationActions=["Audit"])),
    (_named("isthmus-restricted-pods", BINDING), lambda i: i["spec"].update(validationActions=["Warn"])),
    (
        _named("isthmus-restricted-pods", BINDING),
        lambda i: i["spec"].update(matchResources={"namespaceSelector": {"matchLabels": {"a": "b"}}}),
    ),
    (_named("isthmus-restricted-pods", POLICY), lambda i: i["spec"].update(failurePolicy="Ignore")),
    (
        _named("isthmus-restricted-pods", POLICY),
        lambda i: i["spec"].update(matchConditions=[{"name": "none", "expression": "false"}]),
    ),
    (_named("isthmus-restricted-pods", POLICY), lambda i: _first_rule(i).update(resources=["pods"])),
    (_named("isthmus-restricted-pods", POLICY), lambda i: _first_rule(i).update(operations=["CREATE"])),
    (
        _named("isthmus-class-shells", POLICY),
        lambda i: i["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"][0].update(
            values=["isthmus-confidential"]
        ),
    ),
    (
        _named("isthmus-restricted-pods", POLICY),
        lambda i: i["spec"]["validations"][0].update(expression="true"),
    ),
    (_named("isthmus-restricted-pods", POLICY), lambda i: i["spec"]["validations"].pop()),
    (
        _named("isthmus-restricted-pods", POLICY),
        lambda i: next(v for v in i["spec"]["variables"] if v["name"] == "registries").update(
            expression='["docker.io/"]'
        ),
    ),
    (_in_namespace("isthmus-restricted"), lambda i: i["spec"].update(egress=[{}])),
    (_in_namespace("isthmus-restricted"), lambda i: i["spec"].update(policyTypes=["Ingress"])),
    (
        _in_namespace("isthmus-restricted"),
        lambda i: i["spec"].update(podSelector={"matchLabels": {"a": "b"}}),
    ),
]


@pytest.mark.parametrize(("match", "weaken"), WEAKENED)
def test_a_guard_that_is_weakened_is_critical(match: Any, weaken: Any, rendered: Any, platform: Any):
    findings = guard_findings(_edited(list(rendered.resources), match, weaken), platform)
    assert {(f.severity, f.verdict) for f in findings} == {("critical", "violated")}


def test_a_patch_of_a_guard_is_critical(rendered: Any, platform: Any):
    policy = next(r for r in rendered.resources if _named("isthmus-restricted-pods", BINDING)(r))
    patch = replace(policy, type=f"{policy.type}Patch", urn=f"{policy.urn}-patch", name="patch")
    assert [f.verdict for f in guard_findings([*rendered.resources, patch], platform)] == ["violated"]


@pytest.mark.parametrize(
    "boundary", [None, "arn:aws:iam::aws:policy/AdministratorAccess", "arn:aws:iam::111122223333:policy/wide"]
)
def test_a_class_role_without_the_platforms_boundary_is_critical(
    boundary: str | None, rendered: Any, platform: Any
):
    def match(resource: Any) -> bool:
        return resource.name == "bank-internal-frankfurt-identity-role"

    resources = _edited(
        list(rendered.resources), match, lambda inputs: inputs.update(permissionsBoundary=boundary)
    )
    findings = guard_findings(resources, platform)
    assert {(f.policy, f.severity) for f in findings} == {("identity/class-roles-bounded", "critical")}


def test_an_organisations_own_boundary_that_the_platform_states_is_enough(rendered: Any, platform: Any):
    arn = "arn:aws:iam::111122223333:policy/llm"
    sites = [
        site.model_copy(update={"permissions_boundary": arn if site.kind == "aws" else None})
        for site in platform.sites
    ]
    resources = _edited(
        list(rendered.resources),
        lambda resource: resource.name == "bank-internal-frankfurt-identity-role",
        lambda inputs: inputs.update(permissionsBoundary=arn),
    )
    assert guard_findings(resources, platform.model_copy(update={"sites": sites})) == []


def test_guards_are_demanded_of_each_cluster(rendered: Any, platform: Any):
    def moved(resource: Any) -> Any:
        provider = str(resource.provider or "").replace("::fra1", "::fra2")
        return replace(resource, urn=f"{resource.urn}-2", name=f"{resource.name}-2", provider=provider)

    second = [
        moved(r)
        for r in rendered.resources
        if _of_kind(r, "Namespace") or _in_namespace("isthmus-restricted")(r)
    ]
    findings = guard_findings([*rendered.resources, *second], platform)
    assert {f.policy for f in findings} == {"workload/admission-complete", "network/class-default-deny"}
    assert all("fra2" in f.message for f in findings)


def test_a_program_without_a_platform_needs_no_guards(rendered: Any):
    resources = [r for r in rendered.resources if not _of_kind(r, *ADMISSION)]
    assert guard_findings(resources, None) == []


def test_the_models_layer_needs_no_guards_of_its_own(rendered: Any, platform: Any):
    models = [pod.resource for pod in pods(Graph(rendered.resources)) if pod.role == "model"]
    assert models
    assert guard_findings(models, platform) == []


RBAC = "kubernetes:rbac.authorization.k8s.io/v1"
PERMISSIONS = "identity/class-permissions"
PEOPLE = "Group:oidc:team"


def rbac(kind: str, name: str, namespace: str = "", **inputs: Any) -> Any:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return resource_of(f"{RBAC}:{kind}", f"{namespace}{name}{kind}", {"metadata": metadata, **inputs})


def rules(resource: str, *verbs: str, **more: Any) -> list[dict[str, Any]]:
    return [{"apiGroups": [""], "resources": [resource], "verbs": list(verbs), **more}]


def binding(role: str, subject: str = PEOPLE, namespace: str = "isthmus-restricted", kind: str = "") -> Any:
    subject_kind, _, name = subject.partition(":")
    home = {"namespace": name.partition("/")[0]} if subject_kind == "ServiceAccount" else {}
    return rbac(
        "RoleBinding" if namespace else "ClusterRoleBinding",
        f"binds-{role}",
        namespace,
        roleRef={"kind": kind or "ClusterRole", "name": role},
        subjects=[{"kind": subject_kind, "name": name.rpartition("/")[2], **home}],
    )


SPACES = [namespace_of_class(c, f"isthmus-{c}") for c in ("internal", "restricted")]


def permissions(*resources: Any, settings: Settings | None = None) -> list[str]:
    return [f.verdict for f in findings_of(PERMISSIONS, *SPACES, *resources, settings=settings)]


@pytest.mark.parametrize("namespace", ["isthmus-restricted", ""])
@pytest.mark.parametrize("role", ["admin", "edit"])
def test_kubernetes_own_wide_roles_reach_no_class_namespace(role: str, namespace: str):
    assert permissions(binding(role, namespace=namespace)) == ["violated"]
    assert permissions(binding(role, namespace=namespace), settings=trusting("roles", role)) == []
    whom = trusting("principals", "oidc:team")
    assert permissions(binding(role, namespace=namespace), settings=whom) == ["violated"]


def test_a_trusted_principal_gets_no_role_in_a_class_that_the_stack_does_not_show():
    whom = trusting("principals", "oidc:team")
    assert permissions(binding("unseen"), settings=whom) == ["undecided"]
    assert permissions(binding("unseen"), settings=trusting("roles", "unseen")) == []
    harmless = rbac("ClusterRole", "seer", rules=rules("pods", "get"))
    assert permissions(harmless, binding("seer"), settings=whom) == []


@pytest.mark.parametrize(
    "granted",
    [
        rules("pods", "create"),
        rules("deployments", "patch"),
        rules("jobs", "create"),
        rules("networkpolicies", "delete"),
        rules("validatingadmissionpolicybindings", "update"),
        rules("secrets", "get", resourceNames=["restricted-gateway-tls"]),
        rules("nodes/proxy", "get"),
        rules("pods/exec", "create"),
        rules("pods/portforward", "get"),
        rules("serviceaccounts", "impersonate"),
        rules("clusterroles", "escalate"),
        rules("roles", "bind"),
        rules("rolebindings", "create"),
        rules("configmaps", "update"),
        rules("*", "get"),
        rules("pods", "*"),
    ],
    ids=str,
)
def test_a_role_with_power_over_a_class_is_critical_wherever_it_is_bound(granted: list[Any]):
    in_namespace = rbac("Role", "strong", "isthmus-restricted", rules=granted)
    cluster_wide = rbac("ClusterRole", "strong", rules=granted)
    assert permissions(in_namespace) == ["violated"]
    assert permissions(cluster_wide) == ["undecided"], "a binding outside the stack may name it"
    assert permissions(cluster_wide, settings=trusting("roles", "strong")) == []
    for namespace in ("isthmus-restricted", ""):
        assert permissions(cluster_wide, binding("strong", namespace=namespace)) == ["violated"]
        whom = trusting("principals", "oidc:team")
        bound = binding("strong", namespace=namespace)
        assert permissions(cluster_wide, bound, settings=whom) == ["violated"], "a role needs its own entry"
        assert permissions(cluster_wide, bound, settings=trusting("roles", "strong")) == []
    assert permissions(in_namespace, settings=trusting("roles", "strong")) == []


def test_permissions_elsewhere_and_harmless_ones_are_nobodys_concern():
    strong = rules("pods", "create")
    assert (
        permissions(
            rbac("Role", "strong", "apps", rules=strong), binding("strong", namespace="apps", kind="Role")
        )
        == []
    )
    for granted in (
        rules("pods", "get", "list", "delete"),
        rules("deployments/scale", "patch"),
        rules("configmaps", "watch"),
        rules("leases", "create", "update"),
    ):
        assert permissions(rbac("ClusterRole", "seer", rules=granted), binding("seer", namespace="")) == []
    assert permissions(binding("view")) == []


def test_a_role_that_the_stack_does_not_show_is_undecided():
    assert permissions(binding("operators-role")) == ["undecided"]
    assert permissions(binding("operators-role"), settings=trusting("roles", "operators-role")) == []


def test_a_cluster_role_that_extends_kubernetes_own_roles_is_judged_without_a_binding():
    role = rbac("ClusterRole", "more", rules=rules("secrets", "get"))
    role.inputs["metadata"]["labels"] = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    assert permissions(role) == ["violated"]


@pytest.mark.parametrize(
    "name", ["view", "edit", "system:basic-user", "system:discovery", "system:controller:job-controller"]
)
def test_a_program_that_writes_a_role_of_kubernetes_itself_is_critical(name: str):
    strong = rbac("ClusterRole", name, rules=rules("deployments", "create"))
    assert permissions(strong) == ["violated"], "bindings outside the stack bind it"
    assert permissions(rbac("ClusterRole", name, rules=[], aggregationRule={"clusterRoleSelectors": [{}]}))
    assert permissions(rbac("ClusterRolePatch", name, rules=[])) == ["violated"]
    assert permissions(strong, settings=trusting("roles", name)) == ["violated"]


def test_system_roles_that_are_not_kubernetes_own_are_judged_by_content_without_a_binding():
    assert permissions(rbac("ClusterRole", "system:tool", rules=rules("pods", "create"))) == ["violated"]
    assert permissions(rbac("ClusterRole", "system:tool", rules=rules("nodes/metrics", "get"))) == []
    assert permissions(rbac("ClusterRole", "tool", rules=rules("pods", "create"))) == ["undecided"]
    assert permissions(rbac("ClusterRole", "tool", rules=rules("pods", "get"))) == []


def test_a_role_that_flows_into_another_by_its_labels_is_judged():
    strong = rbac("ClusterRole", "more", rules=rules("secrets", "get"))
    strong.inputs["metadata"]["labels"] = {"team": "ops"}
    selector = {"clusterRoleSelectors": [{"matchLabels": {"team": "ops"}}]}
    assert permissions(strong) == ["undecided"], "a binding outside the stack may name it"
    verdicts = permissions(strong, rbac("ClusterRole", "all", aggregationRule=selector))
    assert sorted(verdicts) == ["undecided", "violated"], "of the whole, and of its part"
    strong.inputs["metadata"]["labels"] = {"bank.example/aggregate-to-ops": "true"}
    assert permissions(strong) == ["violated"]


def test_two_definitions_of_a_bound_role_are_both_judged():
    harmless = rbac("ClusterRole", "seer", rules=rules("pods", "get"))
    strong = replace(rbac("ClusterRole", "seer", rules=rules("pods", "create")), urn="urn:2", name="second")
    assert permissions(harmless, strong, binding("seer")) == ["violated"]


NEIGHBOURS = ["kube-system", "kube-flannel", "cert-manager", "monitoring", "reviewers", "gpu-operator"]


def neighbour_verdicts(platform: Any, *resources: Any, settings: Settings | None = None) -> list[str]:
    found = findings_of(PERMISSIONS, *SPACES, *resources, platform=platform, settings=settings)
    return [finding.verdict for finding in found]


@pytest.mark.parametrize("namespace", NEIGHBOURS)
def test_power_in_a_namespace_beside_the_classes_is_critical(namespace: str, platform: Any):
    for role in ("admin", "edit"):
        assert neighbour_verdicts(platform, binding(role, namespace=namespace)) == ["violated"]
    assert neighbour_verdicts(platform, binding("view", namespace=namespace)) == []
    writer = rbac("Role", "writer", namespace, rules=rules("secrets", "patch"))
    held = binding("writer", namespace=namespace, kind="Role")
    assert neighbour_verdicts(platform, writer, held) == ["violated"]
    assert neighbour_verdicts(platform, writer, held, settings=trusting("roles", "writer")) == []
    assert neighbour_verdicts(platform, writer, held, settings=trusting("principals", "oidc:team")) == []
    seer = rbac("Role", "seer", namespace, rules=rules("leases", "get", "update"))
    assert neighbour_verdicts(platform, seer, binding("seer", namespace=namespace, kind="Role")) == []


@pytest.mark.parametrize("namespace", ["team", "apps"])
def test_power_in_a_teams_namespace_is_its_own(namespace: str, platform: Any):
    assert neighbour_verdicts(platform, binding("admin", namespace=namespace)) == []


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_patch_of_permissions_beside_the_classes_is_critical(version: str, platform: Any):
    def patch(kind: str, namespace: str, **inputs: Any) -> Any:
        metadata = {"name": "x", "namespace": namespace}
        type_ = f"kubernetes:rbac.authorization.k8s.io/{version}:{kind}"
        return resource_of(type_, "patch", {"metadata": metadata, **inputs})

    eve = [{"kind": "User", "name": "eve"}]
    for namespace in NEIGHBOURS:
        assert neighbour_verdicts(platform, patch("RoleBindingPatch", namespace, subjects=eve)) == [
            "violated"
        ]
        assert neighbour_verdicts(platform, patch("RolePatch", namespace, rules=rules("secrets", "get"))) == [
            "violated"
        ]
    whole = patch("ClusterRoleBindingPatch", "", subjects=eve)
    assert neighbour_verdicts(platform, whole) == ["violated"]
    whom = trusting("principals", "oidc:*")
    assert neighbour_verdicts(platform, whole, settings=whom) == ["violated"]
    assert neighbour_verdicts(platform, patch("RoleBindingPatch", "team", subjects=eve)) == []
    everybody = [{"kind": "Group", "name": "system:authenticated"}]
    opened = patch("ClusterRoleBindingPatch", "", subjects=everybody)
    assert findings_of("identity/no-role-for-everybody", opened, platform=platform)
    old = patch("RoleBinding", "kube-system", roleRef={"name": "admin"}, subjects=eve)
    assert neighbour_verdicts(platform, old) == ["violated"]


@pytest.mark.parametrize(
    "granted",
    [
        rules("services/status", "patch"),
        rules("pods/status", "update"),
        rules("endpoints/status", "patch"),
        rules("certificaterequests/status", "patch"),
        rules("nodes/status", "patch"),
        rules("nodes/log", "get"),
        rules("nodes/checkpoint", "get"),
        rules("nodes/configz", "get"),
        rules("virtualmachineinstances/console", "get"),
        rules("virtualmachineinstances/vnc", "get"),
        rules("virtualmachines/portforward", "get"),
        rules("namespaces/finalizers", "update"),
        [{"nonResourceURLs": ["/debug/*"], "verbs": ["get"]}],
        [{"nonResourceURLs": ["/logs/*", "/version"], "verbs": ["get"]}],
        [{"nonResourceURLs": ["*"], "verbs": ["get"]}],
    ],
    ids=str,
)
def test_a_subresource_that_is_not_known_to_be_harmless_is_power(granted: list[Any]):
    assert permissions(rbac("ClusterRole", "odd", rules=granted), binding("odd", namespace="")) == [
        "violated"
    ]


@pytest.mark.parametrize(
    "granted",
    [
        rules("services/status", "get"),
        rules("pods/log", "get"),
        rules("nodes/metrics", "get"),
        rules("deployments/scale", "get", "patch"),
        [{"nonResourceURLs": ["/version", "/healthz/*", "/openapi/v3", "/livez"], "verbs": ["get"]}],
    ],
    ids=str,
)
def test_a_subresource_that_only_shows_or_scales_is_harmless(granted: list[Any]):
    assert permissions(rbac("ClusterRole", "seer", rules=granted), binding("seer", namespace="")) == []


@pytest.mark.parametrize(
    "principal",
    [
        "Group:system:serviceaccounts:isthmus-internal",
        "Group:system:serviceaccounts:isthmus-public",
        "ServiceAccount:isthmus-internal/internal-gateway",
        "User:system:serviceaccount:isthmus-internal:internal-gateway",
    ],
)
def test_service_accounts_of_another_class_get_no_permissions(principal: str):
    seer = rbac("ClusterRole", "seer", rules=rules("pods", "get"))
    assert permissions(seer, binding("seer", principal)) == ["violated"]
    assert permissions(seer, binding("seer", principal, namespace="")) == ["violated"]


PEOPLE_RULES = {
    *("identity/no-rise-in-cluster", "identity/secrets-unread", "identity/no-wildcard-resource"),
    *("data-path/own-resolvers", "data-path/stated-workloads", *GUARDS, PERMISSIONS),
}


@pytest.fixture(scope="module")
def peopled(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], Any]:
    """The bank's platform layer with people of every kind and an emergency access in force."""
    folder = tmp_path_factory.mktemp("people")
    people, accesses = emergency(folder)
    people["saml_provider"] = "arn:aws:iam::123456789012:saml-provider/Bank"
    project = bank_estate(folder / "estate")

    def of_these_people(data: dict[str, Any]) -> None:
        data["people"] = people
        remove_pages(data["gateways"])  # the people here chat with nobody, and decide at no desk

    change_overrides(project, of_these_people)
    yaml_files.dump(accesses, "", file_of(project.stacks_dir, "bank"))
    stack = project.stack("bank-platform")
    return list(rendering.render(stack).resources), stack.platform()


def people_findings(resources: list[Any], platform: Any) -> set[str]:
    return {finding.policy for finding in judge(resources, platform)} & PEOPLE_RULES


def test_people_and_an_emergency_access_keep_the_rules(peopled: tuple[list[Any], Any]):
    resources, platform = peopled
    kinds = {resource.type.rsplit(":", 1)[-1] for resource in resources}
    assert {"ClusterRoleBinding", "RoleBinding", "Job"} <= kinds
    assert people_findings(resources, platform) == set()


def _resource(name: str) -> Any:
    return lambda resource: resource.name == name


EXACT = [
    (
        _resource("bank-fra1-break-glass-role"),
        lambda i: i["rules"].append(*rules("networkpolicies", "delete")),
        {"identity/no-rise-in-cluster", "identity/secrets-unread", PERMISSIONS},
    ),
    (
        _resource("bank-fra1-break-glass-policy-binding"),
        lambda i: i["spec"].update(validationActions=["Audit"]),
        {"identity/no-rise-in-cluster", "identity/secrets-unread", PERMISSIONS, GUARDS[0]},
    ),
    (
        _resource("bank-fra1-break-glass-inc-1-timer"),
        lambda i: i["spec"].update(parallelism=1),
        {"data-path/own-resolvers", "data-path/stated-workloads"},
    ),
    (
        _resource("bank-fra1-break-glass-inc-1"),
        lambda i: i["subjects"].append({"kind": "User", "name": "oidc:eve@bank.example"}),
        {PERMISSIONS},
    ),
    (
        _resource("bank-fra1-people-platform-binding"),
        lambda i: i["subjects"].append({"kind": "Group", "name": "oidc:everyone"}),
        {PERMISSIONS},
    ),
    (
        _resource("bank-fra1-people-confidential-platform"),
        lambda i: i["rules"].append(*rules("pods", "create")),
        {PERMISSIONS},
    ),
    (
        _resource("bank-frankfurt-people-auditor-policy"),
        lambda i: i.update(policy=i["policy"].replace("bedrock:GetGuardrail", "bedrock:UpdateGuardrail")),
        {"identity/no-wildcard-resource"},
    ),
]


@pytest.mark.parametrize(("match", "edit", "expected"), EXACT)
def test_the_rules_know_people_by_their_exact_permissions(
    match: Any, edit: Any, expected: set[str], peopled: tuple[list[Any], Any]
):
    resources, platform = peopled
    assert any(map(match, resources))
    assert people_findings(_edited(resources, match, edit), platform) == expected


def kube_object(kind: str, name: str, namespace: str = "", **inputs: Any) -> Any:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **inputs.pop("metadata", {})}
    return resource_of(f"kubernetes:{kind}", f"{namespace}{name}", {"metadata": metadata, **inputs})


@pytest.mark.parametrize("type_", ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"])
@pytest.mark.parametrize("namespace", ["isthmus-restricted", "kube-system", "cert-manager", "monitoring"])
def test_a_secret_that_asks_for_a_token_is_critical(type_: str, namespace: str, platform: Any):
    secret = kube_object("core/v1:Secret", "token", namespace, type=type_)
    assert neighbour_verdicts(platform, secret) == ["violated"]
    unknown = kube_object("core/v1:Secret", "token", namespace, type="${other.type}")
    assert neighbour_verdicts(platform, unknown) == ["undecided"]
    assert neighbour_verdicts(platform, kube_object("core/v1:Secret", "token", "team", type=type_)) == []


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("isthmus-restricted", "restricted-callers"),
        ("isthmus-restricted", "restricted-audit"),
        ("isthmus-restricted-reviews", "restricted-reviews"),
        ("isthmus-restricted-sealer", "restricted-sealer"),
        ("cert-manager", "bank-internal-ca"),
    ],
)
def test_a_program_overwrites_no_secret_that_the_platform_names(namespace: str, name: str, platform: Any):
    assert neighbour_verdicts(platform, kube_object("core/v1:Secret", name, namespace)) == ["violated"]
    assert neighbour_verdicts(platform, kube_object("core/v1:Secret", "of-a-tool", namespace)) == []
    assert neighbour_verdicts(platform, kube_object("core/v1:Secret", name, "team")) == []


def test_a_program_overwrites_no_secret_that_a_pod_of_the_class_mounts(rendered: Any, platform: Any):
    for name, count in (("restricted-gateway-tls", 1), ("of-a-tool", 0)):
        secret = kube_object("core/v1:Secret", name, "isthmus-restricted")
        found = [f for f in judge([*rendered.resources, secret], platform) if f.policy == PERMISSIONS]
        assert [f.verdict for f in found] == ["violated"] * count


def test_a_patch_of_a_secret_beside_the_classes_and_a_new_authority_are_critical(platform: Any):
    patch = kube_object("core/v1:SecretPatch", "ca", "cert-manager", stringData={"tls.key": "x"})
    assert neighbour_verdicts(platform, patch) == ["violated"]
    authority = kube_object("core/v1:Secret", "ca", "cert-manager", type="kubernetes.io/tls")
    assert neighbour_verdicts(platform, authority) == ["violated"]


def pod_beside(namespace: str, **pod: Any) -> Any:
    workload = deployment(BOX, "tool", pod={"serviceAccountName": "default", **pod})
    workload.inputs["metadata"]["namespace"] = namespace
    return workload


@pytest.mark.parametrize("namespace", NEIGHBOURS)
def test_a_pod_beside_the_classes_that_runs_as_another_is_undecided(namespace: str, platform: Any):
    principal = f"system:serviceaccount:{namespace}:controller"
    pod = pod_beside(namespace, serviceAccountName="controller")
    assert neighbour_verdicts(platform, pod) == ["undecided"]
    assert neighbour_verdicts(platform, pod, settings=trusting("principals", principal)) == []
    account = kube_object("core/v1:ServiceAccount", "controller", namespace)
    assert neighbour_verdicts(platform, pod, account) == []
    held = binding("view", f"ServiceAccount:{namespace}/controller", namespace=namespace)
    assert neighbour_verdicts(platform, pod, account, held) == ["undecided"]
    assert neighbour_verdicts(platform, pod_beside(namespace)) == []


def test_a_pod_anywhere_that_runs_as_an_account_of_others_is_undecided(platform: Any):
    pod = pod_beside("team", serviceAccountName="controller")
    assert neighbour_verdicts(platform, pod) == ["undecided"]
    account = kube_object("core/v1:ServiceAccount", "controller", "team")
    assert neighbour_verdicts(platform, pod, account) == []
    assert neighbour_verdicts(platform, pod_beside("team")) == []


@pytest.mark.parametrize(
    "pod",
    [
        {"volumes": [{"name": "s", "secret": {"secretName": "ca"}}]},
        {"volumes": [{"name": "s", "projected": {"sources": [{"secret": {"name": "ca"}}]}}]},
        {"initContainers": [{"name": "i", "image": "x", "envFrom": [{"secretRef": {"name": "ca"}}]}]},
    ],
    ids=str,
)
def test_a_pod_beside_the_classes_that_mounts_a_foreign_secret_is_undecided(pod: Any, platform: Any):
    assert neighbour_verdicts(platform, pod_beside("cert-manager", **pod)) == ["undecided"]
    own = kube_object("core/v1:Secret", "ca", "monitoring")
    assert neighbour_verdicts(platform, pod_beside("monitoring", **pod), own) == []


@pytest.mark.parametrize("kind", ["Namespace", "NamespacePatch"])
def test_a_namespace_that_a_program_labels_as_a_class_is_critical(kind: str, platform: Any):
    def labelled(name: str, class_: str) -> Any:
        return kube_object(f"core/v1:{kind}", name, metadata={"labels": {"isthmus.dev/class": class_}})

    assert neighbour_verdicts(platform, labelled("evil", "restricted")) == ["violated"]
    assert neighbour_verdicts(platform, labelled("evil", "public")) == []
    assert neighbour_verdicts(platform, labelled("isthmus-restricted", "restricted")) == []
    assert neighbour_verdicts(platform, labelled("isthmus-restricted-tools", "restricted")) == ["violated"]
    trusted = trusting("namespaces", "evil")
    assert neighbour_verdicts(platform, labelled("evil", "restricted"), settings=trusted) == []


@pytest.mark.parametrize("kind", ["Namespace", "NamespacePatch"])
def test_an_unknown_annotation_of_a_classs_namespace_is_undecided(kind: str, platform: Any):
    def noted(name: str, key: str) -> Any:
        return kube_object(f"core/v1:{kind}", name, metadata={"annotations": {key: "x"}})

    gateway = "k8s.ovn.org/hybrid-overlay-external-gw"
    assert neighbour_verdicts(platform, noted("isthmus-restricted", gateway)) == ["undecided"]
    assert neighbour_verdicts(platform, noted("isthmus-restricted", "pulumi.com/patchForce")) == []
    assert neighbour_verdicts(platform, noted("team", gateway)) == []


NAMES = "encryption/class-names-stay"
GATEWAY = "restricted-gateway.isthmus-restricted.svc"


def certificate(namespace: str, **spec: Any) -> Any:
    inputs = {
        "metadata": {"name": "tls", "namespace": namespace},
        "spec": {"issuerRef": {"name": "ca"}, **spec},
    }
    return resource_of("kubernetes:cert-manager.io/v1:Certificate", f"{namespace}-tls", inputs)


def names(*resources: Any) -> list[str]:
    return [finding.verdict for finding in findings_of(NAMES, *SPACES, *resources)]


@pytest.mark.parametrize("namespace", ["isthmus-internal", "isthmus-public", "apps"])
@pytest.mark.parametrize(
    "spec",
    [
        {"dnsNames": ["other.apps.svc", GATEWAY]},
        {"dnsNames": [f"{GATEWAY}."]},
        {"dnsNames": ["Restricted-Gateway.ISTHMUS-restricted.SVC"]},
        {"dnsNames": [f"{GATEWAY}.cluster.local"]},
        {"dnsNames": ["restricted-gateway.isthmus-restricted"]},
        {"dnsNames": ["*.isthmus-restricted.svc"]},
        {"dnsNames": ["*.*.svc.cluster.local"]},
        {"commonName": "any-model.isthmus-restricted.svc"},
        {"literalSubject": f"O=Bank,CN={GATEWAY}"},
        {"dnsNames": ["keys.isthmus-restricted-sealer.svc"]},
    ],
    ids=str,
)
def test_nobody_outside_a_class_asks_for_a_certificate_of_its_names(namespace: str, spec: dict[str, Any]):
    assert names(certificate(namespace, **spec)) == ["violated"]
    assert names(certificate("isthmus-restricted", **spec)) == [] or "*.*" in str(spec)


@pytest.mark.parametrize(
    "name",
    [
        "isthmus-restricted.example",
        "a.isthmus-restricted.svc.bank.example",
        "*.svc",
        "x-isthmus-restricted.svc",
    ],
)
def test_names_that_only_resemble_a_class_name_are_free(name: str):
    assert names(certificate("apps", dnsNames=[name])) == []


def test_names_under_a_clusters_own_domain_are_the_classs(platform: Any):
    name = f"{GATEWAY}.k8s.bank.example"
    assert names_with(platform, certificate("apps", dnsNames=[name])) == []
    site, *others = platform.sites
    dns = site.cluster_dns.model_copy(update={"domain": "k8s.bank.example"})
    sites = [site.model_copy(update={"cluster_dns": dns}), *others]
    with_domain = platform.model_copy(update={"sites": sites})
    assert names_with(with_domain, certificate("apps", dnsNames=[name])) == ["violated"]
    assert names_with(with_domain, certificate("apps", dnsNames=[f"{GATEWAY}.cluster.local"])) == ["violated"]


def names_with(platform: Any, *resources: Any) -> list[str]:
    return [finding.verdict for finding in findings_of(NAMES, *SPACES, *resources, platform=platform)]


CA = {"name": "bank-internal-ca", "kind": "ClusterIssuer"}


def by_driver(**attributes: str) -> Any:
    stated = {"issuer-name": CA["name"], "dns-names": "tool.apps.svc", **attributes}
    named = {f"csi.cert-manager.io/{key.replace('_', '-')}": value for key, value in stated.items()}
    volume = {"name": "tls", "csi": {"driver": "csi.cert-manager.io", "volumeAttributes": named}}
    workload = deployment(BOX, "tool", pod={"volumes": [volume]})
    workload.inputs["metadata"]["namespace"] = "apps"
    return workload


def by_route(**notes: str) -> Any:
    named = {f"cert-manager.io/{key.replace('_', '-')}": value for key, value in notes.items()}
    metadata = {
        "name": "door",
        "namespace": "apps",
        "annotations": {"cert-manager.io/cluster-issuer": CA["name"], **named},
    }
    return resource_of("kubernetes:networking.k8s.io/v1:Ingress", "door", {"metadata": metadata, "spec": {}})


IDENTITY = "spiffe://cluster.local/ns/isthmus-restricted/sa/restricted-gateway"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (by_driver(is_ca="true"), "violated"),
        (by_driver(key_usages="digital signature,cert sign"), "violated"),
        (by_driver(ip_sans="10.40.0.21"), "violated"),
        (by_driver(uri_sans=IDENTITY), "violated"),
        (by_driver(ip_sans="10.96.0.10"), "undecided"),
        (by_driver(uri_sans="spiffe://cluster.local/ns/${POD_NAMESPACE}/sa/tool"), ""),
        (by_driver(), ""),
        (by_route(uri_sans=IDENTITY), "violated"),
        (by_route(ip_sans="10.40.0.21"), "violated"),
        (by_route(email_sans="ana@bank.example"), "undecided"),
        (by_route(), ""),
    ],
)
def test_every_way_to_ask_for_a_certificate_is_read_alike(request_: Any, expected: str, platform: Any):
    assert names_with(platform, request_) == ([expected] if expected else [])


def test_the_name_of_a_caller_or_reviewer_is_asked_for_in_its_own_namespace_only(platform: Any):
    first, *others = platform.gateways
    workload = first.workloads[0].model_copy(update={"clients": ["narratives.fincrime.svc"]})
    reviewer = Reviewer(name="ana", client="ana.people.bank.example")
    gateway = first.model_copy(
        update={
            "workloads": [workload],
            "reviews": first.reviews.model_copy(update={"reviewers": [reviewer]}),
        }
    )
    stated = platform.model_copy(update={"gateways": [gateway, *others]})
    caller = certificate("apps", dnsNames=["narratives.fincrime.svc"])
    assert names_with(platform, caller) == []
    assert names_with(stated, caller) == ["undecided"]
    assert names_with(stated, certificate("fincrime", dnsNames=["narratives.fincrime.svc"])) == []
    assert names_with(stated, certificate("apps", dnsNames=["*.people.bank.example"])) == ["undecided"]
    found = findings_of(NAMES, *SPACES, caller, platform=stated, settings=trusting("objects", "apps/tls"))
    assert found == []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"uris": ["spiffe://cluster.local/ns/isthmus-restricted/sa/restricted-gateway"]}, "violated"),
        ({"uris": ["https://restricted-gateway.isthmus-restricted.svc/x"]}, "violated"),
        ({"uris": ["spiffe://bank/reviewer"]}, "undecided"),
        ({"ipAddresses": ["10.40.0.21"]}, "violated"),
        ({"ipAddresses": ["10.96.0.10"]}, "undecided"),
        ({"otherNames": [{"oid": "1.3.6.1.4.1.311.20.2.3", "utf8Value": "x@bank"}]}, "undecided"),
        ({"dnsNames": ["restricted-gateway"]}, "violated"),
        ({"dnsNames": ["Restricted-Qwen3-32b."]}, "violated"),
        ({"dnsNames": ["postgres-restricted.fra1.bank.example"]}, "violated"),
        ({"dnsNames": ["s3.fra1.bank.example"]}, "violated"),
        ({"dnsNames": ["*.fra1.bank.example"]}, "violated"),
        ({"dnsNames": ["pod.restricted-gateway.isthmus-restricted.svc"]}, "violated"),
        ({"dnsNames": ["10-1-1-1.isthmus-restricted.pod.cluster.local"]}, "violated"),
        ({"literalSubject": f"2.5.4.3={GATEWAY}"}, "violated"),
    ],
    ids=str,
)
def test_nobody_outside_a_class_asks_for_another_form_of_its_identity(
    spec: dict[str, Any], expected: str, platform: Any
):
    assert names_with(platform, certificate("apps", **{"issuerRef": CA, **spec})) == [expected]


@pytest.mark.parametrize(
    "spec",
    [
        {"dnsNames": ["d.apps.svc", "gateway", "other.bank.example"]},
        {"uris": ["spiffe://cluster.local/ns/apps/sa/tool"]},
    ],
    ids=str,
)
def test_a_teams_own_identity_is_free(spec: dict[str, Any], platform: Any):
    assert names_with(platform, certificate("apps", **{"issuerRef": CA, **spec})) == []


def test_the_key_of_a_class_is_not_copied_by_an_annotation(platform: Any):
    def template(namespace: str, key: str) -> Any:
        return certificate(namespace, dnsNames=[], secretTemplate={"annotations": {key: "true"}})

    copied = "reflector.v1.k8s.emberstack.com/reflection-allowed"
    assert names_with(platform, template("isthmus-restricted", copied)) == ["violated"]
    assert names_with(platform, template("isthmus-restricted", "isthmus.dev/note")) == []
    assert names_with(platform, template("apps", copied)) == []


def test_a_second_certificate_writes_no_secret_of_the_first(platform: Any):
    first = certificate("isthmus-restricted", dnsNames=[GATEWAY], secretName="restricted-gateway-tls")
    second = certificate("isthmus-restricted", dnsNames=[GATEWAY], secretName="restricted-gateway-tls")
    second = replace(second, urn="urn:second", name="second")
    second.inputs["metadata"]["name"] = "second"
    assert names_with(platform, first, second) == ["violated"]
    second.inputs["spec"]["secretName"] = "second-tls"
    assert names_with(platform, first, second) == []


def test_other_ways_to_a_certificate_are_judged_too():
    ingress = {
        "metadata": {"namespace": "apps", "annotations": {"cert-manager.io/cluster-issuer": "ca"}},
        "spec": {"tls": [{"hosts": [GATEWAY]}]},
    }
    assert names(resource_of("kubernetes:networking.k8s.io/v1:Ingress", "door", ingress)) == ["violated"]
    ingress["metadata"]["annotations"] = {}
    assert names(resource_of("kubernetes:networking.k8s.io/v1:Ingress", "door", ingress)) == []
    attributes = {"csi.cert-manager.io/dns-names": f"a.space.svc,{GATEWAY}"}
    volume = {"name": "tls", "csi": {"driver": "csi.cert-manager.io", "volumeAttributes": attributes}}
    assert names(deployment(BOX, "pod", pod={"volumes": [volume]})) == ["violated"]
    opaque = resource_of(
        "kubernetes:cert-manager.io/v1:CertificateRequest", "csr", {"spec": {"request": "LS0"}}
    )
    assert names(opaque) == ["undecided"]


def test_an_authority_under_the_classes_issuer_is_critical():
    own = certificate("isthmus-restricted", dnsNames=[GATEWAY])
    assert names(own, certificate("apps", isCA=True)) == ["violated"]
    assert names(own, certificate("apps", isCA=True, issuerRef={"name": "self-signed"})) == []


@pytest.mark.parametrize("second", [GATEWAY, f"{GATEWAY}.", GATEWAY.upper(), f"{GATEWAY}.cluster.local"])
def test_a_second_address_for_a_models_name_is_critical(second: str):
    aliases = [
        {"ip": "10.96.0.7", "hostnames": [GATEWAY]},
        {"ip": "10.40.0.9", "hostnames": ["other", second]},
    ]
    pod = deployment(BOX, "gw", pod={"hostAliases": aliases})
    pod.inputs["metadata"]["namespace"] = "isthmus-restricted"
    assert names(pod) == ["violated"]
    aliases[1]["hostnames"] = ["traces.bank.example"]
    assert names(pod) == []
