"""Cases of Amazon EKS and of launch templates."""

from __future__ import annotations

from typing import Any

from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.cases.link import vpc
from tests.aws_sandbox.driver import World


def _cluster_inputs(world: World) -> Inputs:
    _, subnets = vpc(world, zones=2)
    key = world.boto("kms").create_key()["KeyMetadata"]["Arn"]
    return {
        "name": world.name("llm"),
        "version": "1.35",
        "roleArn": world.role_arn("eks.amazonaws.com"),
        "vpcConfig": {"subnetIds": subnets, "endpointPrivateAccess": True, "endpointPublicAccess": False},
        "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False},
        "bootstrapSelfManagedAddons": False,
        "enabledClusterLogTypes": ["audit", "api"],
        "encryptionConfig": {"provider": {"keyArn": key}, "resources": ["secrets"]},
        "kubernetesNetworkConfig": {"serviceIpv4Cidr": "172.21.0.0/16"},
        "tags": {"class": "confidential"},
    }


def _cluster_changed(world: World, inputs: Inputs) -> Inputs:
    return {
        **inputs,
        "version": "1.36",
        "enabledClusterLogTypes": ["audit", "scheduler"],
        "remoteNetworkConfig": {"remoteNodeNetworks": {"cidrs": ["10.40.8.0/24"]}},
        "vpcConfig": {**inputs["vpcConfig"], "endpointPublicAccess": True},
        "tags": {"class": "internal"},
    }


def _cluster_behind(world: World, inputs: Inputs) -> str:
    logging: Any = {"clusterLogging": [{"types": ["audit"], "enabled": False}]}
    world.boto("eks").update_cluster_config(name=inputs["name"], logging=logging)
    return "enabledClusterLogTypes"


def _cluster_left(world: World, inputs: Inputs) -> bool:
    return found(lambda: world.boto("eks").describe_cluster(name=inputs["name"])) is not None


def _cluster(world: World) -> tuple[str, list[str]]:
    """A cluster by another hand: its name and subnets."""
    inputs = _cluster_inputs(world)
    world.boto("eks").create_cluster(
        name=inputs["name"],
        roleArn=inputs["roleArn"],
        resourcesVpcConfig={"subnetIds": inputs["vpcConfig"]["subnetIds"]},
        accessConfig={"authenticationMode": "API"},
    )
    return inputs["name"], inputs["vpcConfig"]["subnetIds"]


def _template(world: World) -> str:
    template = world.boto("ec2").create_launch_template(
        LaunchTemplateName=world.name("machines"), LaunchTemplateData={"InstanceType": "g6.12xlarge"}
    )
    return template["LaunchTemplate"]["LaunchTemplateId"]


def _group_inputs(world: World) -> Inputs:
    name, subnets = _cluster(world)
    return {
        "clusterName": name,
        "nodeGroupName": world.name("pool"),
        "nodeRoleArn": world.role_arn("ec2.amazonaws.com"),
        "subnetIds": subnets[:1],
        "amiType": "AL2023_x86_64_NVIDIA",
        "capacityType": "ON_DEMAND",
        "launchTemplate": {"id": _template(world), "version": "1"},
        "labels": {"isthmus.dev/pool": "a", "old": "x"},
        "taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}],
        "scalingConfig": {"minSize": 2, "desiredSize": 2, "maxSize": 2},
        "updateConfig": {"maxUnavailable": 1},
        "tags": {"class": "confidential"},
    }


def _group_changed(world: World, inputs: Inputs) -> Inputs:
    template = inputs["launchTemplate"]["id"]
    data: Any = {"InstanceType": "g6.24xlarge"}
    world.boto("ec2").create_launch_template_version(LaunchTemplateId=template, LaunchTemplateData=data)
    return {
        **inputs,
        "labels": {"isthmus.dev/pool": "b"},
        "taints": [],
        "launchTemplate": {"id": template, "version": "2"},
        "scalingConfig": {"minSize": 2, "desiredSize": 3, "maxSize": 4},
        "updateConfig": {"maxUnavailable": 2},
        "releaseVersion": "1.36.0-20261118",
        "tags": {"class": "internal"},
    }


