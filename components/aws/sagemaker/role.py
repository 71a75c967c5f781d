"""The role of a SageMaker endpoint: what SageMaker may fetch and write for it, and nothing of what it serves."""

from collections.abc import Sequence
from typing import Any

import pulumi

from components.aws.common.image_pull import PULL, repository
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
"""What hosting a model in a VPC needs (SageMaker developer guide, "Execution role permissions" of CreateModel; as of
knowledge, not checked)."""
NAMES = 64


def role_name(name: str) -> str:
    """The role's name, known before it is made: private endpoints let it in."""
    return aws_name(f"{name}-execution", NAMES)


def role_arn(name: str, region: str, account: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.format("arn:{}:iam::{}:role/{}", partition(region), account, role_name(name))


def log_group(endpoint: str) -> str:
    """Where SageMaker writes what the containers say."""
    return f"/aws/sagemaker/Endpoints/{endpoint}"


def bucket_of(uri: str) -> tuple[str, str]:
    """Bucket and folder of `s3://BUCKET/PREFIX/`."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    return bucket, prefix


def reads(uris: Sequence[str], region: str) -> list[str]:
    """ARNs of what is read of folders in S3: the buckets, and what lies in the folders."""
    of = f"arn:{partition(region)}:s3:::"
    buckets = {bucket_of(uri)[0] for uri in uris}
    return [
        *sorted(of + one for one in buckets),
        *sorted({of + uri.removeprefix("s3://") + "*" for uri in uris}),
    ]


def statements(
    endpoint: str,
    *,
    uris: Sequence[str],
    images: Sequence[str],
    region: str,
    account: pulumi.Input[str],
    captured: pulumi.Input[str] | None,
    keys: Sequence[pulumi.Input[str]],
    subnets: pulumi.Input[Sequence[pulumi.Input[str]]],
    group: pulumi.Input[str],
) -> list[dict[str, Any]]:
    """What the role may do. `captured`: ARN of the bucket for prompts and answers; `keys`: of what it reads and writes.

    Every resource is named but for calls that know none, and network interfaces, which AWS makes up.
    """
    of = partition(region)
    ec2 = pulumi.Output.format("arn:{}:ec2:{}:{}:", of, region, account)
    named = pulumi.Output.all(base=ec2, subnets=subnets, group=group).apply(
        lambda found: [
            found["base"] + "network-interface/*",
            *(f"{found['base']}subnet/{each}" for each in found["subnets"]),
            f"{found['base']}security-group/{found['group']}",
        ]
    )
    buckets = [one for one in reads(uris, region) if not one.endswith("*")]
    prefixes = sorted({f"{bucket_of(uri)[1]}*" for uri in uris})
    stream = pulumi.Output.format("arn:{}:logs:{}:{}:log-group:{}", of, region, account, log_group(endpoint))
    made = [
        _allow("ReadWeights", ["s3:GetObject"], [one for one in reads(uris, region) if one.endswith("*")]),
        _allow("ListWeights", ["s3:ListBucket"], buckets, {"StringLike": {"s3:prefix": prefixes}}),
        _allow("PullImage", PULL, [repository(image, endpoint) for image in images]),
        _allow("Login", ["ecr:GetAuthorizationToken"], ["*"]),
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
        _allow("JoinTheNetwork", ATTACH, named),
        _allow("LeaveTheNetwork", DETACH, [pulumi.Output.concat(ec2, "network-interface/*")]),
        _allow("LookAtTheNetwork", LOOK, ["*"]),
    ]
    if captured is not None:
        made.append(_allow("Capture", ["s3:PutObject"], [pulumi.Output.concat(captured, f"/{endpoint}/*")]))
    if keys:
        made.append(_allow("OpenAndSeal", ["kms:Decrypt", "kms:GenerateDataKey"], list(keys)))
    return made


def execution_role(
    name: str,
    called: str,
    *,
    account: pulumi.Input[str],
    boundary: Any,
    most: Any,
    tags: dict[str, str],
    opts: Any,
) -> Any:
    """The role, which SageMaker of this account alone can assume. `called`: as of `role_name`."""
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
        name=called,
        description="Fetches weights and image of a model, and writes its log",
        assume_role_policy=pulumi.Output.json_dumps(trust),
        permissions_boundary=boundary_arn(f"{name}-execution", boundary, most, opts, tags=tags),
        tags=tags,
        opts=opts,
    )


def _allow(
    sid: str, actions: list[str], resources: Any, when: dict[str, Any] | None = None
) -> dict[str, Any]:
    made = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return {**made, "Condition": when} if when else made
