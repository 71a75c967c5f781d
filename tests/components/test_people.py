"""Roles of people, from one table: in a cluster and in an account, allowed and denied."""

import datetime
import json
from typing import Any

import pytest
from moto.iam.access_control import IAMPolicy, PermissionResult

from components.governance.cluster_roles import ClusterRoles
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.emergency_access import Access
from isthmus.contracts.reference import aws_actions, roles
from isthmus.core.errors import InputError
from tests.components.conftest import ACCOUNT, Engine, build
from tests.components.platforms import bank
from tests.components.policies import allowed

MEMBERS: list[dict[str, Any]] = [
    {"name": "ops", "role": "platform", "groups": ["oidc:llm-ops"], "permission_sets": ["LlmOps"]},
    {
        **{"name": "kyc", "role": "model-owner", "groups": ["oidc:kyc-models"]},
        **{"classes": ["confidential"], "permission_sets": ["LlmModels"]},
    },
    {"name": "risk", "role": "reviewer", "groups": ["oidc:risk"], "permission_sets": ["LlmReview"]},
    {"name": "audit", "role": "auditor", "groups": ["oidc:audit"], "permission_sets": ["LlmAudit"]},
    {"name": "kyc-app", "role": "application", "groups": ["oidc:kyc"], "classes": ["confidential"]},
]
NOBODY_IN_AWS = (
    *("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream", "bedrock:UpdateGuardrail"),
    *("iam:CreateRole", "iam:PutRolePolicy", "secretsmanager:GetSecretValue", "sts:AssumeRole"),
    *("s3:DeleteObject", "s3:PutObject", "kms:ScheduleKeyDeletion", "kms:PutKeyPolicy", "ec2:DeleteVpc"),
    *("logs:DeleteLogGroup", "cloudtrail:StopLogging"),
)
BUCKET, KEY = "arn:aws:s3:::records", "arn:aws:kms:eu-central-1:1:key/k"
LOGS = "arn:aws:logs:eu-central-1:1:log-group:/isthmus/trail-1"
CALLS = "arn:aws:logs:eu-central-1:1:log-group:/isthmus/bedrock/x/calls-1"
VIA = "s3.eu-central-1.amazonaws.com"


def with_people(**more: Any) -> dict[str, Any]:
    return {**bank(), "people": {"members": MEMBERS, **more}}


@pytest.fixture(scope="module")
def peopled() -> Engine:
    engine = Engine()
    build(engine, with_people())
    return engine


def statements(role: roles.RoleName) -> dict[str, Any]:
    in_account = roles.iam_statements(role, roles.Records(LOGS, BUCKET, KEY, VIA))
    return {"Version": "2012-10-17", "Statement": in_account}


def test_without_people_nothing_is_granted(built: Engine) -> None:
    assert not [
        resource.name
        for resource in built.made
        if resource.kind in ("Role", "RoleBinding") and resource.type.startswith("kubernetes")
    ]
    assert built.outputs["people"] == {}


def test_every_binding_is_to_groups_of_the_sign_on_and_to_a_role_of_the_same_name(peopled: Engine) -> None:
    bindings = [*peopled.all("RoleBinding"), *peopled.all("ClusterRoleBinding")]
    for binding in bindings:
        assert binding.inputs["roleRef"]["name"] == binding.meta["name"]
        assert {subject["kind"] for subject in binding.inputs["subjects"]} == {"Group"}
        assert all(subject["name"].startswith("oidc:") for subject in binding.inputs["subjects"])
    spaces = {
        (role_binding.meta["namespace"], role_binding.meta["name"])
        for role_binding in peopled.all("RoleBinding")
    }
    assert ("isthmus-confidential", "isthmus-model-owner") in spaces
    assert ("isthmus-restricted", "isthmus-model-owner") not in spaces, "they own models of one class"
    assert ("isthmus-restricted", "isthmus-auditor") in spaces


