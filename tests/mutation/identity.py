"""Faults in permissions: roles, trust, boundaries, keys, RBAC."""

from __future__ import annotations

from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.parts import BOXES, CONFIGS, CONFIGURED, POLICY, TRUST, WORKLOADS
from tests.broken_graphs.resources import beside, copied
from tests.mutation.shapes import Context, Family

FAMILY = Family("identity")
ROLE, ROLE_POLICY = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"


@FAMILY.changes(ROLE_POLICY, lens=POLICY)
def role_that_may_do_everything(statements: Any, context: Context) -> None:
    """A role may do everything on everything."""
    statements.append({"Sid": "Debug", "Effect": "Allow", "Action": "*", "Resource": "*"})


@FAMILY.changes(ROLE_POLICY, lens=POLICY)
def role_that_may_do_all_but_little(statements: Any, context: Context) -> None:
    """A role may do whatever is not about IAM."""
    statements.append({"Sid": "PowerUser", "Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"})


@FAMILY.changes(ROLE_POLICY, lens=POLICY)
def role_that_may_hand_on_any_role(statements: Any, context: Context) -> None:
    """A role may give any role of the account to whatever it starts."""
    statements.append({"Sid": "Start", "Effect": "Allow", "Action": ["iam:PassRole"], "Resource": ["*"]})


def calls_models(statements: Any, _: Context) -> bool:
    return any(
        "bedrock:InvokeModel" in statement["Action"] and statement["Effect"] == "Allow"
        for statement in statements
    )


@FAMILY.changes(ROLE_POLICY, lens=POLICY, where=calls_models, also=["data-path"])
def role_that_may_call_every_model(statements: Any, context: Context) -> None:
    """A role may call every foundation model in every region."""
    for statement in statements:
        if statement["Effect"] == "Allow" and "bedrock:InvokeModel" in statement["Action"]:
            statement["Resource"] = ["arn:aws:bedrock:*::foundation-model/*"]
            statement.pop("Condition", None)


def keeps_at_home(statements: Any, _: Context) -> bool:
    return any(
        "aws:SourceVpc" in str(statement.get("Condition")) and statement["Effect"] == "Deny"
        for statement in statements
    )


@FAMILY.changes(ROLE_POLICY, lens=POLICY, where=keeps_at_home, also=["data-path"])
def identity_that_works_from_anywhere(statements: Any, context: Context) -> None:
    """A translator's role may be used from outside our network."""
    statements[:] = [statement for statement in statements if not keeps_at_home([statement], context)]


