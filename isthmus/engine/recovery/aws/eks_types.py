"""Lookups of EKS resources after an interrupted creation.

Operations and members are botocore's. Ids are those of pulumi-aws 7, or of the sandbox's provider where that differs.
"""

from __future__ import annotations

from isthmus.engine.project.aws_account import Aws
from isthmus.engine.recovery.aws.lookup import ByTags, Lookup, by_name, setting
from isthmus.engine.recovery.aws.settings_types import in_sandbox
from isthmus.engine.state.interrupted_creations import Creation, Verdict

_CLUSTER_PARAMS = {"clusterName": "{clusterName}"}


def _pod_identity(aws: Aws, creation: Creation) -> Verdict:
    """The id in pulumi-aws is the association's id; in the sandbox's provider, the cluster's name precedes it."""
    find = ByTags(
        "eks",
        "list_pod_identity_associations",
        "associations",
        "{clusterName},{item[associationId]}" if in_sandbox() else "{item[associationId]}",
        params={**_CLUSTER_PARAMS, "namespace": "{namespace}", "serviceAccount": "{serviceAccount}"},
        tags=("list_tags_for_resource", {"resourceArn": "{item[associationArn]}"}, "tags"),
    )
    return find(aws, creation)


EKS: dict[str, Lookup] = {
    "aws:ec2/launchTemplate:LaunchTemplate": ByTags(
        "ec2",
        "describe_launch_templates",
        "LaunchTemplates",
        "{item[LaunchTemplateId]}",
        tags=(
            "describe_tags",
            {"Filters": [{"Name": "resource-id", "Values": ["{item[LaunchTemplateId]}"]}]},
            "Tags",
        ),
        created="CreateTime",
    ),
    "aws:eks/cluster:Cluster": by_name(
        "eks", "describe_cluster", {"name": "{name}"}, "{name}", item_path="cluster", tags="tags"
    ),
    "aws:eks/nodeGroup:NodeGroup": by_name(
        "eks",
        "describe_nodegroup",
        {**_CLUSTER_PARAMS, "nodegroupName": "{nodeGroupName}"},
        "{clusterName}:{nodeGroupName}",
        name="nodeGroupName",
        item_path="nodegroup",
        tags="tags",
    ),
    "aws:eks/addon:Addon": by_name(
        "eks",
        "describe_addon",
        {**_CLUSTER_PARAMS, "addonName": "{addonName}"},
        "{clusterName}:{addonName}",
        name="addonName",
        item_path="addon",
        tags="tags",
    ),
    "aws:eks/accessEntry:AccessEntry": by_name(
        "eks",
        "describe_access_entry",
        {**_CLUSTER_PARAMS, "principalArn": "{principalArn}"},
        "{clusterName}:{principalArn}",
        name="principalArn",
        item_path="accessEntry",
        tags="tags",
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": setting(),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _pod_identity,
}
