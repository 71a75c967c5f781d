"""Who may do what: one table of roles, for Kubernetes and for AWS. Data only, no I/O.

A row is a kind of thing, with what of it stands in a cluster and what in an account; a cell says what a role may do
with it. What no cell allows nobody may: secrets, a shell or a port in a pod, creating anything, any network policy
or admission policy. Those are the stack's, which a reviewed plan changes, or break-glass (`platform_people`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

RoleName = Literal["platform", "model-owner", "reviewer", "auditor", "application"]
ROLES: tuple[RoleName, ...] = ("platform", "model-owner", "reviewer", "auditor", "application")
DESCRIPTIONS: dict[RoleName, str] = {
    "platform": "keeps the platform running: sees it, scales it, restarts its pods",
    "model-owner": "answers for models: tunes and scales them within their images, volumes and networks",
    "reviewer": "judges changes: sees what is declared, and no log",
    "auditor": "sees records and rules, and never what was asked or answered",
    "application": "calls its class's gateway, and needs its address",
}

READ_VERBS = ("get", "list", "watch")
CHANGE_VERBS = ("get", "patch", "update")
RESTART_VERBS = ("delete",)
GET_VERBS = ("get",)

Group = tuple[str, tuple[str, ...]]
"""An API group, and resources of it."""


@dataclass(frozen=True)
class Thing:
    """Objects that one role treats alike."""

    kinds: tuple[Group, ...]
    cluster: bool = False
    """Whether they are of the cluster as a whole, not of a class's namespace."""
    named: Literal["", "models", "gateway"] = ""
    """Only objects of these names: the class's model servers, or its gateway."""