@FAMILY.adds(ROLE)
def role_with_an_administrators_policy(inputs: Any, context: Context) -> list[Resource]:
    """Amazon's policy for administrators is attached to a role."""
    attached = {"role": inputs["name"], "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}
    kind = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    return [beside(context.resource, kind, f"{context.resource.name}-admin", attached)]


@FAMILY.changes(ROLE, lens=TRUST)
def role_that_anybody_may_take(statements: Any, context: Context) -> None:
    """A role may be assumed by whoever has an account with AWS."""
    statements.append(
        {"Sid": "Break", "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    )


@FAMILY.changes(ROLE, lens=TRUST)
def role_that_another_account_may_take(statements: Any, context: Context) -> None:
    """A role may be assumed from an account that is not ours."""
    principals = {"AWS": "arn:aws:iam::444455556666:root"}
    statements.append(
        {"Sid": "Vendor", "Effect": "Allow", "Principal": principals, "Action": "sts:AssumeRole"}
    )


@FAMILY.changes(
    ROLE,
    lens=TRUST,
    where=lambda statements, _: "rolesanywhere" in str(statements) and "Condition" in statements[0],
)
def role_for_every_certificate(statements: Any, context: Context) -> None:
    """A role may be taken with every certificate of the authority, not with its translator's alone."""
    del statements[0]["Condition"]


@FAMILY.changes("aws:rolesanywhere/profile:Profile", where=lambda inputs, _: "sessionPolicy" in inputs)
def sessions_without_a_policy(inputs: Any, context: Context) -> None:
    """Sessions by certificate are no longer held to a policy of their own."""
    del inputs["sessionPolicy"]


def denies(statements: Any, _: Context) -> bool:
    return any(
        statement["Effect"] == "Deny" and "cloudtrail:StopLogging" in statement.get("Action", [])
        for statement in statements
    )


@FAMILY.changes("aws:iam/policy:Policy", lens=POLICY, where=denies, also=["audit"])
def boundary_that_spares_the_trail_no_more(statements: Any, context: Context) -> None:
    """A boundary no longer denies what would stop the audit trail."""
    statements[:] = [statement for statement in statements if not denies([statement], context)]


@FAMILY.changes("aws:iam/policy:Policy", lens=POLICY, where=denies)
def boundary_that_allows_everything(statements: Any, context: Context) -> None:
    """A boundary allows everything that it does not deny."""
    for statement in statements:
        if statement["Effect"] == "Allow":
            statement.update(Action=["*"], Resource=["*"])
            statement.pop("Condition", None)


@FAMILY.changes("aws:s3/bucketPolicy:BucketPolicy", lens=POLICY, also=["audit", "data-path"])
def bucket_that_another_account_reads(statements: Any, context: Context) -> None:
    """Another account may read a bucket's objects."""
    resource_arn = next(statement["Resource"] for statement in statements)
    principals = {"AWS": "arn:aws:iam::444455556666:root"}
    statements.append(
        {
            "Sid": "Analytics",
            "Effect": "Allow",
            "Principal": principals,
            "Action": "s3:GetObject",
            "Resource": resource_arn,
        }
    )


@FAMILY.changes("aws:sns/topicPolicy:TopicPolicy", lens=POLICY, also=["audit"])
def topic_that_anybody_hears(statements: Any, context: Context) -> None:
    """Anybody may subscribe to a topic of alarms."""
    resource_arn = statements[0]["Resource"]
    grant = {"Effect": "Allow", "Principal": "*", "Action": "sns:Subscribe", "Resource": resource_arn}
    statements.append({"Sid": "Dashboards", **grant})


@FAMILY.adds(":ServiceAccount", also=["workload"])
def service_account_that_runs_the_cluster(inputs: Any, context: Context) -> list[Resource]:
    """A service account of a gateway or model becomes the cluster's administrator."""
    name = inputs["metadata"]["name"]
    more = {
        "metadata": {"name": f"{name}-admin"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": context.space}],
    }
    kind = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding"
    return [beside(context.resource, kind, f"{context.space}-{name}-admin", more)]


@FAMILY.adds("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
def administrator_whom_the_platform_does_not_name(inputs: Any, context: Context) -> list[Resource]:
    """Another role becomes the administrator of a cluster in AWS."""
    principal = "arn:aws:iam::123456789012:role/contractors"
    kind, name = "aws:eks/accessEntry:AccessEntry", f"{context.resource.name}-contractors"
    tags = next(resource.inputs["tags"] for resource in context.of(kind))
    entry = {
        "clusterName": inputs["clusterName"],
        "principalArn": principal,
        "type": "STANDARD",
        "tags": tags,
    }
    more = copied(context.resource, name, {**inputs, "principalArn": principal})
    return [beside(context.resource, kind, f"{name}-entry", entry), more]


def edge_alone(_: Any, context: Context) -> bool:
    inputs = context.resource.inputs
    return any(CONFIGS.open(inputs, at)["mode"] == "gateway" for at in CONFIGS.find(inputs))


@FAMILY.changes("aws:ecs/taskDefinition:TaskDefinition", where=edge_alone, also=["data-path"])
def gateway_task_with_an_aws_identity(inputs: Any, context: Context) -> None:
    """The task that faces callers gets the role of the translator behind it."""
    behind = [
        task.inputs
        for task in context.of("aws:ecs/taskDefinition:TaskDefinition")
        if any(CONFIGS.open(task.inputs, at)["mode"] == "translator" for at in CONFIGS.find(task.inputs))
    ]
    inputs["taskRoleArn"] = next(
        task_inputs["taskRoleArn"] for task_inputs in behind if task_inputs.get("taskRoleArn")
    )


@FAMILY.changes("aws:ecs/service:Service", also=["workload", "audit"])
def shell_in_the_tasks(inputs: Any, context: Context) -> None:
    """Whoever may use ECS Exec gets a shell in a gateway's tasks."""
    inputs["enableExecuteCommand"] = True


@FAMILY.changes(*WORKLOADS, lens=BOXES, also=["workload", "data-path"])
def access_key_in_a_container(container: Any, context: Context) -> None:
    """An access key stands in the environment of a container."""
    key = [
        {"name": "AWS_ACCESS_KEY_ID", "value": "AKIAIOSFODNN7EXAMPLE"},
        {"name": "AWS_SECRET_ACCESS_KEY", "value": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
    ]
    container["env"] = [*container.get("env", []), *key]


@FAMILY.changes(
    *CONFIGURED, lens=CONFIGS, where=lambda config, _: config.get("allowed_clients"), also=["data-path"]
)
def translator_that_takes_any_client(config: Any, context: Context) -> None:
    """What stands behind a gateway also answers an application itself, past the gateway."""
    config["allowed_clients"].append("reporting.analytics.svc")
