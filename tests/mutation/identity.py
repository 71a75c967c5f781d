"""Faults on who may do what: roles, their trust and boundaries, keys, and rights in the cluster."""

from __future__ import annotations

from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.mutation.parts import BOXES, CONFIGS, CONFIGURED, POLICY, TRUST, WORKLOADS
from tests.mutation.shapes import Family, Seen, beside, copied

FAMILY = Family("identity")
ROLE, ROLE_POLICY = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"


@FAMILY.changes(ROLE_POLICY, lens=POLICY)
def role_that_may_do_everything(said: Any, seen: Seen) -> None:
    """A role may do everything on everything."""
    said.append({"Sid": "Debug", "Effect": "Allow", "Action": "*", "Resource": "*"})


@FAMILY.changes(ROLE_POLICY, lens=POLICY)
def role_that_may_do_all_but_little(said: Any, seen: Seen) -> None:
    """A role may do whatever is not about IAM."""
    said.append({"Sid": "PowerUser", "Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"})


@FAMILY.changes(ROLE_POLICY, lens=POLICY)
def role_that_may_hand_on_any_role(said: Any, seen: Seen) -> None:
    """A role may give any role of the account to whatever it starts."""
    said.append({"Sid": "Start", "Effect": "Allow", "Action": ["iam:PassRole"], "Resource": ["*"]})


def calls_models(said: Any, _: Seen) -> bool:
    return any("bedrock:InvokeModel" in each["Action"] and each["Effect"] == "Allow" for each in said)


@FAMILY.changes(ROLE_POLICY, lens=POLICY, where=calls_models, also=["data-path"])
def role_that_may_call_every_model(said: Any, seen: Seen) -> None:
    """A role may call every foundation model in every region."""
    for each in said:
        if each["Effect"] == "Allow" and "bedrock:InvokeModel" in each["Action"]:
            each["Resource"] = ["arn:aws:bedrock:*::foundation-model/*"]
            each.pop("Condition", None)


def keeps_at_home(said: Any, _: Seen) -> bool:
    return any("aws:SourceVpc" in str(each.get("Condition")) and each["Effect"] == "Deny" for each in said)


@FAMILY.changes(ROLE_POLICY, lens=POLICY, where=keeps_at_home, also=["data-path"])
def identity_that_works_from_anywhere(said: Any, seen: Seen) -> None:
    """A translator's role may be used from outside our network."""
    said[:] = [each for each in said if not keeps_at_home([each], seen)]