def _group_key(inputs: Inputs) -> dict[str, str]:
    return {"clusterName": inputs["clusterName"], "nodegroupName": inputs["nodeGroupName"]}


def _group_behind(world: World, inputs: Inputs) -> str:
    size: Any = {"minSize": 1, "desiredSize": 1, "maxSize": 2}
    world.boto("eks").update_nodegroup_config(**_group_key(inputs), scalingConfig=size)
    return "scalingConfig"


def _group_left(world: World, inputs: Inputs) -> bool:
    return found(lambda: world.boto("eks").describe_nodegroup(**_group_key(inputs))) is not None


def _addon_inputs(world: World) -> Inputs:
    name, _ = _cluster(world)
    role = world.role_arn("pods.eks.amazonaws.com")
    return {
        "clusterName": name,
        "addonName": "vpc-cni",
        "addonVersion": "v1.20.4-eksbuild.1",
        "configurationValues": '{"enableNetworkPolicy":"true"}',
        "podIdentityAssociations": [{"roleArn": role, "serviceAccount": "aws-node"}],
        "resolveConflictsOnCreate": "OVERWRITE",
        "tags": {"class": "confidential"},
    }


def _addon_behind(world: World, inputs: Inputs) -> str:
    world.boto("eks").update_addon(
        clusterName=inputs["clusterName"], addonName="vpc-cni", addonVersion="v1.19.0-eksbuild.1"
    )
    return "addonVersion"


def _addon_left(world: World, inputs: Inputs) -> bool:
    key = {"clusterName": inputs["clusterName"], "addonName": inputs["addonName"]}
    return found(lambda: world.boto("eks").describe_addon(**key)) is not None


def _entry_inputs(world: World) -> Inputs:
    return {
        "clusterName": _cluster(world)[0],
        "principalArn": world.role_arn("ec2.amazonaws.com"),
        "type": "STANDARD",
        "kubernetesGroups": ["platform"],
        "tags": {"class": "confidential"},
    }


def _entry_key(inputs: Inputs) -> dict[str, str]:
    return {"clusterName": inputs["clusterName"], "principalArn": inputs["principalArn"]}


def _entry_behind(world: World, inputs: Inputs) -> str:
    world.boto("eks").update_access_entry(**_entry_key(inputs), kubernetesGroups=["others"])
    return "kubernetesGroups"


def _entry_left(world: World, inputs: Inputs) -> bool:
    return found(lambda: world.boto("eks").describe_access_entry(**_entry_key(inputs))) is not None


VIEWS = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"


def _policy_inputs(world: World) -> Inputs:
    entry = _entry_inputs(world)
    world.boto("eks").create_access_entry(**_entry_key(entry))
    return {
        **_entry_key(entry),
        "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
        "accessScope": {"type": "cluster"},
    }


def _policies(world: World, inputs: Inputs) -> list[str]:
    answer = found(lambda: world.boto("eks").list_associated_access_policies(**_entry_key(inputs)))
    return [policy["policyArn"] for policy in (answer or {}).get("associatedAccessPolicies", [])]


def _policy_behind(world: World, inputs: Inputs) -> str:
    world.boto("eks").disassociate_access_policy(**_entry_key(inputs), policyArn=inputs["policyArn"])
    return ""


def _pod_inputs(world: World) -> Inputs:
    return {
        "clusterName": _cluster(world)[0],
        "namespace": "isthmus-internal",
        "serviceAccount": "internal-translator",
        "roleArn": world.role_arn("pods.eks.amazonaws.com"),
        "tags": {"class": "internal"},
    }


def _pods(world: World, inputs: Inputs) -> list[Any]:
    key = {"clusterName": inputs["clusterName"], "serviceAccount": inputs["serviceAccount"]}
    return (found(lambda: world.boto("eks").list_pod_identity_associations(**key)) or {}).get(
        "associations", []
    )


