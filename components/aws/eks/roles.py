"""The roles of an EKS cluster and its key's policy: each does what it is for, and its boundary allows no more.

AWS's managed policies for the same roles also let a cluster make load balancers, routes and volumes; nothing here does.
"""

from collections.abc import Sequence
from typing import Any

import pulumi

from components.aws.common.image_pull import PULL
from components.aws.common.keys import STORE_UNDER, administration_statement
from components.aws.common.names import aws_name, partition
from components.aws.common.role_policy import role_policy
from components.aws.identity.boundary import boundary_arn
from components.aws.identity.pod_identity import PodIdentity, pod_trust

CNI_ACCOUNT = "aws-node"
"""The service account of AWS's network plugin, in kube-system."""
LOOKS = ["ec2:DescribeInstances", "ec2:DescribeInstanceTypes"]
"""What a machine looks up of itself when it joins."""
CNI_LOOKS = [
    *LOOKS,
    "ec2:DescribeNetworkInterfaces",
    # VPC CNI 1.22.1 ends where it may not (in AmazonEKS_CNI_Policy since 2026-03-04; eksctl issue 8768).
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeTags",
]
CNI_CHANGES = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:AttachNetworkInterface",
    "ec2:CreateNetworkInterface",
    "ec2:CreateTags",
    "ec2:DeleteNetworkInterface",
    "ec2:DetachNetworkInterface",
    "ec2:ModifyNetworkInterfaceAttribute",
    "ec2:UnassignPrivateIpAddresses",
]
"""How the plugin gives pods addresses of the network (AWS managed policy AmazonEKS_CNI_Policy)."""
ADDON_IMAGES = ("eks/*", "amazon-k8s-cni", "amazon-k8s-cni-init", "amazon/aws-network-policy-agent")
"""Repositories of the addons' images in AWS's own registry."""


def service_trust(service: str, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": ["sts:AssumeRole"],
    }
    return {
        "Version": "2012-10-17",
        "Statement": [statement | ({"Condition": condition} if condition else {})],
    }


def create_bounded_role(
    name: str,
    description: str,
    trust: Any,
    statements: list[dict[str, Any]],
    boundary: pulumi.Input[str] | None,
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
    boundary_only: Sequence[dict[str, Any]] = (),
) -> pulumi.Output[str]:
    """ARN of a role with one policy; known once the policy is there: nobody bears a role that can do nothing.

    `boundary_only`: what its boundary allows as well, and only a resource's own policy grants. A role with nothing else
    gets no policy.
    """
    from pulumi_aws.iam import Role

    role = Role(
        f"{name}-role",
        name=aws_name(f"{name}-role", 64),
        description=description,
        assume_role_policy=pulumi.Output.json_dumps(trust),
        permissions_boundary=boundary_arn(name, boundary, [*boundary_only, *statements], opts, tags=tags),
        tags=tags,
        opts=opts,
    )
    if not statements:
        return role.arn
    policy = role_policy(f"{name}-policy", role, statements, opts)
    return pulumi.Output.all(role.arn, policy.id).apply(lambda values: str(values[0]))


def cluster_trust(region: str, account: pulumi.Input[str]) -> dict[str, Any]:
    source = pulumi.Output.format("arn:{}:eks:{}:{}:cluster/*", partition(region), region, account)
    return service_trust("eks.amazonaws.com", {"ArnLike": {"aws:SourceArn": source}})


def cluster_statements(region: str, account: pulumi.Input[str]) -> list[dict[str, Any]]:
    """The least that a cluster without load balancers needs (EKS user guide, "Amazon EKS cluster IAM role")."""
    instances = pulumi.Output.format("arn:{}:ec2:{}:{}:instance/*", partition(region), region, account)
    interfaces = pulumi.Output.format(
        "arn:{}:ec2:{}:{}:network-interface/*", partition(region), region, account
    )
    return [
        {
            "Sid": "MarkItsMachines",
            "Effect": "Allow",
            "Action": ["ec2:CreateTags"],
            "Resource": [instances],
            "Condition": {"ForAnyValue:StringLike": {"aws:TagKeys": "kubernetes.io/cluster/*"}},
        },
        {
            "Sid": "Look",
            "Effect": "Allow",
            "Action": [
                "ec2:DescribeAvailabilityZones",
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeInstanceTopology",
                "ec2:DescribeInstances",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeVpcs",
            ],
            "Resource": ["*"],
        },
        {
            # Interfaces that the network plugin left behind keep subnets and groups from going.
            "Sid": "SweepInterfaces",
            "Effect": "Allow",
            "Action": ["ec2:DeleteNetworkInterface"],
            "Resource": [interfaces],
            "Condition": {"StringEquals": {"ec2:ResourceTag/eks:eni:owner": "amazon-vpc-cni"}},
        },
        {
            "Sid": "SeeItsKey",
            "Effect": "Allow",
            "Action": ["kms:DescribeKey"],
            "Resource": [pulumi.Output.format("arn:{}:kms:{}:{}:key/*", partition(region), region, account)],
        },
    ]


