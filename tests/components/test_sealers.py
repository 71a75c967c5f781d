"""What a gateway's records stand on: its volume and keys, and the sealer beside it, apart from all that it has."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from components import AuditSealer
from components.governance.cluster_roles import ClusterRoles
from edge.config import SealerConfig
from edge.config import check as read_by_the_edge
from isthmus.core.errors import Refused
from tests.components.conftest import Engine, Made, build
from tests.components.platforms import CLOSED, DIGEST, REGISTRY

SPACE = "isthmus-restricted-sealer"


def read_config(engine: Engine, name: str) -> Any:
    text = engine.only("ConfigMap", name).inputs["data"]["config.yaml"]
    return read_by_the_edge(YAML(typ="safe").load(text), Path("config.yaml"))


def mounts(deployment: Made) -> dict[str, tuple[str, bool]]:
    """By folder of the share: where it is mounted, and whether it is only read."""
    (box,) = deployment.pod["containers"]
    return {
        volume_mount["subPath"]: (volume_mount["mountPath"], volume_mount.get("readOnly", False))
        for volume_mount in box["volumeMounts"]
        if "subPath" in volume_mount
    }


def test_the_sealer_uses_the_store_of_the_site_for_its_class(built: Engine) -> None:
    read = read_config(built, "isthmus-fra1-restricted-sealer-config")
    assert isinstance(read, SealerConfig)
    assert (read.data_class, read.site) == ("restricted", "fra1")
    assert (read.store.endpoint, read.store.bucket) == ("https://s3.fra1.bank.example", "llm-audit")
    assert (read.store.prefix, read.store.retention_days) == ("fra1/restricted", 1826)


def test_gateway_and_sealer_share_two_folders_and_each_writes_one(built: Engine) -> None:
    gateway = built.only("Deployment", "isthmus-fra1-restricted-gateway-server")
    sealer = built.only("Deployment", "isthmus-fra1-restricted-sealer-server")
    read = read_config(built, "isthmus-fra1-restricted-gateway-config").audit
    assert mounts(gateway) == {"records": (str(read.records), False), "seals": (str(read.seals), True)}
    assert mounts(sealer) == {"records": (str(read.records), True), "seals": (str(read.seals), False)}
    volumes = {
        (
            persistent_volume_claim.meta["namespace"],
            persistent_volume_claim.meta["name"],
        ): persistent_volume_claim.spec["volumeName"]
        for persistent_volume_claim in built.all("PersistentVolumeClaim")
        if "records" in persistent_volume_claim.name and "restricted" in persistent_volume_claim.name
    }
    assert volumes == {
        ("isthmus-restricted", "restricted-gateway-records"): "records-restricted",
        (SPACE, "records"): "records-restricted-sealer",
    }, "two volumes of one share, since one binds to one namespace"


def test_gateway_and_sealer_share_no_secret_no_account_and_no_user(built: Engine) -> None:
    pods = built.pods()
    restricted_gateway, restricted_sealer = pods["restricted-gateway"], pods["restricted-sealer"]

    def secrets(pod: dict[str, Any]) -> set[str]:
        return {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}

    assert secrets(restricted_sealer) == {"restricted-sealer"}
    assert not secrets(restricted_gateway) & secrets(restricted_sealer)
    assert restricted_gateway["serviceAccountName"] != restricted_sealer["serviceAccountName"]
    assert (
        restricted_gateway["securityContext"]["runAsUser"]
        != restricted_sealer["securityContext"]["runAsUser"]
    )


def test_kubelet_gives_no_group_the_folders_of_the_share(built: Engine) -> None:
    """With an fsGroup one group could write both folders, and NFS with root squashed would refuse the mount."""
    users = {}
    for deployment in built.all("Deployment"):
        claims = [
            volume["persistentVolumeClaim"]
            for volume in deployment.pod["volumes"]
            if "persistentVolumeClaim" in volume
        ]
        if not any(str(claim["claimName"]).endswith("records") for claim in claims):
            continue
        security = deployment.pod["securityContext"]
        assert not [key for key in security if key.startswith("fsGroup")], deployment.name
        assert security["supplementalGroups"] == [security["runAsUser"]]
        users[deployment.meta["name"].rpartition("-")[2]] = security["runAsUser"]
    assert users == {"gateway": 2000, "sealer": 2001}


def test_a_sealer_reaches_only_its_store_by_address(built: Engine) -> None:
    policies = {
        network_policy.meta["name"]: network_policy.spec
        for network_policy in built.all("NetworkPolicy")
        if network_policy.meta["namespace"] == SPACE
    }
    assert set(policies) == {"default-deny", "restricted-sealer"}
    assert policies["default-deny"] == CLOSED
    assert policies["restricted-sealer"]["egress"] == [
        {"to": [{"ipBlock": {"cidr": "10.40.0.9/32"}}], "ports": [{"protocol": "TCP", "port": 443}]}
    ]
    pod = built.pods()["restricted-sealer"]
    assert pod["hostAliases"] == [{"ip": "10.40.0.9", "hostnames": ["s3.fra1.bank.example"]}]
    assert (pod["dnsPolicy"], pod["dnsConfig"]) == ("None", {"nameservers": ["127.0.0.1"]})
    (namespace,) = [namespace for namespace in built.all("Namespace") if namespace.meta["name"] == SPACE]
    assert namespace.meta["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert namespace.meta["labels"]["isthmus.dev/class"] == "restricted", "admission looks at it, too"


def test_no_role_of_people_reaches_the_sealers_namespace(engine: Engine) -> None:
    members: Any = [{"role": role, "groups": ["g"]} for role in ("platform", "model-owner", "auditor")]
    classes: Any = [{"sensitivity": "restricted", "models": ["m"], "gateway": "restricted-gateway"}]
    engine.deploy(ClusterRoles, "people", {"members": members, "classes": classes})
    assert engine.all("RoleBinding"), "else nothing is shown"
    assert {role_binding.meta["namespace"] for role_binding in engine.all("RoleBinding")} == {
        "isthmus-restricted"
    }
    cluster_roles = [
        rule for cluster_role in engine.all("ClusterRole") for rule in cluster_role.inputs["rules"]
    ]
    assert not [rule for rule in cluster_roles if {"pods", "secrets", "deployments"} & set(rule["resources"])]


def test_a_gateway_waits_for_its_sealer(built: Engine) -> None:
    waits = built.only("Deployment", "isthmus-fra1-restricted-gateway-server").depends_on
    assert "isthmus-fra1-restricted-sealer-server" in waits


def test_another_route_is_another_version_in_the_records(engine: Engine, platform: dict[str, Any]) -> None:
    name = "isthmus-fra1-confidential-gateway-config"
    changed = copy.deepcopy(platform)
    changed["gateways"][1]["workloads"][0].pop("adapter")
    with_version = copy.deepcopy(platform)
    with_version["gateways"][1]["audit"]["policy"] = "v12"
    policies = []
    for data in (platform, copy.deepcopy(platform), changed, with_version):
        fresh_engine = Engine()
        build(fresh_engine, data)
        policies.append(read_config(fresh_engine, name).audit.policy)
    assert policies[0] == policies[1]
    assert policies[0].startswith("config-")
    assert policies[2] not in (policies[0], "v12")
    assert policies[3] == "v12"


def test_content_is_kept_for_named_workloads_with_keys_on_a_separate_volume(
    engine: Engine, platform: dict[str, Any]
) -> None:
    content = {"volume": "content-keys", "days": {"transaction-narratives": 1825}}
    platform["gateways"][0]["audit"] |= {"content": content, "max_unsealed_s": 90, "earlier_keys": True}
    build(engine, platform)
    read = read_config(engine, "isthmus-fra1-restricted-gateway-config").audit
    assert (read.content.days, read.max_unsealed_s) == ({"transaction-narratives": 1825}, 90)
    pod = engine.pods()["restricted-gateway"]
    (box,) = pod["containers"]
    at = {volume_mount["mountPath"]: volume_mount for volume_mount in box["volumeMounts"]}
    assert not at[str(read.content.keys)].get("readOnly")
    (keys,) = [
        persistent_volume_claim
        for persistent_volume_claim in engine.all("PersistentVolumeClaim")
        if persistent_volume_claim.name.endswith("content-keys")
    ]
    assert keys.spec["volumeName"] == "content-keys"
    sealer = read_config(engine, "isthmus-fra1-restricted-sealer-config")
    assert sealer.store.content_days == 1825
    assert str(sealer.earlier_keys) == "/etc/isthmus/sealer/earlier.pem"


def test_a_restricted_sealer_alone_takes_no_store_outside_the_site(engine: Engine) -> None:
    store = {"endpoint": "https://s3.example", "address": "52.94.1.1", "bucket": "b", "prefix": "fra1/r"}
    args: dict[str, Any] = {
        **{"sensitivity": "restricted", "site": "fra1", "image": f"{REGISTRY}translator@{DIGEST}"},
        **{"volume": "v", "secret": "s", "store": {**store, "retention_days": 1826}},
        **{"monitoring_namespace": "monitoring", "site_cidrs": ["10.40.0.0/16"]},
    }
    with pytest.raises(Refused, match="not inside the site's networks"):
        engine.deploy(AuditSealer, "s", args)
