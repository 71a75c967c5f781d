"""Cases of rules for accounts with access, networks of identities, and alarm subscribers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from isthmus.contracts.platform.model.aws.eks import Admin, Cluster
from isthmus.contracts.platform.model.platform import Contacts, Site
from isthmus.contracts.reference import aws_actions
from isthmus.engine.render.recorder import Resource
from tests.policies.cases import Case
from tests.policies.cases_aws import DEPUTY, allow, policy
from tests.policies.cases_cluster import TASK_BOX
from tests.policies.making import platform_with, resource_of

OURS, OTHER = "123456789012", "444455556666"
WORD = platform_with(
    sites=[Site(name="frankfurt", kind="aws", jurisdiction="de", region="eu-central-1", account_id=OURS)],
    clusters=[
        Cluster(
            name="eks",
            site="frankfurt",
            admins=[Admin(name="platform", principal=f"arn:aws:iam::{OURS}:role/platform")],
        )
    ],
    contacts=Contacts(security=["security@bank.example"], operations=["team@bank.example"]),
)
CALLS = ["bedrock:InvokeModel"]
ELSEWHERE = {
    **{"Effect": "Deny", "Action": CALLS, "Resource": "*"},
    "Condition": {"StringNotEquals": {"aws:SourceVpc": "${vpc.id}"}},
}
MODELS = allow(CALLS, "arn:aws:bedrock:eu-central-1:1:application-inference-profile/x")
TASKS = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs-tasks.amazonaws.com"}}


def trusted(caller: str, **more: Any) -> dict[str, Any]:
    principal = {"AWS": f"arn:aws:iam::{caller}:root"}
    return {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}


def borne(*trust: dict[str, Any], **more: Any) -> Any:
    tags = {"isthmus.dev/identity": "internal", "isthmus.dev/class": "internal"}
    return resource_of(
        "aws:iam/role:Role", "bearer", {"assumeRolePolicy": policy(*trust), "tags": tags, **more}
    )


def granted(*statements: dict[str, Any]) -> Any:
    inputs = {"role": "${bearer.name}", "policy": policy(*statements)}
    return resource_of("aws:iam/rolePolicy:RolePolicy", "grant", inputs)


def denies(*calls: str) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": list(calls), "Resource": "*"}


EVERY = (
    *aws_actions.STOP_TRAIL_ACTIONS,
    *aws_actions.STOP_MONITORING_ACTIONS,
    *aws_actions.DISABLE_KEY_ACTIONS,
    *aws_actions.OTHER_IDENTITY_ACTIONS,
)
BOUND = resource_of("aws:iam/policy:Policy", "bound", {"policy": policy(MODELS, denies(*EVERY))})
ADMITS = resource_of(
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
    "admits",
    {"clusterName": "eks", "principalArn": f"arn:aws:iam::{OURS}:role/platform"},
)
COUNTS = resource_of(
    "aws:cloudwatch/logMetricFilter:LogMetricFilter",
    "counts",
    {"metricTransformation": {"namespace": "isthmus/audit", "name": "trail", "value": "1"}},
)
TOPIC = resource_of("aws:sns/topic:Topic", "topic", {})
ALARM = resource_of(
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    "alarm",
    {"namespace": "isthmus/audit", "metricName": "trail", "alarmActions": ["${topic.arn}"]},
)
SUBSCRIBED = resource_of(
    "aws:sns/topicSubscription:TopicSubscription",
    "security",
    {"topic": "${topic.arn}", "protocol": "email", "endpoint": "security@bank.example"},
)
SUBSCRIBED_TEAM = replace(
    SUBSCRIBED, inputs={"topic": "${topic.arn}", "protocol": "email", "endpoint": "team@bank.example"}
)


def _of_component(resource: Resource) -> Resource:
    return replace(
        resource, urn=f"urn:pulumi:dev::bank::isthmus:index:Alarms${resource.type}::{resource.name}"
    )


_WATCH = resource_of("aws:cloudwatch/eventRule:EventRule", "watch", {"name": "watch"})
_TELLS = {"rule": "watch", "arn": "${topic.arn}"}
_TARGET = resource_of("aws:cloudwatch/eventTarget:EventTarget", "target", _TELLS)
_TAGGED = replace(ALARM, inputs={**ALARM.inputs, "tags": {"isthmus.dev/audit": "frankfurt"}})
_SERVING = replace(
    ALARM, inputs={**ALARM.inputs, "namespace": "AWS/Bedrock", "metricName": "InvocationThrottles"}
)
LOGGED = {**TASK_BOX, "logConfiguration": {"logDriver": "awslogs", "options": {}}}


def defined(*boxes: dict[str, Any]) -> Any:
    return resource_of(
        "aws:ecs/taskDefinition:TaskDefinition", "task", {"containerDefinitions": json.dumps(boxes)}
    )


TLS = {
    **{"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": "${topic.arn}"},
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
SEALED = resource_of(
    "aws:sns/topicPolicy:TopicPolicy", "sealed", {"arn": "${topic.arn}", "policy": policy(TLS)}
)
FROM_A_VPC = {**MODELS, "Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}}
LOOSELY = {**ELSEWHERE, "Condition": {"StringNotEqualsIfExists": {"aws:SourceVpc": "vpc-1"}}}

_THERE = ["eu-west-1"]
BUT_ROUTED = {
    **ELSEWHERE,
    "Condition": {"StringNotEquals": {"aws:SourceVpc": "${vpc.id}", "aws:RequestedRegion": _THERE}},
}
PAST_THE_PROFILE = {
    **ELSEWHERE,
    "Condition": {
        "StringEquals": {"aws:RequestedRegion": _THERE},
        "ArnNotLike": {
            "bedrock:InferenceProfileArn": ["arn:aws:bedrock:eu-central-1:1:application-inference-profile/*"]
        },
    },
}

CASES = [
    Case(
        "identity/our-accounts",
        [borne(TASKS, trusted(OURS))],
        fails=[
            {"assumeRolePolicy": policy(trusted(OTHER))},
            {"assumeRolePolicy": policy(trusted(OTHER, Condition={"StringEquals": {"sts:ExternalId": "x"}}))},
        ],
        broken=[
            [
                resource_of(
                    "aws:s3/bucketPolicy:BucketPolicy",
                    "b",
                    {"policy": policy({**trusted(OTHER), "Action": "s3:GetObject"})},
                )
            ],
            [
                resource_of(
                    "aws:kms/key:Key",
                    "k",
                    {"policy": policy({**trusted(OTHER), "Principal": {"AWS": OTHER}})},
                )
            ],
        ],
        also=[
            [resource_of("aws:kms/key:Key", "k", {"policy": policy({**trusted(OTHER), "Effect": "Deny"})})]
        ],
        platform=WORD,
    ),
    Case(
        "identity/from-our-networks",
        [granted(MODELS, ELSEWHERE), borne(TASKS)],
        fails=[  # Held where it is made, and in a destination not to a profile, or not in each of them.
            {"policy": policy(MODELS, BUT_ROUTED)},
            {"policy": policy(MODELS, PAST_THE_PROFILE)},
            {
                "policy": policy(
                    MODELS,
                    {
                        **BUT_ROUTED,
                        "Condition": {
                            "StringNotEquals": {
                                "aws:SourceVpc": "vpc-1",
                                "aws:RequestedRegion": [*_THERE, "us-east-1"],
                            }
                        },
                    },
                    PAST_THE_PROFILE,
                )
            },
            {"policy": policy(MODELS)},
            {"policy": policy(MODELS, LOOSELY)},
            {"policy": policy(MODELS, {**ELSEWHERE, "Action": "bedrock:ApplyGuardrail"})},
        ],
        also=[
            [granted(FROM_A_VPC), borne(TASKS)],
            [granted(MODELS, BUT_ROUTED, PAST_THE_PROFILE), borne(TASKS)],
            [granted(MODELS), borne(TASKS, tags={"isthmus.dev/class": "public"})],
            [granted(allow("s3:GetObject")), borne(TASKS)],
        ],
    ),
    Case(
        "identity/class-roles-bounded",
        [borne(DEPUTY, permissionsBoundary="${bound.arn}"), BOUND],
        fails=[
            {"permissionsBoundary": None},
            {"permissionsBoundary": f"arn:aws:iam::{OURS}:policy/nobody-states-it"},
        ],
        missing=["permissionsBoundary"],
        unknown=["permissionsBoundary"],
        also=[[borne(DEPUTY, tags={}, permissionsBoundary=f"arn:aws:iam::{OURS}:policy/of-no-class")]],
        platform=WORD,
    ),
    Case(
        "identity/boundaries-deny",
        [BOUND, borne(DEPUTY, permissionsBoundary="${bound.arn}")],
        fails=[
            {"policy": policy(MODELS, denies(*EVERY[1:]))},
            {
                "policy": policy(
                    MODELS, {**denies(*EVERY), "Condition": {"Bool": {"aws:ViaAWSService": "false"}}}
                )
            },
        ],
        missing=["policy"],
        unknown=["policy"],
        also=[[resource_of("aws:iam/policy:Policy", "other", {"policy": policy(MODELS)}), borne(DEPUTY)]],
    ),
    Case(
        "identity/admins-stated",
        [ADMITS],
        fails=[{"principalArn": f"arn:aws:iam::{OURS}:role/contractors"}],
        unknown=["principalArn"],
        also=[[resource_of(ADMITS.type, "own", {"principalArn": "${bearer.arn}"}), borne(TASKS)]],
        platform=WORD,
    ),
    Case(
        "audit/alarms-fed",
        [COUNTS, ALARM],
        fails=[{"metricTransformation.name": "other"}, {"metricTransformation.namespace": "other"}],
        missing=["metricTransformation"],
        broken=[[ALARM]],
        also=[
            [resource_of(ALARM.type, "aws", {"namespace": "AWS/Logs", "metricName": "IncomingLogEvents"})],
            [
                ALARM,
                granted(
                    {
                        **allow("cloudwatch:PutMetricData", "*"),
                        "Condition": {"StringEquals": {"cloudwatch:namespace": "isthmus/audit"}},
                    }
                ),
            ],
        ],
        one_keeps_it=True,
    ),
    Case(
        "audit/alarms-read",
        [SUBSCRIBED, ALARM, _of_component(TOPIC)],
        fails=[{"endpoint": "nobody@bank.example"}, {"topic": "arn:aws:sns:eu-central-1:1:other"}],
        missing=["topic"],
        broken=[
            [ALARM, TOPIC],
            [SUBSCRIBED_TEAM, _of_component(ALARM), TOPIC],
            [SUBSCRIBED_TEAM, _of_component(_TARGET), TOPIC],
            [SUBSCRIBED_TEAM, _TARGET, _of_component(_WATCH), TOPIC],
            [SUBSCRIBED_TEAM, _TAGGED, TOPIC],
            [SUBSCRIBED_TEAM, _of_component(_SERVING), ALARM, TOPIC],
            [SUBSCRIBED, _of_component(_SERVING), TOPIC],
        ],
        also=[
            [TOPIC],
            [SUBSCRIBED_TEAM, _of_component(_SERVING), TOPIC],
            [SUBSCRIBED_TEAM, ALARM, TOPIC],
            [SUBSCRIBED_TEAM, _TARGET, _WATCH, TOPIC],
        ],
        platform=WORD,
    ),
    Case(
        "audit/tasks-logged",
        [defined(LOGGED)],
        fails=[{"containerDefinitions": json.dumps([LOGGED, TASK_BOX])}],
    ),
    Case(
        "encryption/topics-tls-only",
        [SEALED, TOPIC],
        fails=[
            {"policy": policy({**TLS, "Principal": {"AWS": OURS}})},
            {"arn": "arn:aws:sns:eu-central-1:1:other"},
        ],
        missing=["policy"],
        unknown=["policy"],
        broken=[[TOPIC]],
    ),
]
