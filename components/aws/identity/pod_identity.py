"""EKS Pod Identity: lets one service account of one namespace assume a role."""

from typing import Any, TypedDict

import pulumi


class PodIdentity(TypedDict):
    """The pods that have a role."""

    cluster: pulumi.Input[str]
    """Name of the cluster in EKS."""
    cluster_arn: pulumi.Input[str]
    """ARN of the cluster."""
    namespace: str
    """Namespace of the pods."""
    service_account: str
    """Their ServiceAccount."""


def create_association(
    name: str,
    pod: PodIdentity,
    role: pulumi.Input[str],
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> pulumi.Output[str]:
    """Associate the role with the pods. Returns the association's id."""
    from pulumi_aws.eks import PodIdentityAssociation

    return PodIdentityAssociation(
        f"{name}-pods",
        cluster_name=pod["cluster"],
        namespace=pod["namespace"],
        service_account=pod["service_account"],
        role_arn=role,
        tags=tags,
        opts=opts,
    ).association_id


def pod_trust(pod: PodIdentity, account: pulumi.Input[str]) -> dict[str, Any]:
    """The trust policy: EKS Pod Identity, for this account's cluster and pods of this ServiceAccount only.

    EKS sets the session's tags, not the pod (EKS user guide, "Create IAM role with trust policy required by EKS Pod
    Identity", read 2026-11).
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "OneServiceAccount",
                "Effect": "Allow",
                "Principal": {"Service": "pods.eks.amazonaws.com"},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Condition": {
                    "StringEquals": {
                        "aws:SourceAccount": account,
                        "aws:RequestTag/kubernetes-namespace": pod["namespace"],
                        "aws:RequestTag/kubernetes-service-account": pod["service_account"],
                    },
                    "ArnEquals": {"aws:SourceArn": pod["cluster_arn"]},
                },
            }
        ],
    }
