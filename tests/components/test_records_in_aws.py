"""Records of gateways in AWS: whose the share's folders are, what a sealer's role may, and who else may put nothing."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from components import AuditSealer
from components.aws.records.identity import RecordsIdentity
from components.aws.records.sealing_endpoint import SealingEndpoint, sealing_addresses
from components.aws.records.share import POINTS, RecordsShare
from components.llm_platform import LlmPlatform
from edge.config import SealerConfig
from edge.config import check as read_by_the_edge
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.core.errors import InputError, Refused
from tests import private
from tests.components.conftest import ACCOUNT, Engine, providers
from tests.components.policies import allowed
from tests.components.trail import Account, audit

REGION, SITE = "eu-central-1", "frankfurt"
BUCKET, KEY = "arn:aws:s3:::audit", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k"
SEALER = "insurer-frankfurt-confidential-sealer"
IDENTITY: dict[str, Any] = {
    **{"bearer": "sealer", "sensitivity": "internal", "region": REGION, "source_vpc": "vpc-1"},
    "bucket": {"arn": BUCKET, "prefix": "frankfurt/internal", "key": KEY},
}
SHARE: dict[str, Any] = {
    **{
        "sensitivity": "internal",
        "region": REGION,
        "vpc_id": "vpc-1",
        "subnet_ids": ["subnet-a", "subnet-b"],
    },
    "principals": {point: [f"arn:aws:iam::{ACCOUNT}:role/{point.split('-')[0]}"] for point in POINTS},
}


@pytest.fixture
def eks_platform(engine: Engine) -> Engine:
    platform = private.platform()
    engine.run(lambda: LlmPlatform("insurer", platform, providers(SITE, f"{SITE}/kubernetes")))
    return engine


def document(engine: Engine, kind: str, name: str, key: str = "policy") -> dict[str, Any]:
    return json.loads(engine.only(kind, name).inputs[key])


def test_a_sealers_role_puts_below_its_prefix_through_the_network_and_takes_nothing_away(
    engine: Engine,
) -> None:
    engine.deploy(RecordsIdentity, "s", IDENTITY)
    identity, bound = document(engine, "RolePolicy", "s-policy"), document(engine, "Policy", "s-boundary")
    seal, vpc = f"{BUCKET}/frankfurt/internal/seals/1.seal", {"aws_SourceVpc": "vpc-1"}
    for action in ("s3:PutObject", "s3:PutObjectRetention", "s3:GetObjectVersion"):
        for policy in (identity, bound):
            assert allowed(policy, action, seal, **vpc)
            assert not allowed(policy, action, f"{BUCKET}/frankfurt/confidential/seals/1.seal", **vpc)
            assert not allowed(policy, action, seal, aws_SourceVpc="vpc-2")
            assert not allowed(policy, action, seal), "from no network at all"
    for action in ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"):
        assert not allowed(identity, action, seal, **vpc)
        denials = [statement for statement in bound["Statement"] if statement["Effect"] == "Deny"]
        assert any(action in denial["Action"] for denial in denials), "whatever its own policy comes to say"
    via = {"kms_ViaService": f"s3.{REGION}.amazonaws.com"}
    assert allowed(identity, "kms:GenerateDataKey", KEY, **via)
    assert not allowed(identity, "kms:GenerateDataKey", KEY)
    assert not allowed(identity, "s3:PutBucketPolicy", BUCKET, **vpc)


def test_a_fargate_gateway_role_only_mounts_its_share(
    engine: Engine,
) -> None:
    engine.deploy(
        RecordsIdentity, "g", {**{k: v for k, v in IDENTITY.items() if k != "bucket"}, "bearer": "gateway"}
    )
    assert engine.all("RolePolicy") == [], (
        "EFS lets in whoever an identity policy or the share's policy allows"
    )
    only = [
        statement
        for statement in document(engine, "Policy", "g-boundary")["Statement"]
        if statement["Effect"] == "Allow"
    ]
    assert [statement["Action"] for statement in only] == [
        ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
    ]


ROLES = {name: f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("gateway", "sealer", "other")}
READS_AND_WRITES = {
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"],
            "Resource": "*",
        }
    ]
}
"""An identity policy that allows both on every file system, as AWS's managed policies for EFS do."""


def decided(share: dict[str, Any], identity: dict[str, Any], role: str, action: str, **context: str) -> bool:
    """What EFS decides: either document may allow, and a denial in either wins."""

    def concerns(statement: dict[str, Any]) -> bool:
        aws = statement["Principal"]["AWS"]
        return aws == "*" or role in ([aws] if isinstance(aws, str) else aws)

    statements = [statement for statement in share["Statement"] if concerns(statement)]
    combined = {"Statement": [*statements, *identity["Statement"]]}
    on = "arn:aws:efs/fileSystem:::r-files"
    return allowed(combined, f"elasticfilesystem:Client{action}", on, **context)


