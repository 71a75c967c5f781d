"""A private cluster in AWS, its machines, and what its pods become."""

import json
from typing import Any

import pytest

from components import EksCluster, EksNodeGroup, WorkloadIdentity
from components.aws.eks.roles import CNI_CHANGES
from components.llm_platform import LlmPlatform
from isthmus.contracts.hardware.system_nodes import ADDONS, OPERATORS
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.lookups.system_nodes import system_nodes_size, system_pods
from isthmus.core.errors import InputError
from isthmus.core.quantities import amount
from tests import private
from tests.components.conftest import ACCOUNT, Engine, providers
from tests.components.policies import allowed

CLUSTER: dict[str, Any] = {
    **{"name": "frankfurt", "region": "eu-central-1", "version": "1.36", "log_retention_days": 365},
    "subnet_ids": ["subnet-a", "subnet-b"],
    "admins": [{"name": "platform", "principal": private.ADMIN}],
    "repositories": [f"arn:aws:ecr:eu-central-1:{ACCOUNT}:repository/llm/*"],
}
MACHINES: dict[str, Any] = {
    **{"name": "claims", "cluster": "llm", "node_role": "arn:role", "kms_key": "arn:key"},
    "subnets": {"eu-central-1a": "subnet-a", "eu-central-1b": "subnet-b"},
    "nodes": {"eu-central-1a": 2, "eu-central-1b": 1},
    **{"instance_type": "g6.12xlarge", "ami_type": "AL2023_x86_64_NVIDIA", "gpu": True},
}


def make_cluster(engine: Engine, **more: Any) -> dict[str, Any]:
    engine.deploy(EksCluster, "eks", {**CLUSTER, **more})
    return engine.only("Cluster").inputs


def machines(engine: Engine, **more: Any) -> None:
    engine.deploy(EksNodeGroup, "m", {**MACHINES, **more})


def policy(engine: Engine, name: str) -> dict[str, Any]:
    (role_policy,) = [role_policy for role_policy in engine.all("RolePolicy") if role_policy.name == name]
    return json.loads(role_policy.inputs["policy"])


def test_a_cluster_answers_inside_only_logs_everything_and_seals_its_secrets(engine: Engine) -> None:
    cluster = make_cluster(engine)
    inside = cluster["vpcConfig"]
    assert (inside["endpointPrivateAccess"], inside["endpointPublicAccess"]) == (True, False)
    assert len(cluster["enabledClusterLogTypes"]) == 5
    assert cluster["encryptionConfig"]["resources"] == ["secrets"]
    assert cluster["accessConfig"] == {
        "authenticationMode": "API",
        "bootstrapClusterCreatorAdminPermissions": False,
    }
    assert cluster["bootstrapSelfManagedAddons"] is False
    assert "remoteNetworkConfig" not in cluster
    (logs,) = engine.all("LogGroup")
    assert logs.inputs["name"] == f"/aws/eks/{cluster['name']}/cluster"
    assert logs.retained
    assert logs.inputs["kmsKeyId"]


def test_a_key_that_is_given_is_used_and_none_is_made_beside(engine: Engine) -> None:
    key = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/k"
    assert make_cluster(engine, kms_key=key)["encryptionConfig"]["provider"]["keyArn"] == key
    assert [key.name for key in engine.all("Key")] == ["eks-log-key"]


def test_only_named_principals_administer_the_cluster(engine: Engine) -> None:
    make_cluster(engine)
    (entry,) = engine.all("AccessEntry")
    assert (entry.inputs["principalArn"], entry.inputs["type"]) == (private.ADMIN, "STANDARD")
    (may,) = engine.all("AccessPolicyAssociation")
    assert may.inputs["policyArn"].endswith("cluster-access-policy/AmazonEKSClusterAdminPolicy")


def test_a_cluster_without_administrators_is_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match="the cluster has no administrators"):
        make_cluster(engine, admins=[])


