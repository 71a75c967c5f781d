"""How clusters in AWS and what stands in them are looked for after a creation that was cut off.

Operations and members are botocore's; ids are those of pulumi-aws 7, and of the sandbox's provider where it differs.
"""

from __future__ import annotations

from isthmus.engine.project.aws_account import Aws
from isthmus.engine.recovery.aws.lookup import Way, named, put, tagged
from isthmus.engine.recovery.aws.settings_types import simulated
from isthmus.engine.state.interrupted_creations import Creation, Verdict

_OF = {"clusterName": "{clusterName}"}


def _pods(aws: Aws, creation: Creation) -> Verdict:
    """AWS's plugin takes the association's id alone; the sandbox's says the cluster before it."""
    way = tagged(
        "eks",
        "list_pod_identity_associations",
        "associations",
        "{clusterName},{found[associationId]}" if simulated() else "{found[associationId]}",
        params={**_OF, "namespace": "{namespace}", "serviceAccount": "{serviceAccount}"},
        tags=("list_tags_for_resource", {"resourceArn": "{found[associationArn]}"}, "tags"),
    )
    return way(aws, creation)


WAYS: dict[str, Way] = {
    "aws:ec2/launchTemplate:LaunchTemplate": tagged(
        "ec2",
        "describe_launch_templates",
        "LaunchTemplates",
        "{found[LaunchTemplateId]}",
        tags=(
            "describe_tags",
            {"Filters": [{"Name": "resource-id", "Values": ["{found[LaunchTemplateId]}"]}]},
            "Tags",
        ),
        created="CreateTime",
    ),
    "aws:eks/cluster:Cluster": named(
        "eks", "describe_cluster", {"name": "{name}"}, "{name}", found="cluster", tags="tags"
    ),
    "aws:eks/nodeGroup:NodeGroup": named(
        "eks",
        "describe_nodegroup",
        {**_OF, "nodegroupName": "{nodeGroupName}"},
        "{clusterName}:{nodeGroupName}",
        name="nodeGroupName",
        found="nodegroup",
        tags="tags",
    ),
    "aws:eks/addon:Addon": named(
        "eks",
        "describe_addon",
        {**_OF, "addonName": "{addonName}"},
        "{clusterName}:{addonName}",
        name="addonName",
        found="addon",
        tags="tags",
    ),
    "aws:eks/accessEntry:AccessEntry": named(
        "eks",
        "describe_access_entry",
        {**_OF, "principalArn": "{principalArn}"},
        "{clusterName}:{principalArn}",
        name="principalArn",
        found="accessEntry",
        tags="tags",
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": put(),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _pods,
}