@pytest.mark.parametrize("principal_is_known", [True, False])
def test_a_role_with_efs_permissions_of_its_own_still_mounts_its_own_access_points_only(
    engine: Engine, principal_is_known: bool
) -> None:
    engine.deploy(RecordsShare, "r", SHARE)
    share_policy = document(engine, "FileSystemPolicy", "r-policy")

    def may(name: str, action: str, point: str | None) -> bool:
        context = {"aws_SecureTransport": "true", "elasticfilesystem_AccessedViaMountTarget": "true"}
        if point is not None:
            context["elasticfilesystem_AccessPointArn"] = f"arn:aws:efs/accessPoint:::r-{point}"
        if principal_is_known:
            context["aws_PrincipalArn"] = ROLES[name]
        return decided(share_policy, READS_AND_WRITES, ROLES[name], action, **context)

    for name in ("gateway", "sealer"):
        for point, (_, _, writes) in POINTS.items():
            assert may(name, "Mount", point) == point.startswith(name), (name, point)
            assert may(name, "Write", point) == (point.startswith(name) and writes), (name, point)
    assert not any(may(role, action, None) for role in ROLES for action in ("Mount", "Write")), (
        "the whole share"
    )
    assert not any(may(role, action, "another") for role in ROLES for action in ("Mount", "Write"))
    if principal_is_known:
        assert not any(may("other", action, point) for point in POINTS for action in ("Mount", "Write"))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sensitivity": "restricted"}, Refused, "class restricted may not have an AWS identity"),
        ({"bucket": None}, InputError, "a sealer without a bucket"),
        ({"bearer": "gateway"}, InputError, "a gateway with the identity of a sealer"),
        ({"bearer": "anybody"}, InputError, "anybody"),
    ],
)
def test_an_identity_that_is_neither_a_sealers_nor_a_gateways_is_refused(
    engine: Engine, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    args = {key: value for key, value in {**IDENTITY, **change}.items() if value is not None}
    with pytest.raises(error, match=message):
        engine.deploy(RecordsIdentity, "s", args)


def test_each_folder_of_the_share_is_one_users_to_write_over_tls_by_its_access_point(engine: Engine) -> None:
    engine.deploy(RecordsShare, "r", SHARE)
    files = engine.only("FileSystem")
    assert files.inputs["encrypted"] is True
    assert files.inputs["kmsKeyId"] == engine.only("Key").name.join(("arn:aws:kms/key:::", ""))
    assert files.retained, "what is not sealed yet lies on it"
    share_policy = document(engine, "FileSystemPolicy", "r-policy")
    arns = {
        access_point.name.removeprefix("r-"): f"arn:aws:efs/accessPoint:::{access_point.name}"
        for access_point in engine.all("AccessPoint")
    }
    assert set(arns) == set(POINTS)

    def may(action: str, point: str, **more: str) -> bool:
        role = ROLES[point.partition("-")[0]]
        context = {
            "aws_PrincipalArn": role,
            "aws_SecureTransport": "true",
            "elasticfilesystem_AccessedViaMountTarget": "true",
            "elasticfilesystem_AccessPointArn": arns[point],
            **more,
        }
        return decided(share_policy, {"Statement": []}, role, action, **context)

    writes = {point: may("Write", point) for point in POINTS}
    assert writes == {point: write for point, (_, _, write) in POINTS.items()}
    assert all(may("Mount", point) for point in POINTS)
    assert not may("Mount", "gateway-records", aws_SecureTransport="false")
    assert not any(may("RootAccess", point) for point in POINTS)
    assert not may("Mount", "gateway-records", elasticfilesystem_AccessPointArn="")
    users = {
        access_point.name.removeprefix("r-"): access_point.inputs["posixUser"]["uid"]
        for access_point in engine.all("AccessPoint")
    }
    assert (
        users["gateway-records"] == users["gateway-seals"] != users["sealer-records"] == users["sealer-seals"]
    )
    owners = {
        (
            access_point.inputs["rootDirectory"]["path"],
            access_point.inputs["rootDirectory"]["creationInfo"]["ownerUid"],
        )
        for access_point in engine.all("AccessPoint")
    }
    assert owners == {("/records", 2000), ("/seals", 2001)}, "whoever of them comes first"
    assert len(engine.all("MountTarget")) == 2
    assert all("r-policy" in mount_target.depends_on for mount_target in engine.all("MountTarget"))


def test_a_share_for_restricted_work_or_without_mounts_is_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match="records of restricted work must be kept on-prem"):
        engine.deploy(RecordsShare, "r", {**SHARE, "sensitivity": "restricted"})
    with pytest.raises(InputError, match="nobody may mount sealer-seals"):
        engine.deploy(RecordsShare, "r", {**SHARE, "principals": {**SHARE["principals"], "sealer-seals": []}})