@FAMILY.adds(ROLE)
def role_with_an_administrators_policy(inputs: Any, seen: Seen) -> list[Resource]:
    """Amazon's policy for administrators is attached to a role."""
    attached = {"role": inputs["name"], "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}
    kind = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    return [beside(seen.resource, kind, f"{seen.resource.name}-admin", attached)]


@FAMILY.changes(ROLE, lens=TRUST)
def role_that_anybody_may_take(said: Any, seen: Seen) -> None:
    """A role may be assumed by whoever has an account with AWS."""
    said.append({"Sid": "Break", "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})


@FAMILY.changes(ROLE, lens=TRUST)
def role_that_another_account_may_take(said: Any, seen: Seen) -> None:
    """A role may be assumed from an account that is not ours."""
    who = {"AWS": "arn:aws:iam::444455556666:root"}
    said.append({"Sid": "Vendor", "Effect": "Allow", "Principal": who, "Action": "sts:AssumeRole"})


@FAMILY.changes(
    ROLE, lens=TRUST, where=lambda said, _: "rolesanywhere" in str(said) and "Condition" in said[0]
)
def role_for_every_certificate(said: Any, seen: Seen) -> None:
    """A role may be taken with every certificate of the authority, not with its translator's alone."""
    del said[0]["Condition"]


@FAMILY.changes("aws:rolesanywhere/profile:Profile", where=lambda inputs, _: "sessionPolicy" in inputs)
def sessions_without_a_policy(inputs: Any, seen: Seen) -> None:
    """Sessions by certificate are no longer held to a policy of their own."""
    del inputs["sessionPolicy"]


def denies(said: Any, _: Seen) -> bool:
    return any(
        each["Effect"] == "Deny" and "cloudtrail:StopLogging" in each.get("Action", []) for each in said
    )


@FAMILY.changes("aws:iam/policy:Policy", lens=POLICY, where=denies, also=["audit"])
def boundary_that_spares_the_trail_no_more(said: Any, seen: Seen) -> None:
    """A boundary no longer denies what would stop the audit trail."""
    said[:] = [each for each in said if not denies([each], seen)]


@FAMILY.changes("aws:iam/policy:Policy", lens=POLICY, where=denies)
def boundary_that_allows_everything(said: Any, seen: Seen) -> None:
    """A boundary allows everything that it does not deny."""
    for each in said:
        if each["Effect"] == "Allow":
            each.update(Action=["*"], Resource=["*"])
            each.pop("Condition", None)


@FAMILY.changes("aws:s3/bucketPolicy:BucketPolicy", lens=POLICY, also=["audit", "data-path"])
def bucket_that_another_account_reads(said: Any, seen: Seen) -> None:
    """Another account may read a bucket's objects."""
    what = next(each["Resource"] for each in said)
    who = {"AWS": "arn:aws:iam::444455556666:root"}
    said.append(
        {"Sid": "Analytics", "Effect": "Allow", "Principal": who, "Action": "s3:GetObject", "Resource": what}
    )


@FAMILY.changes("aws:sns/topicPolicy:TopicPolicy", lens=POLICY, also=["audit"])
def topic_that_anybody_hears(said: Any, seen: Seen) -> None:
    """Anybody may subscribe to a topic of alarms."""
    what = said[0]["Resource"]
    grant = {"Effect": "Allow", "Principal": "*", "Action": "sns:Subscribe", "Resource": what}
    said.append({"Sid": "Dashboards", **grant})


@FAMILY.adds(":ServiceAccount", also=["workload"])
def service_account_that_runs_the_cluster(inputs: Any, seen: Seen) -> list[Resource]:
    """A service account of a gateway or model becomes the cluster's administrator."""
    name = inputs["metadata"]["name"]
    more = {
        "metadata": {"name": f"{name}-admin"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": seen.space}],
    }
    kind = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding"
    return [beside(seen.resource, kind, f"{seen.space}-{name}-admin", more)]


@FAMILY.adds("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
def administrator_whom_the_platform_does_not_name(inputs: Any, seen: Seen) -> list[Resource]:
    """Another role becomes the administrator of a cluster in AWS."""
    who = "arn:aws:iam::123456789012:role/contractors"
    kind, name = "aws:eks/accessEntry:AccessEntry", f"{seen.resource.name}-contractors"
    tags = next(each.inputs["tags"] for each in seen.of(kind))
    entry = {"clusterName": inputs["clusterName"], "principalArn": who, "type": "STANDARD", "tags": tags}
    more = copied(seen.resource, name, {**inputs, "principalArn": who})
    return [beside(seen.resource, kind, f"{name}-entry", entry), more]


def edge_alone(_: Any, seen: Seen) -> bool:
    inputs = seen.resource.inputs
    return any(CONFIGS.open(inputs, at)["mode"] == "gateway" for at in CONFIGS.find(inputs))


@FAMILY.changes("aws:ecs/taskDefinition:TaskDefinition", where=edge_alone, also=["data-path"])
def gateway_task_with_an_aws_identity(inputs: Any, seen: Seen) -> None:
    """The task that faces callers gets the role of the translator behind it."""
    behind = [
        each.inputs
        for each in seen.of("aws:ecs/taskDefinition:TaskDefinition")
        if any(CONFIGS.open(each.inputs, at)["mode"] == "translator" for at in CONFIGS.find(each.inputs))
    ]
    inputs["taskRoleArn"] = next(each["taskRoleArn"] for each in behind if each.get("taskRoleArn"))


@FAMILY.changes("aws:ecs/service:Service", also=["workload", "audit"])
def shell_in_the_tasks(inputs: Any, seen: Seen) -> None:
    """Whoever may use ECS Exec gets a shell in a gateway's tasks."""
    inputs["enableExecuteCommand"] = True


@FAMILY.changes(*WORKLOADS, lens=BOXES, also=["workload", "data-path"])
def access_key_in_a_container(box: Any, seen: Seen) -> None:
    """An access key stands in the environment of a container."""
    key = [
        {"name": "AWS_ACCESS_KEY_ID", "value": "AKIAIOSFODNN7EXAMPLE"},
        {"name": "AWS_SECRET_ACCESS_KEY", "value": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
    ]
    box["env"] = [*box.get("env", []), *key]


@FAMILY.changes(
    *CONFIGURED, lens=CONFIGS, where=lambda config, _: config.get("allowed_clients"), also=["data-path"]
)
def translator_that_takes_any_client(config: Any, seen: Seen) -> None:
    """What stands behind a gateway also answers an application itself, past the gateway."""
    config["allowed_clients"].append("reporting.analytics.svc")
