"""The roles of an EKS cluster and its key's policy. Each role and its boundary have only the needed permissions.

AWS's managed policies for these roles also let a cluster create load balancers, routes and volumes. These do not.
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
"""ServiceAccount of AWS's network plugin, in kube-system."""
LOOKS = ["ec2:DescribeInstances", "ec2:DescribeInstanceTypes"]
"""Calls with which a node looks up its own data when it joins."""
CNI_LOOKS = [
    *LOOKS,
    "ec2:DescribeNetworkInterfaces",
    # VPC CNI 1.22.1 stops without this permission (in AmazonEKS_CNI_Policy since 2026-03-04; eksctl issue 8768).
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
"""Calls with which the plugin assigns addresses of the network to pods (AWS managed policy AmazonEKS_CNI_Policy)."""
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
    """Create a role with one policy. Returns its ARN, which is known when the policy is attached, so that nobody
    gets a role without permissions.

    `boundary_only`: further statements of its boundary, for permissions that only a resource's own policy grants. A
    role without other statements gets no policy.
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
    """The minimum for a cluster without load balancers (EKS user guide, "Amazon EKS cluster IAM role")."""
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
            # Leftover interfaces of the network plugin prevent the deletion of subnets and groups.
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
    """A node finds its cluster and itself, gives pods their identities, and pulls named images."""
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
    """AWS generates the names of interfaces and instances. Subnets and groups belong to this account and region."""
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
    """The policy of the key for Secrets and volumes: the account may delegate it, and auto scaling decrypts
    volumes.

    EKS takes a grant in the name of the cluster's creator, and conditions on grants for AWS's resources do not work
    there (EKS user guide, "Encrypt Kubernetes secrets with KMS"). The service-linked role must exist before the
    policy can name it. It exists if auto scaling was ever used in the account.
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
