"""A stack of blueprint `cloud-private`, from its example's requirements to its end: no cluster of the organisation's.

The real engine, Kubernetes provider, API server and scheduler; AWS is the sandbox's, and its cluster stands for the
one that EKS would make. One stack, brought up once; the tests run in the order of the file. No EKS is in it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from isthmus.blueprints.offers import offers
from isthmus.contracts.requirements import document as requirements_document
from isthmus.planning import planner
from sandbox import api
from tests.accounting import cluster
from tests.laying import ROOT
from tests.sandbox import projects
from tests.sandbox.projects import Alone, standing
from tests.sandbox.waiting import eventually

pytestmark = pytest.mark.sandbox

SITE, POOL, SERVED = "frankfurt", "frankfurt-confidential-qwen3-14b", "confidential-qwen3-14b"
DIGEST = "sha256:" + "a" * 64
OPENED_GROUPS = ("insurer-frankfurt-endpoints-group",)
"""Security groups to which others add a rule."""
OVERRIDES: dict[str, Any] = {
    "images": {
        **{
            name: f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/llm/{name}@{DIGEST}"
            for name in ("edge", "translator", "detector", "vllm", "resolver")
        },
        "registries": ["123456789012.dkr.ecr.eu-central-1.amazonaws.com/llm/"],
    },
    "issuer": {"name": "ca"},
    "monitoring": {"namespace": "monitoring"},
    "clusters": [
        {
            **{"name": SITE, "version": "1.36"},
            "admins": [{"name": "platform", "principal": "arn:aws:iam::123456789012:role/platform"}],
        }
    ],
    "endpoints": [
        {
            "id": SERVED,
            "weights": {
                "uri": f"oci://123456789012.dkr.ecr.eu-central-1.amazonaws.com/llm/qwen@{DIGEST}",
                "digest": DIGEST,
            },
        }
    ],
    # Answers of material impact are held, in a database of the organisation's.
    "gateways": [
        {
            "name": "confidential-frankfurt",
            "database": {"host": "postgres.insurer.example", "address": "10.80.40.21"},
            "reviews": {"from_namespaces": ["reviewers"]},
        }
    ],
    "budgets": [{"name": name, "monthly_usd": 500} for name in ("internal-frankfurt", "staff-assistant")],
    "contacts": {"cost": ["llm-cost@insurer.example"], "security": ["soc@insurer.example"]},
}


class Private(Alone):
    """The stack in a project folder of its own, in a sandbox of its own."""

    def __init__(self, root: Path, home: Path) -> None:
        super().__init__(root, home, "insurer")
        shutil.copy(ROOT / "examples" / "cloud-private.requirements.yaml", self.requirements)
        self.planned = planner.make_plan(
            requirements_document.load(self.requirements), offers(), "2026-11-25"
        ).plan
        self.plan(self.planned.model_dump(mode="json", by_alias=True))
        self.settle(OVERRIDES)
        self.begin(SITE)

    def boto(self, service: str) -> Any:
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.env["AWS_ENDPOINT_URL"],
            region_name="eu-central-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )

    def pods(self, role: str) -> list[dict[str, Any]]:
        return projects.pods(self.cluster, f"isthmus.dev/role={role}")


@pytest.fixture(scope="module")
def private(toolchain: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Private]:
    with standing(Private, tmp_path_factory.mktemp("private")) as new_private:
        new_private.up()
        yield new_private


def test_the_cluster_answers_inside_its_network_only_and_keeps_what_it_logs(private: Private) -> None:
    eks = private.boto("eks")
    (name,) = eks.list_clusters()["clusters"]
    answer = eks.describe_cluster(name=name)["cluster"]
    inside = answer["resourcesVpcConfig"]
    assert (inside["endpointPrivateAccess"], inside["endpointPublicAccess"]) == (True, False)
    assert answer["encryptionConfig"][0]["resources"] == ["secrets"]
    logged = [
        kind
        for log_setup in answer["logging"]["clusterLogging"]
        if log_setup["enabled"]
        for kind in log_setup["types"]
    ]
    assert len(logged) == 5
    groups = private.boto("logs").describe_log_groups(logGroupNamePrefix=f"/aws/eks/{name}/cluster")[
        "logGroups"
    ]
    assert groups[0]["kmsKeyId"]
    assert sorted(eks.list_addons(clusterName=name)["addons"]) == [
        *("aws-efs-csi-driver", "coredns", "eks-pod-identity-agent", "kube-proxy", "vpc-cni"),
    ]
    assert eks.list_access_entries(clusterName=name)["accessEntries"] == [
        "arn:aws:iam::123456789012:role/platform"
    ]


def test_gpu_machines_are_a_group_for_each_zone_and_nothing_else_settles_on_them(private: Private) -> None:
    eks = private.boto("eks")
    (name,) = eks.list_clusters()["clusters"]
    groups = [
        eks.describe_nodegroup(clusterName=name, nodegroupName=nodegroup)["nodegroup"]
        for nodegroup in eks.list_nodegroups(clusterName=name)["nodegroups"]
    ]
    gpu = [group for group in groups if group["amiType"] == "AL2023_x86_64_NVIDIA"]
    assert [entry["scalingConfig"] for entry in gpu] == [{"minSize": 1, "maxSize": 1, "desiredSize": 1}] * 2
    assert len({tuple(group["subnets"]) for group in gpu}) == 2
    for entry in gpu:
        assert entry["labels"] == {"isthmus.dev/pool": POOL}
        assert entry["taints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}]
        template = private.boto("ec2").describe_launch_template_versions(
            LaunchTemplateId=entry["launchTemplate"]["id"]
        )["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        assert template["InstanceType"] == "g7e.2xlarge"
        assert template["MetadataOptions"]["HttpTokens"] == "required"
        assert template["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
        assert template["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True


def test_models_stand_on_the_machines_of_their_pool_in_two_zones(private: Private) -> None:
    pods = private.pods("model")
    assert len(pods) == 2
    assert all(pod["status"].get("phase") == "Running" for pod in pods)
    nodes = [private.cluster.get(f"/api/v1/nodes/{pod['spec']['nodeName']}") for pod in pods]
    labels = [node["metadata"]["labels"] for node in nodes]
    assert {node_labels["isthmus.dev/pool"] for node_labels in labels} == {POOL}
    assert {node_labels["topology.kubernetes.io/zone"] for node_labels in labels} == {
        "eu-central-1a",
        "eu-central-1b",
    }
    queue = private.cluster.get(f"/apis/kueue.x-k8s.io/v1beta2/clusterqueues/{POOL}")
    (flavor,) = queue["spec"]["resourceGroups"][0]["flavors"]
    quota = {entry["name"]: entry["nominalQuota"] for entry in flavor["resources"]}
    assert int(quota["nvidia.com/gpu"]) == 2


def test_the_translator_is_known_by_its_service_account_and_has_no_helper_beside_it(private: Private) -> None:
    pods = private.pods("translator")
    assert pods
    for pod in pods:
        assert [container["name"] for container in pod["spec"]["containers"]] == ["translator"]
        assert not pod["spec"].get("initContainers")
    eks = private.boto("eks")
    (name,) = eks.list_clusters()["clusters"]
    actual = eks.list_pod_identity_associations(clusterName=name)["associations"]
    assert {(entry["namespace"], entry["serviceAccount"]) for entry in actual} == {
        ("kube-system", "aws-node"),
        ("isthmus-internal", "internal-translator"),
        ("isthmus-internal-sealer", "internal-sealer"),
        ("isthmus-confidential-sealer", "confidential-sealer"),
    }
    assert not private.boto("rolesanywhere").list_profiles()["profiles"]
    policy = private.cluster.get(
        "/apis/networking.k8s.io/v1/namespaces/isthmus-internal/networkpolicies/internal-translator"
    )
    rules = [
        (rule["to"][0]["ipBlock"]["cidr"], rule["ports"][0]["port"]) for rule in policy["spec"]["egress"]
    ]
    assert rules == [("10.80.0.0/16", 443), ("169.254.170.23/32", 80)]


def test_sealers_mount_their_own_folders_and_reach_the_store_at_its_addresses_alone(private: Private) -> None:
    efs = private.boto("efs")
    points = {
        next(tag["Value"] for tag in access_point["Tags"] if tag["Key"] == "Name"): access_point
        for access_point in efs.describe_access_points()["AccessPoints"]
    }
    users = {
        name.rpartition("-confidential-records-")[2]: (
            access_point["PosixUser"]["Uid"],
            access_point["RootDirectory"]["Path"],
        )
        for name, access_point in points.items()
        if "-confidential-" in name
    }
    assert users == {
        "gateway-records": (2000, "/records"),
        "gateway-seals": (2000, "/seals"),
        "sealer-records": (2001, "/records"),
        "sealer-seals": (2001, "/seals"),
    }
    (pod,) = [pod for pod in private.pods("sealer") if "confidential" in pod["metadata"]["namespace"]]
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    ]
    namespace_path = "/api/v1/namespaces/isthmus-confidential-sealer"
    for claim in claims:
        bound = private.cluster.get(f"{namespace_path}/persistentvolumeclaims/{claim}")
        assert bound["status"]["phase"] == "Bound"
        volume = private.cluster.get(f"/api/v1/persistentvolumes/{bound['spec']['volumeName']}")["spec"]
        handle = volume["csi"]["volumeHandle"].partition("::")[2]
        assert handle in {
            access_point["AccessPointId"] for name, access_point in points.items() if "-sealer-" in name
        }
        assert volume["mountOptions"] == ["tls", "iam"]
    policy = private.cluster.get(
        "/apis/networking.k8s.io/v1/namespaces/isthmus-confidential-sealer/networkpolicies/confidential-sealer"
    )
    rules = {
        (rule["to"][0]["ipBlock"]["cidr"], rule["ports"][0]["port"]) for rule in policy["spec"]["egress"]
    }
    aliases = {alias["ip"] for alias in pod["spec"]["hostAliases"]}
    assert rules == {*((f"{alias}/32", 443) for alias in aliases), ("169.254.170.23/32", 80)}
    assert len(aliases) == 2, "in each zone one"


def test_who_decides_upon_held_answers_stands_apart_on_the_gateways_folders(private: Private) -> None:
    pods = private.pods("reviews")
    assert [namespace["metadata"]["namespace"] for namespace in pods] == ["isthmus-confidential-reviews"] * 2
    assert all(pod["status"].get("phase") == "Running" for pod in pods)
    handles: dict[str, set[str]] = {}
    for namespace, claims in (
        ("isthmus-confidential", ("confidential-gateway-records", "confidential-gateway-records-seals")),
        ("isthmus-confidential-reviews", ("records", "records-seals")),
    ):
        for claim in claims:
            at = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}"
            bound = private.cluster.get(at)
            assert bound["status"]["phase"] == "Bound"
            volume = private.cluster.get(f"/api/v1/persistentvolumes/{bound['spec']['volumeName']}")["spec"]
            handles.setdefault(namespace, set()).add(volume["csi"]["volumeHandle"])
    assert handles["isthmus-confidential"] == handles["isthmus-confidential-reviews"]
    policy = private.cluster.get(
        "/apis/networking.k8s.io/v1/namespaces/isthmus-confidential-reviews/networkpolicies/confidential-reviews"
    )
    rules = [
        (rule["to"][0]["ipBlock"]["cidr"], rule["ports"][0]["port"]) for rule in policy["spec"]["egress"]
    ]
    assert rules == [("10.80.40.21/32", 5432)]


@pytest.mark.soak
def test_a_preview_right_after_finds_nothing_to_change_and_a_refresh_no_drift(private: Private) -> None:
    private.unchanged("--refresh")


@dataclass
class Growth:
    """One `up` with a replica more, after others opened the network; and what was there before."""

    output: str
    pods: set[str]
    guards: dict[str, Any]
    ids: dict[str, str]


def _guards(private: Private) -> dict[str, Any]:
    """Id of each endpoint of the network → its policy; of each security group → the ids of its rules."""
    ec2 = private.boto("ec2")
    policies = {
        endpoint["VpcEndpointId"]: json.loads(endpoint["PolicyDocument"])
        for endpoint in ec2.describe_vpc_endpoints()["VpcEndpoints"]
    }
    rules: dict[str, set[str]] = {}
    for rule in ec2.describe_security_group_rules()["SecurityGroupRules"]:
        rules.setdefault(rule["GroupId"], set()).add(rule["SecurityGroupRuleId"])
    return {**policies, **rules}


def _ids(private: Private) -> dict[str, str]:
    return {resource["urn"]: resource.get("id", "") for resource in private.state() if resource["custom"]}


@pytest.fixture(scope="module")
def grown(private: Private) -> Growth:
    pods = {pod["metadata"]["uid"] for pod in private.pods("model")}
    guards, ids = _guards(private), _ids(private)
    ec2 = private.boto("ec2")
    for endpoint in ec2.describe_vpc_endpoints()["VpcEndpoints"]:
        policy = json.loads(endpoint["PolicyDocument"])
        anybody = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
        document = json.dumps({**policy, "Statement": [*policy["Statement"], anybody]})
        ec2.modify_vpc_endpoint(VpcEndpointId=endpoint["VpcEndpointId"], PolicyDocument=document)
    by_name = {resource["urn"].rpartition("::")[2]: resource.get("id", "") for resource in private.state()}
    for name in OPENED_GROUPS:
        https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        ec2.authorize_security_group_ingress(GroupId=by_name[name], IpPermissions=[https])
    assert _guards(private) != guards
    plan = json.loads(json.dumps(private.planned.model_dump(mode="json", by_alias=True)))
    plan["endpoints"][0] |= {"replicas": 4, "gpus": 4}
    private.plan(plan)
    api.up(private.requirements, home=private.home)  # machines that EKS would make
    return Growth(private.up(), pods, guards, ids)


def test_a_replica_and_its_machine_more_change_in_place(private: Private, grown: Growth) -> None:
    assert "replace" not in grown.output
    pods = private.pods("model")
    assert len(pods) == 4
    assert grown.pods < {pod["metadata"]["uid"] for pod in pods}
    eks = private.boto("eks")
    (name,) = eks.list_clusters()["clusters"]
    sizes = [
        eks.describe_nodegroup(clusterName=name, nodegroupName=nodegroup)["nodegroup"]["scalingConfig"]
        for nodegroup in eks.list_nodegroups(clusterName=name)["nodegroups"]
        if POOL in nodegroup
    ]
    assert [size["desiredSize"] for size in sizes] == [2, 2]


def test_statements_and_rules_that_others_added_to_the_network_are_set_back_in_place(
    private: Private, grown: Growth
) -> None:
    assert _guards(private) == grown.guards
    ids = _ids(private)
    assert {urn: ids.get(urn) for urn in grown.ids} == grown.ids
    assert "Set back: " in grown.output


def test_destroy_leaves_what_it_says_and_nothing_in_the_cluster(private: Private) -> None:
    document = json.loads(private.pulumi("stack", "output", "--json").stdout)["retained"]
    private.must("destroy", "insurer", "--yes")
    assert eventually(lambda: cluster.objects(private.cluster), lambda objects: not objects) == set()
    eks = private.boto("eks")
    assert eks.list_clusters()["clusters"] == []
    assert private.boto("ec2").describe_launch_templates()["LaunchTemplates"] == []
    groups = private.boto("logs").describe_log_groups()["logGroups"]
    assert groups == [], "a sandbox's platform is disposable: its records go with it"
    assert not [each for each in document if "/aws/eks/" in each]