def _pod_behind(world: World, inputs: Inputs) -> str:
    world.boto("eks").update_pod_identity_association(
        clusterName=inputs["clusterName"],
        associationId=inputs["associationId"],
        roleArn=world.role_arn("pods.eks.amazonaws.com"),
    )
    return "roleArn"


def _template_inputs(world: World) -> Inputs:
    return {
        "name": world.name("machines"),
        "description": "Machines",
        "instanceType": "g6.12xlarge",
        "metadataOptions": {
            "httpTokens": "required",
            "httpPutResponseHopLimit": 1,
            "httpEndpoint": "enabled",
        },
        "blockDeviceMappings": [
            {
                "deviceName": "/dev/xvda",
                "ebs": {"volumeSize": 200, "volumeType": "gp3", "encrypted": "true", "kmsKeyId": world.key()},
            }
        ],
        "capacityReservationSpecification": {
            "capacityReservationTarget": {"capacityReservationId": "cr-0a1b2c3d4e5f67890"}
        },
        "instanceMarketOptions": {"marketType": "capacity-block"},
        "tagSpecifications": [{"resourceType": "instance", "tags": {"isthmus.dev/pool": "a"}}],
        "updateDefaultVersion": True,
        "tags": {"class": "confidential"},
    }


def _template_behind(world: World, inputs: Inputs) -> str:
    """A tag: a setting that comes back is a version more, so the template would not be as it was."""
    world.boto("ec2").create_tags(
        Resources=[inputs["arn"].rsplit("/", 1)[-1]], Tags=[{"Key": "class", "Value": "public"}]
    )
    return "tags"


def _template_left(world: World, inputs: Inputs) -> bool:
    names = [inputs["name"]]
    answer = found(lambda: world.boto("ec2").describe_launch_templates(LaunchTemplateNames=names))
    return bool((answer or {}).get("LaunchTemplates"))


CASES: dict[str, Case] = {
    "aws:eks/cluster:Cluster": Case(
        make=_cluster_inputs,
        change=_cluster_changed,
        replace=changed(kubernetesNetworkConfig={"serviceIpv4Cidr": "172.22.0.0/16"}),
        behind=_cluster_behind,
        left=_cluster_left,
    ),
    "aws:eks/nodeGroup:NodeGroup": Case(
        make=_group_inputs,
        change=_group_changed,
        replace=changed(capacityType="SPOT"),
        behind=_group_behind,
        left=_group_left,
    ),
    "aws:eks/addon:Addon": Case(
        make=_addon_inputs,
        change=lambda world, inputs: {
            **inputs,
            "addonVersion": "v1.21.0-eksbuild.1",
            "configurationValues": '{"enableNetworkPolicy":"false"}',
            "podIdentityAssociations": [],
            "tags": {},
        },
        replace=changed(addonName="coredns", podIdentityAssociations=[]),
        behind=_addon_behind,
        left=_addon_left,
    ),
    "aws:eks/accessEntry:AccessEntry": Case(
        make=_entry_inputs,
        change=changed(kubernetesGroups=["platform", "audit"], tags={"class": "internal"}),
        replace=changed(type="HYBRID_LINUX"),
        behind=_entry_behind,
        left=_entry_left,
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": Case(
        make=_policy_inputs,
        change=None,
        replace=changed(policyArn=VIEWS),
        behind=_policy_behind,
        left=lambda world, inputs: inputs["policyArn"] in _policies(world, inputs),
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": Case(
        make=_pod_inputs,
        change=lambda world, inputs: {
            **inputs,
            "roleArn": world.role_arn("pods.eks.amazonaws.com"),
            "disableSessionTags": True,
            "tags": {},
        },
        replace=changed(serviceAccount="public-translator"),
        behind=_pod_behind,
        left=lambda world, inputs: bool(_pods(world, inputs)),
    ),
    "aws:ec2/launchTemplate:LaunchTemplate": Case(
        make=_template_inputs,
        change=changed(
            instanceType="g6.24xlarge",
            instanceMarketOptions=None,
            description="Others",
            tags={"class": "internal"},
        ),
        replace=lambda world, inputs: {**inputs, "name": world.name("others")},
        behind=_template_behind,
        left=_template_left,
    ),
}