def test_the_sealers_endpoint_has_addresses_known_beforehand_and_lets_sealers_in_by_name(
    engine: Engine,
) -> None:
    cidrs = ["10.80.0.0/19", "10.80.32.0/19"]
    grant = {
        **{"service": "s3", "principals": [f"arn:aws:iam::{ACCOUNT}:role/sealer"]},
        **{"actions": ["s3:PutObject"], "resources": [f"{BUCKET}/frankfurt/internal/*"]},
    }
    args: dict[str, Any] = {
        **{"region": REGION, "vpc_id": "vpc-1", "subnet_ids": ["a", "b"], "subnet_cidrs": cidrs},
        **{"sources": ["10.80.0.0/16"], "grants": [grant]},
    }
    engine.deploy(SealingEndpoint, "e", args)
    vpc_endpoint = engine.only("VpcEndpoint").inputs
    fixed = [
        (subnet_configuration["subnetId"], subnet_configuration["ipv4"])
        for subnet_configuration in vpc_endpoint["subnetConfigurations"]
    ]
    assert fixed == [("a", "10.80.31.250"), ("b", "10.80.63.250")]
    assert [address for _, address in fixed] == sealing_addresses(cidrs)
    assert vpc_endpoint["privateDnsEnabled"] is False, "all others go on by the gateway endpoint"
    (only,) = json.loads(vpc_endpoint["policy"])["Statement"]
    assert only["Condition"] == {"ArnEquals": {"aws:PrincipalArn": grant["principals"]}}
    with pytest.raises(InputError, match="grants is empty"):
        engine.deploy(SealingEndpoint, "f", {**args, "grants": []})
    with pytest.raises(InputError, match="differ in length"):
        engine.deploy(SealingEndpoint, "g", {**args, "subnet_cidrs": cidrs[:1]})