def node_statements(cluster_arn: Any, repositories: list[Any]) -> list[dict[str, Any]]:
    """A machine finds its cluster and itself, hands pods their identities, and pulls named images."""
    return [
        {"Sid": "LookItselfUp", "Effect": "Allow", "Action": LOOKS, "Resource": ["*"]},
        {
            "Sid": "Join",
            "Effect": "Allow",
            "Action": ["eks:DescribeCluster", "eks-auth:AssumeRoleForPodIdentity"],
            "Resource": [cluster_arn],
        },
        {"Sid": "LogIn", "Effect": "Allow", "Action": ["ecr:GetAuthorizationToken"], "Resource": ["*"]},
        {"Sid": "Pull", "Effect": "Allow", "Action": PULL, "Resource": repositories},
    ]


def cni_statements(region: str, account: pulumi.Input[str]) -> list[dict[str, Any]]:
    return [
        {"Sid": "Look", "Effect": "Allow", "Action": CNI_LOOKS, "Resource": ["*"]},
        {
            "Sid": "Address",
            "Effect": "Allow",
            "Action": CNI_CHANGES,
            "Resource": cni_resources(region, account),
        },
    ]


def cni_resources(region: str, account: pulumi.Input[str]) -> list[Any]:
    """Interfaces and machines have names that AWS makes up; subnets and groups are of this account and region."""
    kinds = ("network-interface", "instance", "subnet", "security-group")
    return [
        pulumi.Output.format("arn:{}:ec2:{}:{}:{}/*", partition(region), region, account, kind)
        for kind in kinds
    ]


def cni_pod(cluster: Any, cluster_arn: Any) -> PodIdentity:
    return {
        "cluster": cluster,
        "cluster_arn": cluster_arn,
        "namespace": "kube-system",
        "service_account": CNI_ACCOUNT,
    }


def cni_trust(cluster: Any, cluster_arn: Any, account: pulumi.Input[str]) -> dict[str, Any]:
    return pod_trust(cni_pod(cluster, cluster_arn), account)


def sealing_policy(region: str, account: pulumi.Input[str]) -> dict[str, Any]:
    """Of the key for Secrets and volumes: the account gives it on, auto scaling opens volumes with it.

    EKS takes a grant in the name of whoever makes the cluster, and no condition on grants for AWS's resources holds
    there (EKS user guide, "Encrypt Kubernetes secrets with KMS"). The service-linked role must exist before the
    policy can name it; it does where auto scaling was ever used.
    """
    aws_partition = partition(region)
    machines = pulumi.Output.format(
        "arn:{}:iam::{}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
        aws_partition,
        account,
    )
    return {
        "Version": "2012-10-17",
        "Statement": [
            administration_statement(
                aws_partition, account, extra_actions=["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"]
            ),
            {
                "Sid": "OpenVolumes",
                "Effect": "Allow",
                "Principal": {"AWS": machines},
                "Action": STORE_UNDER,
                "Resource": "*",
            },
            {
                "Sid": "AttachVolumes",
                "Effect": "Allow",
                "Principal": {"AWS": machines},
                "Action": ["kms:CreateGrant"],
                "Resource": "*",
                "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
            },
        ],
    }


def addon_repositories(region: str, addon_account: str) -> list[str]:
    aws_partition = partition(region)
    return [
        f"arn:{aws_partition}:ecr:{region}:{addon_account}:repository/{repository}"
        for repository in ADDON_IMAGES
    ]
