"""Who may become a role as a pod of an EKS cluster: one service account of one namespace of one cluster."""

from typing import Any, TypedDict

import pulumi


class PodIdentity(TypedDict):
    """The pods that bear a role."""

    cluster: pulumi.Input[str]
    """Name of the cluster in EKS."""
    cluster_arn: pulumi.Input[str]
    """ARN of the cluster."""
    namespace: str
    """Namespace of the pods."""
    service_account: str
    """Their service account."""


def pod_trust(pod: PodIdentity, account: pulumi.Input[str]) -> dict[str, Any]:
    """The pods' own service alone, for this account's cluster, and only pods of this service account.

    The tags are the session's, set by EKS and not by the pod (EKS user guide, "Create IAM role with trust policy
    required by EKS Pod Identity", read 2026-11).
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