def test_hybrid_nodes_come_from_their_networks_with_their_own_role(engine: Engine) -> None:
    hybrid = {"node_networks": ["10.40.8.0/24"], "pod_networks": ["10.41.0.0/16"], "role": "arn:hybrid"}
    cluster = make_cluster(engine, hybrid_nodes=hybrid)
    assert cluster["remoteNetworkConfig"] == {
        "remoteNodeNetworks": {"cidrs": ["10.40.8.0/24"]},
        "remotePodNetworks": {"cidrs": ["10.41.0.0/16"]},
    }
    kinds = {
        access_entry.inputs["principalArn"]: access_entry.inputs["type"]
        for access_entry in engine.all("AccessEntry")
    }
    assert kinds["arn:hybrid"] == "HYBRID_LINUX"


def test_networks_that_are_named_reach_the_api_server_by_its_own_group(engine: Engine) -> None:
    make_cluster(engine, access=["10.40.0.0/24"])
    (rule,) = engine.all("SecurityGroupIngressRule")
    assert (rule.inputs["cidrIpv4"], rule.inputs["fromPort"], rule.inputs["toPort"]) == (
        "10.40.0.0/24",
        443,
        443,
    )
    assert rule.inputs["securityGroupId"] == "sg-cluster"


def test_network_policy_is_enforced_and_the_plugin_has_a_role_of_its_own(engine: Engine) -> None:
    make_cluster(engine, addons={"vpc-cni": "v1.20.4-eksbuild.1"})
    addons = {addon.inputs["addonName"]: addon.inputs for addon in engine.all("Addon")}
    assert set(addons) == {"vpc-cni", "kube-proxy", "eks-pod-identity-agent"}, "the rest needs machines"
    plugin = addons["vpc-cni"]
    assert json.loads(plugin["configurationValues"]) == {"enableNetworkPolicy": "true"}
    assert plugin["addonVersion"] == "v1.20.4-eksbuild.1"
    (bears,) = plugin["podIdentityAssociations"]
    assert bears["serviceAccount"] == "aws-node"


def test_machines_join_and_pull_named_images_and_do_nothing_else(engine: Engine) -> None:
    make_cluster(engine)
    node, image = policy(engine, "eks-node-policy"), f"arn:aws:ecr:eu-central-1:{ACCOUNT}:repository/"
    assert allowed(node, "ecr:BatchGetImage", f"{image}llm/vllm")
    assert not allowed(node, "ecr:BatchGetImage", f"{image}other/vllm")
    assert allowed(node, "eks-auth:AssumeRoleForPodIdentity", "arn:aws:eks/cluster:::eks-cluster")
    for action in ("ecr:PutImage", "ec2:CreateNetworkInterface", "sts:AssumeRole", "ec2:RunInstances"):
        assert not allowed(node, action, "*")
    for action in CNI_CHANGES:
        resource = f"arn:aws:ec2:eu-central-1:{ACCOUNT}:network-interface/eni-1"
        assert allowed(policy(engine, "eks-cni-policy"), action, resource)
    assert all(role.inputs["permissionsBoundary"] for role in engine.all("Role"))


def test_the_network_plugin_may_look_at_security_groups_within_its_boundary(engine: Engine) -> None:
    make_cluster(engine)
    boundary = json.loads(engine.only("Policy", "eks-cni-boundary").inputs["policy"])
    for document in (policy(engine, "eks-cni-policy"), boundary):
        assert allowed(document, "ec2:DescribeSecurityGroups", "*"), "VPC CNI 1.22.1 ends"


def test_a_cluster_deletes_interfaces_of_the_network_plugin_and_no_others(engine: Engine) -> None:
    make_cluster(engine)
    cluster = policy(engine, "eks-policy")
    interface = f"arn:aws:ec2:eu-central-1:{ACCOUNT}:network-interface/eni-1"
    left = {"ec2_ResourceTag_eks_eni_owner": "amazon-vpc-cni"}
    assert allowed(cluster, "ec2:DeleteNetworkInterface", interface, **left)
    assert not allowed(cluster, "ec2:DeleteNetworkInterface", interface)


def test_the_boundary_of_the_organisation_replaces_the_default(engine: Engine) -> None:
    make_cluster(engine, permissions_boundary="arn:own")
    assert {role.inputs["permissionsBoundary"] for role in engine.all("Role")} == {"arn:own"}
    assert not engine.all("Policy")