@pytest.mark.parametrize("role", roles.ROLES)
def test_no_role_sees_secrets_gets_into_a_pod_or_gives_rights(role: roles.RoleName) -> None:
    rules = [*roles.namespace_rules(role, ["m"], "g"), *roles.cluster_rules(role)]
    for rule in rules:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert not {"secrets", "pods/exec", "pods/attach", "pods/portforward", "pods/proxy"} & set(
            rule["resources"]
        )
        assert not {"create", "deletecollection", "bind", "escalate", "impersonate"} & set(rule["verbs"])
        if "networkpolicies" in rule["resources"]:
            assert set(rule["verbs"]) <= {"get", "list", "watch"}
    logs = any("pods/log" in rule["resources"] for rule in rules)
    assert logs == (role in ("platform", "model-owner")), "what a pod writes may be content"


def test_a_rule_on_named_objects_is_left_out_where_there_are_none() -> None:
    assert roles.namespace_rules("application", [], "") == [], "no name would be every name"
    owner = roles.namespace_rules("model-owner", [], "g")
    assert not [rule for rule in owner if "patch" in rule["verbs"]]


@pytest.mark.parametrize("role", ["platform", "model-owner", "reviewer", "auditor"])
def test_a_role_in_aws_is_bounded_taken_by_its_permission_sets_only_and_has_no_wildcard_action(
    peopled: Engine, role: str
) -> None:
    people_role = peopled.only("Role", f"isthmus-frankfurt-people-{role}-role")
    assert people_role.inputs["permissionsBoundary"]
    (trust,) = json.loads(people_role.inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    (patterns,) = trust["Condition"]["ArnLike"].values()
    name = next(member["permission_sets"][0] for member in MEMBERS if member["role"] == role)
    assert all(f"AWSReservedSSO_{name}_*" in pattern for pattern in patterns)
    policy = json.loads(
        peopled.only("RolePolicy", f"isthmus-frankfurt-people-{role}-policy").inputs["policy"]
    )
    for statement in policy["Statement"]:
        assert not [action for action in statement["Action"] if "*" in action]
    assert role in peopled.outputs["people"]["frankfurt"]
    assert "application" not in peopled.outputs["people"]["frankfurt"]


@pytest.mark.parametrize("role", ["platform", "model-owner", "reviewer", "auditor"])
def test_two_evaluators_allow_only_the_actions_of_the_table(role: roles.RoleName) -> None:
    policy = statements(role)
    iampolicy = IAMPolicy(json.dumps(policy))
    all_actions = {
        action for cells in roles.ACCOUNT.values() for actions in cells.values() for action in actions
    }
    own_actions = {action for actions in roles.ACCOUNT[role].values() for action in actions}
    for action in sorted(
        all_actions
        | set(NOBODY_IN_AWS)
        | set(aws_actions.STOP_TRAIL_ACTIONS)
        | set(aws_actions.DISABLE_KEY_ACTIONS)
    ):
        is_expected = action in own_actions
        assert allowed(policy, action, "arn:aws:any") == is_expected, f"{role} {action}"
        is_action_permitted = iampolicy.is_action_permitted(action, "arn:aws:any")
        assert (is_action_permitted == PermissionResult.PERMITTED) == is_expected, f"moto: {role} {action}"


def test_an_auditor_reads_records_and_the_trail_and_no_log_of_calls() -> None:
    policy = statements("auditor")
    assert allowed(policy, "s3:GetObject", f"{BUCKET}/cloudtrail/a.json.gz")
    assert not allowed(policy, "s3:GetObject", "arn:aws:s3:::weights/model.safetensors")
    for action in ("s3:ListBucket", "s3:ListBucketVersions"):
        assert allowed(policy, action, BUCKET), "`isthmus audit verify` lists versions"
    assert allowed(policy, "kms:Decrypt", KEY, kms_ViaService=VIA)
    assert not allowed(policy, "kms:Decrypt", KEY), "the key opens through the store alone"
    assert allowed(policy, "logs:GetLogEvents", f"{LOGS}:log-stream:s")
    assert not allowed(policy, "logs:GetLogEvents", f"{CALLS}:log-stream:s"), "it may hold prompts"
    for role in ("platform", "model-owner", "reviewer"):
        assert not allowed(statements(role), "s3:GetObject", f"{BUCKET}/cloudtrail/a.json.gz")
        assert not allowed(statements(role), "logs:GetLogEvents", f"{LOGS}:log-stream:s")


def test_without_permission_sets_or_saml_nobody_has_a_role_in_aws(engine: Engine) -> None:
    bare = [{key: value for key, value in member.items() if key != "permission_sets"} for member in MEMBERS]
    build(engine, with_people(members=bare))
    assert not [role for role in engine.all("Role") if "people" in role.name and role.type.startswith("aws:")]
    assert engine.all("RoleBinding")


def test_a_saml_provider_is_trusted_for_its_audience_only(engine: Engine) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:saml-provider/bank"
    build(engine, with_people(saml_provider=arn, members=[{**MEMBERS[3], "permission_sets": []}]))
    trust = json.loads(
        engine.only("Role", "isthmus-frankfurt-people-auditor-role").inputs["assumeRolePolicy"]
    )
    (only,) = trust["Statement"]
    assert (only["Principal"], only["Action"]) == ({"Federated": arn}, "sts:AssumeRoleWithSAML")
    assert only["Condition"]["StringEquals"] == {"SAML:aud": "https://signin.aws.amazon.com/saml"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"role": "owner", "groups": ["g"]}, "is not known"),
        ({"role": "platform", "groups": []}, "the role has no groups"),
    ],
)
def test_a_component_refuses_unknown_people(engine: Engine, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        engine.deploy(ClusterRoles, "people", {"members": [change], "classes": []})


def access(**more: Any) -> Access:
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=2)
    values = {
        "id": "inc-4711",
        "site": "fra1",
        "class": "confidential",
        "requester": "oidc:a",
        "approver": "oidc:b",
    }
    return Access.model_validate({**values, "reason": "INC-4711: model hangs", "until": until, **more})


