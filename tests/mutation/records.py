"""Faults in gateway records: missing records, access to the sealer, its store."""

from __future__ import annotations

from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.parts import CONFIGS, CONFIGURED, PODS, WORKLOADS
from tests.broken_graphs.resources import beside
from tests.mutation.shapes import Context, Family

FAMILY = Family("audit")
ROLE = "isthmus.dev/role"
FOLDERS = "/var/lib/isthmus/audit/"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
RBAC = "kubernetes:rbac.authorization.k8s.io/v1"


def shares(pod: Any, _: Context) -> bool:
    return bool(_shared(pod))


def _shared(pod: Any) -> list[dict[str, Any]]:
    """Mounts that are only read, of the share between gateway and sealer."""
    mounts = [
        mount for container in pod["spec"]["containers"] for mount in container.get("volumeMounts") or []
    ]
    return [mount for mount in mounts if mount["mountPath"].startswith(FOLDERS) and mount.get("readOnly")]


def of_a_sealer(inputs: Any, context: Context) -> bool:
    return context.labelled(ROLE) == "sealer" and bool(inputs["spec"].get("egress"))


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=lambda config, _: config.get("audit"))
def gateway_that_keeps_no_records(config: Any, context: Context) -> None:
    """A gateway's configuration names no audit any more."""
    del config["audit"]


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=lambda config, _: config["mode"] == "sealer")
def seals_in_another_store(config: Any, context: Context) -> None:
    """A sealer puts seals into a store of another site."""
    config["store"]["endpoint"] = "https://s3.elsewhere.example"


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=lambda config, _: config["mode"] == "sealer")
def seals_locked_for_a_month(config: Any, context: Context) -> None:
    """A sealer locks seals for thirty days only."""
    config["store"]["retention_days"] = 30


@FAMILY.changes(POLICY, where=of_a_sealer)
def sealer_let_out_to_the_whole_site(inputs: Any, context: Context) -> None:
    """A sealer reaches every address of the store's network in place of the store."""
    block = inputs["spec"]["egress"][0]["to"][0]["ipBlock"]
    block["cidr"] = ".".join([*block["cidr"].split(".")[:2], "0.0/16"])


def of_a_loader(inputs: Any, context: Context) -> bool:
    return context.labelled(ROLE) == "loader" and bool(inputs["spec"].get("egress"))


def loads_above_public(config: Any, _: Context) -> bool:
    return config["mode"] == "loader" and config["class"] != "public"


def reads_the_store(pod: Any, _: Context) -> bool:
    return any(container["name"] == "loader" for container in pod["spec"]["containers"])


@FAMILY.changes(POLICY, where=of_a_loader)
def loader_let_out_to_the_whole_site(inputs: Any, context: Context) -> None:
    """A loader reaches every address of the ledger's network in place of the ledger."""
    block = inputs["spec"]["egress"][0]["to"][0]["ipBlock"]
    block["cidr"] = ".".join([*block["cidr"].split(".")[:2], "0.0/16"])


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=loads_above_public)
def usage_loaded_into_a_database_in_the_cloud(config: Any, context: Context) -> None:
    """A loader fills a ledger that a cloud hosts."""
    config["database"]["host"] = "usage.c1.eu-central-1.rds.amazonaws.com"


@FAMILY.changes(*WORKLOADS, lens=PODS, where=reads_the_store)
def loader_with_the_credentials_of_the_sealer(pod: Any, context: Context) -> None:
    """A loader reads the store with the Secret of the sealer, which may write seals."""
    [store] = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "store"]
    store["secret"]["secretName"] = f"{context.space.split('-')[1]}-sealer"


@FAMILY.changes(*WORKLOADS, lens=PODS, where=shares)
def folder_of_the_other_that_can_be_written(pod: Any, context: Context) -> None:
    """A gateway can write seals, or a sealer records."""
    for mount in _shared(pod):
        del mount["readOnly"]


@FAMILY.adds(POLICY, where=of_a_sealer)
def role_in_the_sealers_namespace(inputs: Any, context: Context) -> list[Resource]:
    """A group of people is given a role in a sealer's namespace."""
    meta = {"name": "gateway-operators", "namespace": context.space}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operators"}
    group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "llm-ops"}
    body = {"metadata": meta, "roleRef": role, "subjects": [group]}
    return [beside(context.resource, f"{RBAC}:RoleBinding", "operators", body)]


@FAMILY.adds(POLICY, where=of_a_sealer)
def gateway_operators_of_the_whole_cluster(inputs: Any, context: Context) -> list[Resource]:
    """A group of people may change deployments in every namespace."""
    rule = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "patch"]}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "gateway-operators"}
    group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "llm-ops"}
    meta = {"name": "gateway-operators"}
    return [
        beside(context.resource, f"{RBAC}:ClusterRole", "operators", {"metadata": meta, "rules": [rule]}),
        beside(
            context.resource,
            f"{RBAC}:ClusterRoleBinding",
            "operators-bound",
            {"metadata": meta, "roleRef": role, "subjects": [group]},
        ),
    ]