def test_in_eks_the_sealer_has_a_role_and_its_gateway_has_none(
    eks_platform: Engine,
) -> None:
    bound = {
        (
            pod_identity_association.inputs["namespace"],
            pod_identity_association.inputs["serviceAccount"],
        ): pod_identity_association.inputs["roleArn"]
        for pod_identity_association in eks_platform.all("PodIdentityAssociation")
    }
    role = bound[("isthmus-confidential-sealer", "confidential-sealer")]
    assert list(bound.values()).count(role) == 1
    assert not [account for _, account in bound if account.endswith("-gateway")]
    pod = eks_platform.pods()["confidential-sealer"]
    assert pod["serviceAccountName"] == "confidential-sealer"
    secrets = {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
    assert secrets == {"confidential-sealer"}


def test_in_eks_gateway_and_sealer_claim_volumes_of_their_own_access_points(
    eks_platform: Engine,
) -> None:
    for role, namespace, name in (
        ("gateway", "isthmus-confidential", "confidential-gateway"),
        ("sealer", "isthmus-confidential-sealer", "confidential-sealer"),
    ):
        pod = eks_platform.pods()[name]
        (box,) = pod["containers"]
        read = {
            volume_mount["mountPath"]: volume_mount.get("readOnly", False)
            for volume_mount in box["volumeMounts"]
        }
        root = "/var/lib/isthmus/audit"
        assert (read[f"{root}/records"], read[f"{root}/seals"]) == (role == "sealer", role == "gateway")
        claims = {
            volume["name"]: volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["volumes"]
            if "persistentVolumeClaim" in volume
        }
        volumes = {
            persistent_volume.spec["claimRef"]["name"]: persistent_volume.spec
            for persistent_volume in eks_platform.all("PersistentVolume")
            if persistent_volume.spec["claimRef"]["namespace"] == namespace
        }
        for folder in ("records", "seals"):
            volume = volumes[claims[f"audit-{folder}"]]
            point = f"insurer-frankfurt-confidential-records-{role}-{folder}"
            assert volume["csi"]["volumeHandle"] == (
                f"insurer-frankfurt-confidential-records-files-id::{point}-id"
            )
            assert volume["mountOptions"] == ["tls", "iam"]


def test_in_eks_a_sealer_reaches_only_its_store_and_the_identity_agent(
    eks_platform: Engine,
) -> None:
    (policy,) = [
        network_policy.spec
        for network_policy in eks_platform.all("NetworkPolicy")
        if network_policy.meta["name"] == "confidential-sealer"
    ]
    targets = [(rule["to"][0]["ipBlock"]["cidr"], rule["ports"][0]["port"]) for rule in policy["egress"]]
    assert targets == [("10.80.31.250/32", 443), ("10.80.63.250/32", 443), ("169.254.170.23/32", 80)]
    pod = eks_platform.pods()["confidential-sealer"]
    assert [alias["ip"] for alias in pod["hostAliases"]] == ["10.80.31.250", "10.80.63.250"]
    assert {name for alias in pod["hostAliases"] for name in alias["hostnames"]} == {
        f"s3.{REGION}.amazonaws.com"
    }
    config_yaml = eks_platform.only("ConfigMap", f"{SEALER}-config").inputs["data"]["config.yaml"]
    read = read_by_the_edge(YAML(typ="safe").load(config_yaml), Path("config.yaml"))
    assert isinstance(read, SealerConfig)
    assert (read.store.credentials, read.store.ca) == (None, None)
    assert read.store.prefix == "frankfurt/confidential"


def test_the_store_takes_seals_from_the_sealers_roles_whichever_stack_makes_them(
    eks_platform: Engine,
) -> None:
    names = [
        role.inputs["name"]
        for role in eks_platform.all("Role")
        if role.name.endswith("-sealer-identity-role")
    ]
    assert len(names) == 2
    bucket_policy = document(eks_platform, "BucketPolicy", "insurer-frankfurt-policy")
    bucket_policy["Statement"].append({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    bucket = "arn:aws:s3/bucket:::insurer-frankfurt-bucket"
    person = {"aws_SecureTransport": "true", "aws_PrincipalIsAWSService": "false"}

    def puts(role: str) -> bool:
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        return allowed(bucket_policy, "s3:PutObject", f"{bucket}/x", aws_PrincipalArn=arn, **person)

    assert all(puts(name) for name in names)
    assert all(puts(f"{name[:-8]}0badcafe") for name in names), "another layer's digits"
    for stranger in ("admin", f"{names[0][:-8]}0badcafe-too", f"x-{names[0]}", names[0][:-9]):
        assert not puts(stranger)
    assert not allowed(bucket_policy, "s3:DeleteObjectVersion", f"{bucket}/x", **person)
    key = document(eks_platform, "Key", "insurer-frankfurt-key")
    (sealing,) = [
        statement
        for statement in key["Statement"]
        if "kms:GenerateDataKey" in statement["Action"] and "AWS" in statement["Principal"]
    ]
    aws_principal_arn = sealing["Condition"]["ArnLike"]["aws:PrincipalArn"]
    assert all(
        any(fnmatchcase(f"arn:aws:iam::{ACCOUNT}:role/{name}", pattern) for pattern in aws_principal_arn)
        for name in names
    )


def test_without_sealers_only_aws_services_may_put_objects(engine: Engine) -> None:
    account = Account()
    audit(account)
    bucket_policy = document(account, "BucketPolicy", "t-policy")
    bucket_policy["Statement"].append({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    name = "arn:aws:s3/bucket:::t-bucket/x"
    for service in ("true", "false"):
        context = {"aws_SecureTransport": "true", "aws_PrincipalIsAWSService": service}
        assert allowed(bucket_policy, "s3:PutObject", name, **context) is (service == "true")


def test_the_organisations_own_share_and_endpoint_are_used_and_none_is_made_beside(engine: Engine) -> None:
    data = private.data()
    data["audit"][0]["address"] = "10.80.9.9"
    for gateway in data["gateways"]:
        sensitivity = gateway["class"]
        gateway["audit"] |= {
            "volume": f"records-{sensitivity}",
            "sealer_volume": f"records-{sensitivity}-sealer",
        }
    platform = CheckedPlatform.model_validate(data)
    engine.run(lambda: LlmPlatform("insurer", platform, providers(SITE, f"{SITE}/kubernetes")))
    assert not engine.all("FileSystem")
    assert not engine.all("PersistentVolume")
    assert not [
        vpc_endpoint
        for vpc_endpoint in engine.all("VpcEndpoint")
        if vpc_endpoint.name.endswith("-sealing-s3")
    ]
    assert "aws-efs-csi-driver" not in {addon.inputs["addonName"] for addon in engine.all("Addon")}
    pod = engine.pods()["internal-sealer"]
    assert [alias["ip"] for alias in pod["hostAliases"]] == ["10.80.9.9"]


def test_a_sealer_with_two_shares_or_none_and_a_restricted_one_in_aws_are_refused(engine: Engine) -> None:
    store = {"endpoint": "https://s3.example", "address": "10.40.0.9", "bucket": "b", "prefix": "f/r"}
    args: dict[str, Any] = {
        **{"sensitivity": "restricted", "site": "fra1", "image": f"x@{private.DIGEST}", "secret": "s"},
        **{"store": {**store, "retention_days": 1826}, "monitoring_namespace": "m"},
        "site_cidrs": ["10.40.0.0/16"],
    }
    with pytest.raises(InputError, match="records need either a volume or the folders of a share"):
        engine.deploy(AuditSealer, "s", args)
    with pytest.raises(Refused, match="sealer of restricted records"):
        engine.deploy(AuditSealer, "t", {**args, "volume": "v", "pod_identity": "arn:role"})