def test_an_emergency_access_belongs_to_a_timer_and_is_one_persons(engine: Engine) -> None:
    from components.governance.emergency_access import EmergencyAccesses

    emergency = access()
    arguments = {
        **emergency.model_dump(include={"id", "requester", "approver", "reason"}),
        **{"sensitivity": emergency.class_, "until": emergency.until.isoformat()},
    }
    engine.deploy(EmergencyAccesses, "glass", {"accesses": [arguments], "image": "registry/edge@sha256:x"})
    job, binding = engine.only("Job"), engine.only("RoleBinding")
    assert 7100 < job.spec["activeDeadlineSeconds"] <= 7200
    assert (job.spec["parallelism"], job.spec["ttlSecondsAfterFinished"]) == (0, 0)
    (owner,) = binding.meta["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("Job", job.meta["name"])
    assert binding.inputs["subjects"] == [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "oidc:a"}
    ]
    assert binding.meta["namespace"] == "isthmus-confidential"
    assert "glass-policy-binding" in job.depends_on, "nobody is bound before the policy is there"


def test_emergency_policy_and_role_exist_only_with_keyholders(engine: Engine, peopled: Engine) -> None:
    assert not [resource for resource in peopled.made if "break-glass" in resource.name]
    keys = ["ssh-ed25519 " + letter * 68 for letter in "ab"]
    holders = [{"name": n, "user": f"oidc:{n}", "key": k} for n, k in zip(("ann", "bob"), keys, strict=True)]
    build(engine, with_people(break_glass={"keyholders": holders}))
    assert engine.only("ClusterRole", "isthmus-fra1-break-glass-role")
    assert not engine.all("Job")
    assert CheckedPlatform.model_validate(with_people(break_glass={"keyholders": holders})).people
