"""Cases of rules for sealers' roles and record shares in AWS."""

from __future__ import annotations

import json
from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.inputs import changed
from tests.policies.cases import Case
from tests.policies.making import resource_of

BUCKET = resource_of("aws:s3/bucket:Bucket", "store", {"objectLockEnabled": True})
PREFIX = "frankfurt/internal"
OBJECTS = f"${{store.arn}}/{PREFIX}/*"
SEALS = [
    {
        "Sid": "Seal",
        "Effect": "Allow",
        "Action": ["s3:PutObject", "s3:PutObjectRetention"],
        "Resource": [OBJECTS],
    },
    {"Sid": "Look", "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["${store.arn}"]},
]


def role(name: str, *statements: dict[str, Any]) -> list[Resource]:
    """A role and its one policy, the policy first."""
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return [
        resource_of(
            "aws:iam/rolePolicy:RolePolicy", f"{name}-policy", {"role": f"${{{name}.name}}", "policy": text}
        ),
        resource_of("aws:iam/role:Role", name, {"assumeRolePolicy": "{}"}),
    ]


def may(action: str, resource: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": [action], "Resource": [resource], **more}


def policy_document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"policy": json.dumps({"Version": "2012-10-17", "Statement": list(statements)})}


def task(name: str, mode: str, by: str | None, **more: Any) -> Resource:
    """A task with this edge configuration."""
    config = {
        **{"mode": mode, "class": "internal", "site": "frankfurt"},
        **(
            {
                "records": "/r",
                "seals": "/s",
                "store": {"region": "eu-central-1", "bucket": "b", "prefix": PREFIX},
            }
            if mode == "sealer"
            else {"audit": {"records": "/r", "seals": "/s"}}
        ),
    }
    mounts = [
        {"sourceVolume": "records", "containerPath": "/r", "readOnly": mode == "sealer"},
        {"sourceVolume": "seals", "containerPath": "/s", "readOnly": mode == "gateway"},
    ]
    box = {
        "name": mode,
        "environment": [{"name": "EDGE_CONFIG", "value": json.dumps(config)}],
        "mountPoints": more.pop("mounts", mounts),
    }
    inputs = {"containerDefinitions": json.dumps([box]), **({"taskRoleArn": by} if by else {}), **more}
    return resource_of("aws:ecs/taskDefinition:TaskDefinition", name, inputs)


def endpoint(principal: str = "${sealer.arn}") -> Resource:
    grant = {
        **{"Effect": "Allow", "Principal": "*", "Action": ["s3:PutObject"], "Resource": [OBJECTS]},
        "Condition": {"ArnEquals": {"aws:PrincipalArn": [principal]}},
    }
    inputs = {
        "serviceName": "com.amazonaws.eu-central-1.s3",
        "vpcEndpointType": "Gateway",
        **policy_document(grant),
    }
    return resource_of("aws:ec2/vpcEndpoint:VpcEndpoint", "s3", inputs)


SEALER = task("sealer-task", "sealer", "${sealer.arn}")
ALONE = [*role("sealer", *SEALS), SEALER, endpoint(), BUCKET]
OTHER = role("gateway", may("bedrock:InvokeModel", "arn:aws:bedrock:eu-central-1:1:guardrail/g"))

POINTS = {"records": (2000, "gateway-records"), "seals": (2001, "sealer-seals")}
FILES = resource_of("aws:efs/fileSystem:FileSystem", "files", {"encrypted": True, "kmsKeyId": "${key.arn}"})
MOUNT = "elasticfilesystem:ClientMount"


def point(folder: str, uid: Any) -> Resource:
    inputs = {
        "fileSystemId": "${files.id}",
        "rootDirectory": {"path": f"/{folder}"},
        "posixUser": {"uid": uid, "gid": 2000},
    }
    return resource_of("aws:efs/accessPoint:AccessPoint", f"{folder}-{uid}", inputs)


def lets(folder: str, uid: int, *, write: bool = True, **more: Any) -> dict[str, Any]:
    actions = [MOUNT, *(["elasticfilesystem:ClientWrite"] if write else [])]
    by = {"StringEquals": {"elasticfilesystem:AccessPointArn": f"${{{folder}-{uid}.arn}}"}}
    principals = {"AWS": ["arn:aws:iam::1:role/r"]}
    return {
        "Sid": "Lets",
        "Effect": "Allow",
        "Principal": principals,
        "Action": actions,
        "Condition": by,
        **more,
    }


TLS = {
    **{"Effect": "Deny", "Principal": {"AWS": "*"}},
    "Action": [MOUNT, "elasticfilesystem:ClientWrite"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
WRITERS = [TLS, lets("records", 2000), lets("seals", 2001)]


def shut(*statements: dict[str, Any]) -> Resource:
    inputs = {"fileSystemId": "${files.id}", **policy_document(*(statements or WRITERS))}
    return resource_of("aws:efs/fileSystemPolicy:FileSystemPolicy", "shut", inputs)


WRITE = "elasticfilesystem:ClientWrite"
_BY = "elasticfilesystem:AccessPointArn"


def denies(condition: dict[str, Any], principal: str = "*") -> dict[str, Any]:
    statement = {"Effect": "Deny", "Principal": {"AWS": principal}, "Action": [MOUNT, WRITE]}
    return {**statement, "Condition": condition}


DENIED = [
    denies({"StringNotEquals": {_BY: ["${records-2000.arn}", "${seals-2001.arn}"]}}),
    *(
        denies(
            {
                "StringEquals": {_BY: [f"${{{point}.arn}}"]},
                "ArnNotEquals": {"aws:PrincipalArn": ["arn:aws:iam::1:role/r"]},
                "Null": {"aws:PrincipalArn": "false"},
            }
        )
        for point in ("records-2000", "seals-2001")
    ),
]
"""What keeps out a role that its own policy lets in."""


def with_managed(name: str) -> Resource:
    arn = f"arn:aws:iam::aws:policy/{name}"
    return resource_of("aws:iam/role:Role", "mine", {"assumeRolePolicy": "{}", "managedPolicyArns": [arn]})


SHARE = [shut(), FILES, point("records", 2000), point("seals", 2001)]
APART = [shut(*WRITERS, *DENIED), *SHARE[1:]]
EFS = {
    "fileSystemId": "${files.id}",
    "transitEncryption": "ENABLED",
    "authorizationConfig": {"accessPointId": "${p.id}", "iam": "ENABLED"},
}
VOLUMES: Any = [{"name": "records", "efsVolumeConfiguration": EFS}]
_HOW = "volumes.0.efsVolumeConfiguration"
WRITES_ALL = [
    {"sourceVolume": name, "containerPath": path} for name, path in (("records", "/r"), ("seals", "/s"))
]

CASES = [
    Case(
        "audit/sealers-seal-alone",
        ALONE,
        fails=[
            policy_document(*SEALS, may("s3:DeleteObjectVersion", OBJECTS)),
            policy_document(*SEALS, may("s3:BypassGovernanceRetention", OBJECTS)),
            policy_document({**SEALS[0], "Resource": ["${store.arn}/*"]}),
            policy_document(*SEALS, may("s3:GetObject", "${store.arn}/*")),
            policy_document(*SEALS, may("s3:PutObjectRetention", "${store.arn}/*")),
            policy_document({**SEALS[0], "Action": "s3:*"}),
            policy_document({"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"}),
        ],
        unknown=["policy"],
        broken=[
            [*ALONE, *role("gateway", may("s3:PutObject", OBJECTS))],
            [*ALONE, *role("gateway", may("s3:DeleteObjectVersion", "*"))],
            [*ALONE, *role("gateway", may("s3:Put*", "arn:aws:s3:::*"))],
            [*ALONE, task("gateway-task", "gateway", "${sealer.arn}")],
            [task("sealer-task", "sealer", None)],
            [*role("sealer", *SEALS), SEALER, endpoint("${gateway.arn}"), BUCKET],
            [*role("sealer", *SEALS), SEALER, BUCKET],
        ],
        also=[
            [*ALONE, *OTHER],
            [*ALONE, *role("fetch", may("s3:PutObject", "arn:aws:s3:::captured/*"))],
            [*ALONE, *role("reads", may("s3:GetObject", "${store.arn}/*"))],
            [*OTHER, BUCKET],
        ],
        one_keeps_it=True,
    ),
    Case(
        "audit/share-apart",
        SHARE,
        fails=[
            policy_document(*WRITERS[1:]),
            policy_document(TLS, lets("records", 2000, Principal={"AWS": "*"}), WRITERS[2]),
            policy_document(TLS, lets("records", 2000, Condition={}), WRITERS[2]),
            policy_document(TLS, lets("records", 2000, Action=[MOUNT, "elasticfilesystem:ClientRootAccess"])),
        ],
        unknown=["policy"],
        broken=[
            SHARE[1:],
            [
                shut(*WRITERS, lets("seals", 2000)),
                *SHARE[1:],
                point("seals", 2000),
            ],
            [
                shut(TLS, lets("records", 2000), lets("seals", 2000)),
                FILES,
                point("records", 2000),
                point("seals", 2000),
            ],
            [*SHARE, changed([point("seals", 0)], {})[0]],
            # EFS lets in whoever a role's own policy allows, whatever the share's policy names.
            [*SHARE, *role("mine", may(MOUNT, "*"))],
            [*SHARE, *role("mine", may("elasticfilesystem:Client*", "${files.arn}"))],
            [*SHARE, *role("mine", may(MOUNT, "arn:aws:elasticfilesystem:eu-central-1:1:file-system/*"))],
            [*SHARE, *role("mine", {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"})],
            [*SHARE, with_managed("AmazonElasticFileSystemClientReadWriteAccess")],
            # A denial that is missing opens one access point.
            [shut(*WRITERS, *DENIED[:-1]), *SHARE[1:], *role("mine", may(WRITE, "*"))],
            [shut(*WRITERS, *DENIED[1:]), *SHARE[1:], *role("mine", may(WRITE, "*"))],
        ],
        also=[
            [FILES],
            APART,
            [*APART, *role("mine", may("elasticfilesystem:Client*", "*"))],
            [*SHARE, *role("mine", may(MOUNT, "arn:aws:elasticfilesystem:eu-central-1:1:file-system/fs-1"))],
            [*SHARE, *role("mine", may("elasticfilesystem:DescribeFileSystems", "*"))],
            [resource_of("aws:efs/accessPoint:AccessPoint", "w", {"fileSystemId": "${files.id}"}), FILES],
        ],
    ),
    Case(
        "audit/share-apart",
        [task("edge", "gateway", None, volumes=VOLUMES), BUCKET],
        fails=[
            {f"{_HOW}.transitEncryption": "DISABLED"},
            {f"{_HOW}.authorizationConfig.iam": "DISABLED"},
            {f"{_HOW}.authorizationConfig.accessPointId": ""},
        ],
        missing=[
            f"{_HOW}.transitEncryption",
            f"{_HOW}.authorizationConfig",
            f"{_HOW}.authorizationConfig.accessPointId",
        ],
        unknown=[f"{_HOW}.transitEncryption", f"{_HOW}.authorizationConfig.iam"],
        broken=[
            [task("edge", "gateway", None, volumes=VOLUMES, mounts=WRITES_ALL)],
            [task("seals", "sealer", None, volumes=VOLUMES, mounts=WRITES_ALL)],
        ],
    ),
]
