"""The execution role of a SageMaker endpoint: SageMaker's permissions to fetch and write for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.aws.common.image_pull import PULL, repository_arn
from components.aws.common.names import aws_name, partition
from components.aws.identity.boundary import boundary_arn

ATTACH = ["ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission"]
DETACH = ["ec2:DeleteNetworkInterface", "ec2:DeleteNetworkInterfacePermission"]
LOOK = [
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
]
"""Actions for hosting a model in a VPC (SageMaker developer guide, "Execution role permissions" of CreateModel; as
of knowledge, not checked)."""
NAMES = 64


def role_name(name: str) -> str:
    """The role's name, which is known before creation, because private endpoints admit it."""
    return aws_name(f"{name}-execution", NAMES)


def role_arn(name: str, region: str, account: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.format("arn:{}:iam::{}:role/{}", partition(region), account, role_name(name))


def log_group(endpoint: str) -> str:
    """The log group of the containers."""
    return f"/aws/sagemaker/Endpoints/{endpoint}"


def bucket_of(uri: str) -> tuple[str, str]:
    """Bucket and folder of `s3://BUCKET/PREFIX/`."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    return bucket, prefix


def read_arns(uris: Sequence[str], region: str) -> list[str]:
    """ARNs of the buckets and folders in S3 that are read."""
    prefix = f"arn:{partition(region)}:s3:::"
    buckets = {bucket_of(uri)[0] for uri in uris}
    return [
        *sorted(prefix + bucket for bucket in buckets),
        *sorted({prefix + uri.removeprefix("s3://") + "*" for uri in uris}),
    ]


@dataclass(frozen=True)
class ModelFiles:
    """What SageMaker fetches and writes for an endpoint."""

    uris: Sequence[str]
    """Folders of the weights in S3."""
    images: Sequence[str]
    """Container images in Amazon ECR."""
    captured: pulumi.Input[str] | None
    """ARN of the bucket for prompts and answers. None: they are not stored."""
    keys: Sequence[pulumi.Input[str]]
    """ARNs of the keys of everything that it reads and writes."""


def statements(
    endpoint: str,
    files: ModelFiles,
    *,
    region: str,
    account: pulumi.Input[str],
    subnets: pulumi.Input[Sequence[pulumi.Input[str]]],
    group: pulumi.Input[str],
) -> list[dict[str, Any]]:
    """The role's permissions. `subnets` and `group`: ids of the subnets and security group of the model.

    Every resource is named, except for actions without resources, and network interfaces, whose names AWS
    generates.
    """
    return [
        *_fetch_statements(endpoint, files, region),
        *_log_statements(endpoint, region, account),
        *_network_statements(region, account, subnets, group),
        *_capture_statements(endpoint, files),
    ]


def _fetch_statements(endpoint: str, files: ModelFiles, region: str) -> list[dict[str, Any]]:
    """Permissions to fetch weights and images."""
    arns = read_arns(files.uris, region)
    objects = [arn for arn in arns if arn.endswith("*")]
    buckets = [arn for arn in arns if not arn.endswith("*")]
    prefixes = sorted({f"{bucket_of(uri)[1]}*" for uri in files.uris})
    return [
        _allow("ReadWeights", ["s3:GetObject"], objects),
        _allow("ListWeights", ["s3:ListBucket"], buckets, {"StringLike": {"s3:prefix": prefixes}}),
        _allow("PullImage", PULL, [repository_arn(image, endpoint) for image in files.images]),
        _allow("Login", ["ecr:GetAuthorizationToken"], ["*"]),
    ]


def _log_statements(endpoint: str, region: str, account: pulumi.Input[str]) -> list[dict[str, Any]]:
    """Permissions for the containers' log and metrics."""
    stream = pulumi.Output.format(
        "arn:{}:logs:{}:{}:log-group:{}", partition(region), region, account, log_group(endpoint)
    )
    return [
        _allow(
            "WriteLog",
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [pulumi.Output.concat(stream, ":log-stream:*")],
        ),
        _allow("DescribeLog", ["logs:DescribeLogStreams"], [stream]),
        _allow(
            "Measure",
            ["cloudwatch:PutMetricData"],
            ["*"],
            {"StringEquals": {"cloudwatch:namespace": "/aws/sagemaker/Endpoints"}},
        ),
    ]


def _network_statements(
    region: str,
    account: pulumi.Input[str],
    subnets: pulumi.Input[Sequence[pulumi.Input[str]]],
    group: pulumi.Input[str],
) -> list[dict[str, Any]]:
    """Permissions for network interfaces in the subnets and the security group."""
    ec2 = pulumi.Output.format("arn:{}:ec2:{}:{}:", partition(region), region, account)
    interface_arns = pulumi.Output.all(base=ec2, subnets=subnets, group=group).apply(
        lambda values: [
            values["base"] + "network-interface/*",
            *(f"{values['base']}subnet/{subnet}" for subnet in values["subnets"]),
            f"{values['base']}security-group/{values['group']}",
        ]
    )
    return [
        _allow("JoinTheNetwork", ATTACH, interface_arns),
        _allow("LeaveTheNetwork", DETACH, [pulumi.Output.concat(ec2, "network-interface/*")]),
        _allow("LookAtTheNetwork", LOOK, ["*"]),
    ]


def _capture_statements(endpoint: str, files: ModelFiles) -> list[dict[str, Any]]:
    """Permissions for captured prompts and answers, and for the keys of everything that is read and written."""
    allowed: list[dict[str, Any]] = []
    if files.captured is not None:
        objects = [pulumi.Output.concat(files.captured, f"/{endpoint}/*")]
        allowed.append(_allow("Capture", ["s3:PutObject"], objects))
    if files.keys:
        allowed.append(_allow("OpenAndSeal", ["kms:Decrypt", "kms:GenerateDataKey"], list(files.keys)))
    return allowed


def execution_role(
    name: str,
    role_name_given: str,
    *,
    account: pulumi.Input[str],
    boundary: Any,
    role_statements: Any,
    tags: dict[str, str],
    opts: Any,
) -> Any:
    """The role, which only SageMaker in this account may assume. `role_name_given`: from `role_name`."""
    from pulumi_aws.iam import Role

    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "SageMakerOfThisAccount",
                "Effect": "Allow",
                "Principal": {"Service": "sagemaker.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": account}},
            }
        ],
    }
    return Role(
        f"{name}-execution",
        name=role_name_given,
        description="Fetches weights and image of a model, and writes its log",
        assume_role_policy=pulumi.Output.json_dumps(trust),
        permissions_boundary=boundary_arn(f"{name}-execution", boundary, role_statements, opts, tags=tags),
        tags=tags,
        opts=opts,
    )


def _allow(
    sid: str, actions: list[str], resources: Any, condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": condition} if condition else statement