THINGS: dict[str, Thing] = {
    "workloads": Thing(
        (
            ("", ("pods", "services", "events", "persistentvolumeclaims")),
            ("apps", ("deployments", "replicasets", "statefulsets", "daemonsets")),
            ("batch", ("jobs",)),
            ("autoscaling", ("horizontalpodautoscalers",)),
            ("discovery.k8s.io", ("endpointslices",)),
            ("leaderworkerset.x-k8s.io", ("leaderworkersets",)),
            ("policy", ("poddisruptionbudgets",)),
            ("kueue.x-k8s.io", ("localqueues", "workloads")),
            ("cert-manager.io", ("certificates",)),
            ("monitoring.coreos.com", ("podmonitors", "prometheusrules")),
        )
    ),
    "pods": Thing((("", ("pods",)),)),
    "logs": Thing((("", ("pods/log",)),)),
    "settings": Thing((("", ("configmaps", "serviceaccounts")),)),
    "rules": Thing(
        (
            ("", ("resourcequotas", "limitranges")),
            ("networking.k8s.io", ("networkpolicies",)),
            ("rbac.authorization.k8s.io", ("roles", "rolebindings")),
        )
    ),
    "scale": Thing(
        (("apps", ("deployments/scale",)), ("leaderworkerset.x-k8s.io", ("leaderworkersets/scale",))),
    ),
    "models": Thing(
        (
            ("apps", ("deployments", "deployments/scale")),
            ("leaderworkerset.x-k8s.io", ("leaderworkersets/scale",)),
        ),
        named="models",
    ),
    "door": Thing((("", ("services",)),), named="gateway"),
    "machines": Thing(
        (
            ("", ("nodes", "namespaces", "persistentvolumes")),
            ("kueue.x-k8s.io", ("clusterqueues", "resourceflavors", "workloadpriorityclasses")),
            ("nvidia.com", ("clusterpolicies",)),
        ),
        cluster=True,
    ),
    "admission": Thing(
        (
            (
                "admissionregistration.k8s.io",
                ("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
            ),
            ("rbac.authorization.k8s.io", ("clusterroles", "clusterrolebindings")),
        ),
        cluster=True,
    ),
}

GRANTS: dict[RoleName, dict[str, tuple[str, ...]]] = {
    "platform": {
        "workloads": READ_VERBS,
        "pods": RESTART_VERBS,
        "logs": GET_VERBS,
        "settings": READ_VERBS,
        "rules": READ_VERBS,
        "scale": CHANGE_VERBS,
        "machines": READ_VERBS,
        "admission": READ_VERBS,
    },
    "model-owner": {"workloads": READ_VERBS, "logs": GET_VERBS, "models": CHANGE_VERBS},
    "reviewer": {
        "workloads": READ_VERBS,
        "settings": READ_VERBS,
        "rules": READ_VERBS,
        "machines": READ_VERBS,
        "admission": READ_VERBS,
    },
    "auditor": {
        "workloads": READ_VERBS,
        "settings": READ_VERBS,
        "rules": READ_VERBS,
        "admission": READ_VERBS,
    },
    "application": {"door": GET_VERBS},
}
"""The table, the cluster's half: role, thing, verbs."""

# The account's half. Each action by name; those that know no resource are allowed on `*`.
_NETWORK = (
    *("ec2:DescribeVpcs", "ec2:DescribeSubnets", "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups"),
    *("ec2:DescribeSecurityGroupRules", "ec2:DescribeVpcEndpoints", "ec2:DescribeFlowLogs"),
    *("ec2:DescribeTransitGateways", "ec2:DescribeVpnConnections"),
)
_MODELS = (
    *("bedrock:ListFoundationModels", "bedrock:ListGuardrails", "bedrock:GetGuardrail"),
    *("bedrock:ListInferenceProfiles", "bedrock:GetInferenceProfile"),
    "bedrock:ListProvisionedModelThroughputs",
)
_METRICS = ("cloudwatch:GetMetricData", "cloudwatch:ListMetrics", "cloudwatch:DescribeAlarms")
_COST = ("budgets:ViewBudget", "ce:GetCostAndUsage", "ce:GetAnomalies")
_TRAIL = (
    *("cloudtrail:DescribeTrails", "cloudtrail:GetTrail", "cloudtrail:GetTrailStatus"),
    *(
        "cloudtrail:GetEventSelectors",
        "cloudtrail:LookupEvents",
        "logs:DescribeLogGroups",
        "logs:GetQueryResults",
    ),
)
ACCOUNT: dict[RoleName, dict[str, tuple[str, ...]]] = {
    "platform": {"network": _NETWORK, "models": _MODELS, "metrics": _METRICS, "cost": _COST},
    "model-owner": {"models": _MODELS, "metrics": _METRICS},
    "reviewer": {"network": _NETWORK, "models": _MODELS, "cost": _COST},
    "auditor": {"network": _NETWORK, "models": _MODELS, "trail": _TRAIL},
}
"""The table, the account's half: role, thing, actions. An application team has no role there: it calls a gateway."""
LOG_ACTIONS = ("logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents", "logs:StartQuery")
BUCKET_ACTIONS = (
    *("s3:GetBucketLocation", "s3:GetBucketObjectLockConfiguration"),
    # `isthmus audit verify` reads the first version of each record.
    *("s3:ListBucket", "s3:ListBucketVersions"),
)
OBJECT_ACTIONS = ("s3:GetObject", "s3:GetObjectRetention", "s3:GetObjectVersion")


@dataclass(frozen=True)
class Records:
    """Where an account's records lie; values may be outputs. What is None is not there."""

    log_group: Any = None
    """ARN of the trail's searchable copy. The log of calls is none of these: it may hold prompts."""
    bucket: Any = None
    """ARN of the audit store."""
    key: Any = None
    """ARN of its key."""
    via: str = ""
    """The service through which alone the key opens, e.g. `s3.eu-central-1.amazonaws.com`."""


def namespace_rules(role: RoleName, models: Sequence[str], gateway: str) -> list[dict[str, Any]]:
    """Rules of the Kubernetes Role in a class's namespace; [] where there is nothing to allow.

    `models`: names of the class's model servers there; `gateway`: of its gateway's Service, or empty.
    """
    names = {"models": sorted(models), "gateway": [gateway] if gateway else []}
    return [
        rule
        for name, verbs in GRANTS[role].items()
        if not THINGS[name].cluster
        # Names that are none would be all names.
        if not THINGS[name].named or names[THINGS[name].named]
        for rule in _rules(THINGS[name], verbs, names.get(THINGS[name].named, []))
    ]


def cluster_rules(role: RoleName) -> list[dict[str, Any]]:
    """Rules of the ClusterRole: of what is the cluster's as a whole, and of nothing else."""
    return [
        rule
        for name, verbs in GRANTS[role].items()
        if THINGS[name].cluster
        for rule in _rules(THINGS[name], verbs, [])
    ]


def _rules(thing: Thing, verbs: tuple[str, ...], names: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "apiGroups": [group],
            "resources": list(resources),
            "verbs": list(verbs),
            **({"resourceNames": names} if names else {}),
        }
        for group, resources in thing.kinds
    ]


def iam_statements(role: RoleName, records: Records) -> list[dict[str, Any]]:
    """Statements of the IAM policy; [] for a role that has none."""
    statements: list[dict[str, Any]] = [
        _allow_statement(f"See{name.capitalize()}", actions, ["*"])
        for name, actions in ACCOUNT.get(role, {}).items()
    ]
    if role == "auditor":
        if records.log_group is not None:
            statements.append(
                _allow_statement("ReadTheTrail", LOG_ACTIONS, _with_endings(records.log_group, "", ":*"))
            )
        if records.bucket is not None:
            statements.append(_allow_statement("FindRecords", BUCKET_ACTIONS, [records.bucket]))
            statements.append(
                _allow_statement("ReadRecords", OBJECT_ACTIONS, _with_endings(records.bucket, "/*"))
            )
        if records.key is not None:
            via_service = {"StringEquals": {"kms:ViaService": records.via}}
            statements.append(
                {**_allow_statement("OpenRecords", ("kms:Decrypt",), [records.key]), "Condition": via_service}
            )
    return statements


def _with_endings(arn: Any, *endings: str) -> list[Any]:
    """An ARN with each of these at its end; it may be an output, which knows how to be joined."""
    if isinstance(arn, str):
        return [f"{arn}{ending}" for ending in endings]
    return [arn.apply(lambda value, ending=ending: f"{value}{ending}") for ending in endings]


def _allow_statement(sid: str, actions: Sequence[str], resources: list[Any]) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resources}