def test_machines_are_a_group_a_zone_that_pods_of_others_never_settle_on(engine: Engine) -> None:
    machines(engine)
    groups = {node_group.inputs["subnetIds"][0]: node_group.inputs for node_group in engine.all("NodeGroup")}
    assert {subnet: node_group["scalingConfig"]["desiredSize"] for subnet, node_group in groups.items()} == {
        **{"subnet-a": 2, "subnet-b": 1}
    }
    for group in groups.values():
        assert group["labels"] == {"isthmus.dev/pool": "claims"}
        assert group["taints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}]
        assert (group["capacityType"], group["amiType"]) == ("ON_DEMAND", "AL2023_x86_64_NVIDIA")
    template = engine.only("LaunchTemplate").inputs
    assert template["metadataOptions"]["httpTokens"] == "required"
    assert template["metadataOptions"]["httpPutResponseHopLimit"] == 1
    assert template["blockDeviceMappings"][0]["ebs"]["encrypted"] == "true"
    assert template["blockDeviceMappings"][0]["ebs"]["kmsKeyId"] == "arn:key"
    assert "capacityReservationSpecification" not in template


ONE = {"subnets": {"eu-central-1a": "subnet-a"}, "nodes": {"eu-central-1a": 2}, "reservation": "cr-1"}


@pytest.mark.parametrize(
    ("purchase", "capacity", "market"),
    [("capacity-reservation", "ON_DEMAND", None), ("capacity-block", "CAPACITY_BLOCK", "capacity-block")],
)
def test_machines_are_launched_into_what_is_reserved(
    engine: Engine, purchase: str, capacity: str, market: str | None
) -> None:
    machines(engine, **ONE, purchase=purchase)
    template = engine.only("LaunchTemplate").inputs
    target = template["capacityReservationSpecification"]["capacityReservationTarget"]
    assert target == {"capacityReservationId": "cr-1"}
    assert (template.get("instanceMarketOptions") or {}).get("marketType") == market
    assert engine.only("NodeGroup").inputs["capacityType"] == capacity


def test_spot_is_optional_and_system_nodes_belong_to_no_pool(engine: Engine) -> None:
    machines(engine, purchase="spot", gpu=False, addons={"coredns": ""})
    for node_group in engine.all("NodeGroup"):
        assert node_group.inputs["capacityType"] == "SPOT"
        assert "taints" not in node_group.inputs
    assert engine.only("Addon").inputs["addonName"] == "coredns"
    assert {f"m-{zone}" for zone in MACHINES["subnets"]} <= set(engine.only("Addon").depends_on)


def test_bottlerocket_keeps_its_data_on_a_volume_of_its_own(engine: Engine) -> None:
    machines(engine, ami_type="BOTTLEROCKET_x86_64_NVIDIA", volume_gib=300, release_version="1.50.0-1")
    (mapping,) = engine.only("LaunchTemplate").inputs["blockDeviceMappings"]
    assert (mapping["deviceName"], mapping["ebs"]["volumeSize"]) == ("/dev/xvdb", 300)
    assert {node_group.inputs["releaseVersion"] for node_group in engine.all("NodeGroup")} == {"1.50.0-1"}


def test_a_scaled_node_group_starts_with_its_stated_size(engine: Engine) -> None:
    machines(engine, max_nodes={"eu-central-1a": 4, "eu-central-1b": 4})
    sizes = sorted(node_group.inputs["scalingConfig"]["maxSize"] for node_group in engine.all("NodeGroup"))
    assert sizes == [4, 4]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"purchase": "capacity-block"}, "purchase is capacity-block, but reservation is missing"),
        ({"reservation": "cr-1"}, "purchase is on-demand, but reservation is set"),
        ({"purchase": "capacity-block", "reservation": "cr-1"}, "is in one zone, but 2 zones are listed"),
        ({"purchase": "cheap"}, "cheap"),
        ({"nodes": {"eu-central-1a": 1}}, "nodes are in eu-central-1a, subnets are in eu-central-1a,"),
        ({"addons": {"vpc-cni": ""}}, "vpc-cni"),
    ],
)
def test_wrong_machines_are_refused(engine: Engine, more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        machines(engine, **more)


POD = {"cluster": "llm", "cluster_arn": "arn:llm", "namespace": "isthmus-internal", "service_account": "t"}
IDENTITY: dict[str, Any] = {
    **{"name": "internal", "sensitivity": "internal", "subject": "t.isthmus-internal.svc"},
    **{"actions": ["bedrock:InvokeModel"], "resources": ["arn:aws:bedrock:eu-central-1:1:x/y"]},
    "session_seconds": 3600,
}


def test_pods_of_one_service_account_of_one_cluster_get_the_role(engine: Engine) -> None:
    engine.deploy(WorkloadIdentity, "i", {**IDENTITY, "pod": POD})
    trust = json.loads(engine.only("Role").inputs["assumeRolePolicy"])
    bearer = {
        "aws_SourceAccount": ACCOUNT,
        "aws_SourceArn": "arn:llm",
        "aws_RequestTag_kubernetes_namespace": "isthmus-internal",
        "aws_RequestTag_kubernetes_service_account": "t",
    }
    assert allowed(trust, "sts:AssumeRole", **bearer)
    for key in bearer:
        assert not allowed(trust, "sts:AssumeRole", **{**bearer, key: "another"}), f"any {key} would do"
    bound = engine.only("PodIdentityAssociation").inputs
    assert (bound["namespace"], bound["serviceAccount"]) == ("isthmus-internal", "t")
    assert not engine.all("Profile")


@pytest.mark.parametrize("more", [{}, {"pod": POD, "trust_anchor": "arn:anchor"}])
def test_an_identity_has_one_proof(engine: Engine, more: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"trust_anchor"):
        engine.deploy(WorkloadIdentity, "i", {**IDENTITY, **more})


@pytest.fixture(scope="module")
def serving_platform() -> Engine:
    engine, platform = Engine(), private.platform()
    engine.run(lambda: LlmPlatform("insurer", platform, providers("frankfurt", "frankfurt/kubernetes")))
    return engine


def test_an_aws_site_with_a_cluster_has_what_an_on_prem_one_has(serving_platform: Engine) -> None:
    spaces = {namespace.meta["name"] for namespace in serving_platform.all("Namespace")}
    assert spaces == {
        f"isthmus-{sensitivity}{suffix}"
        for sensitivity in ("confidential", "internal")
        for suffix in ("", "-sealer")
    }
    assert {cluster_queue.meta["name"] for cluster_queue in serving_platform.all("ClusterQueue")} == {
        private.POOL
    }
    assert not serving_platform.all("NodePatch")
    assert not serving_platform.all("NodeFeatureRule"), "machines come labelled and tainted"
    kinds = {deployment.provider for deployment in serving_platform.all("Deployment")}
    assert kinds == {"frankfurt-kubernetes"}


def rendered_pods(engine: Engine) -> dict[str, tuple[int, int, int]]:
    """Replicas, millicores and MiB of each Deployment that stands on machines without GPUs."""
    pods = {}
    for deployment in engine.all("Deployment"):
        if "isthmus.dev/pool" in deployment.pod.get("nodeSelector", {}):
            continue
        first = [
            box for box in deployment.pod.get("initContainers", []) if box.get("restartPolicy") == "Always"
        ]
        requests = [box["resources"]["requests"] for box in (*deployment.pod["containers"], *first)]
        pods[deployment.meta["name"]] = (
            deployment.spec["replicas"],
            int(sum(amount(request["cpu"]) for request in requests) * 1000),
            int(sum(amount(request["memory"]) for request in requests) / 2**20),
        )
    return pods


def test_system_nodes_are_sized_from_the_pods_that_are_rendered() -> None:
    engine, platform = Engine(), CheckedPlatform.model_validate(private.reviewed())
    engine.run(lambda: LlmPlatform("insurer", platform, providers("frankfurt", "frankfurt/kubernetes")))
    counted = {
        system_pod.name.replace("-frankfurt", ""): (
            system_pod.count,
            system_pod.each.millicores,
            system_pod.each.mib,
        )
        for system_pod in system_pods(platform, platform.clusters[0])
        if system_pod not in (*ADDONS, *OPERATORS)
    }
    assert rendered_pods(engine) == counted
    size = system_nodes_size(platform, platform.clusters[0])
    groups = [node_group for node_group in engine.all("NodeGroup") if "-system-" in node_group.name]
    assert sum(group.inputs["scalingConfig"]["desiredSize"] for group in groups) == size.nodes


def test_models_wait_for_machines_and_machines_for_the_endpoints_they_call(serving_platform: Engine) -> None:
    assert {
        vpc_endpoint.inputs["serviceName"].split(".", 3)[3]
        for vpc_endpoint in serving_platform.all("VpcEndpoint")
    } == {
        *("bedrock-runtime", "ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "s3", "sts"),
    }
    order = [resource.kind for resource in serving_platform.made]
    last = {kind: len(order) - 1 - order[::-1].index(kind) for kind in ("VpcEndpoint", "NodeGroup")}
    assert last["VpcEndpoint"] < order.index("NodeGroup")
    assert last["NodeGroup"] < min(order.index("ResourceFlavor"), order.index("Deployment"))


def test_a_translator_in_eks_has_no_credential_helper(serving_platform: Engine) -> None:
    (translator,) = [
        deployment for deployment in serving_platform.all("Deployment") if "translator" in deployment.name
    ]
    assert not translator.pod.get("initContainers")
    assert not serving_platform.all("TrustAnchor")
    annotations = translator.spec["template"]["metadata"]["annotations"]
    assert annotations["isthmus.dev/aws-role"].endswith("insurer-internal-frankfurt-identity-role")


def test_a_cluster_in_its_first_stage_has_machines_and_no_pods(engine: Engine) -> None:
    data = private.data()
    data["clusters"][0]["stage"] = "cluster"
    platform = type(private.platform()).model_validate(data)

    def connect(site: Any, access: Any) -> Any:
        pytest.fail("nothing is to be reached in it yet")

    engine.run(lambda: LlmPlatform("insurer", platform, providers("frankfurt"), connect=connect))
    assert len(engine.all("NodeGroup")) == 4
    assert not engine.all("Namespace")


def test_a_cluster_without_a_context_is_reached_by_the_address_that_it_gets(engine: Engine) -> None:
    accesses: dict[str, Any] = {}

    def connect(site: Any, access: Any) -> Any:
        accesses[site.name] = access
        return providers("late")["late"]

    platform = private.platform()
    engine.run(lambda: LlmPlatform("insurer", platform, providers("frankfurt"), connect=connect))
    assert set(accesses) == {"frankfurt"}
    assert {deployment.provider for deployment in engine.all("Deployment")} == {"late"}


def test_people_have_their_roles_in_a_cluster_in_aws_too(engine: Engine) -> None:
    owners = {
        "name": "claims",
        "role": "model-owner",
        "groups": ["oidc:claims-models"],
        "classes": ["confidential"],
    }
    data = {**private.data(), "people": {"members": [owners]}}
    platform = type(private.platform()).model_validate(data)
    engine.run(lambda: LlmPlatform("insurer", platform, providers("frankfurt", "frankfurt/kubernetes")))
    bound = [
        role_binding
        for role_binding in engine.all("RoleBinding")
        if "model-owner" in json.dumps(role_binding.inputs)
    ]
    assert {(binding.provider, binding.meta["namespace"]) for binding in bound} == {
        ("frankfurt-kubernetes", "isthmus-confidential")
    }
    rules = [rule for role in engine.all("Role") for rule in role.inputs.get("rules", [])]
    assert ["claims"] in [rule.get("resourceNames") for rule in rules if "patch" in rule["verbs"]]


@pytest.mark.parametrize("lifecycle", ["durable", "disposable"])
def test_a_durable_platform_keeps_the_control_planes_logs_and_their_key(
    engine: Engine, lifecycle: str
) -> None:
    platform = type(private.platform()).model_validate({**private.data(), "lifecycle": lifecycle})
    engine.run(lambda: LlmPlatform("insurer", platform, providers("frankfurt", "frankfurt/kubernetes")))
    protected_kinds = [
        resource.kind for resource in engine.made if resource.protected and "frankfurt-eks-" in resource.name
    ]
    assert sorted(protected_kinds) == (["Key", "LogGroup"] if lifecycle == "durable" else [])
    assert any("-eks-logs" in name for name in engine.outputs["retained"]) == (lifecycle == "durable")
