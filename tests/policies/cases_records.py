"""Cases of rules for gateway records and sealers."""

from __future__ import annotations

import json
from typing import Any

from isthmus.contracts.platform.model.platform import AuditStore, Gateway, Site
from tests.broken_graphs.inputs import changed
from tests.policies.cases import Case
from tests.policies.cases_cluster import BOX, deployment
from tests.policies.making import platform_with, resource_of

RECORDS, SEALS = "/var/lib/isthmus/audit/records", "/var/lib/isthmus/audit/seals"
GATEWAY: dict[str, Any] = {
    **{"mode": "gateway", "class": "restricted", "site": "fra1"},
    "audit": {"records": RECORDS, "seals": SEALS, "seal_key": "/k/sealer.pem", "site_key": "/k/site.key"},
}
SEALER: dict[str, Any] = {
    **{"mode": "sealer", "class": "restricted", "site": "fra1", "records": RECORDS, "seals": SEALS},
    "store": {"endpoint": "https://s3.fra1.bank.example", "bucket": "llm-audit", "retention_days": 1826},
}
AUDIT = {"volume": "a", "sealer_volume": "b", "secret": "c", "sealer_secret": "d"}


def config(content: dict[str, Any], name: str, namespace: str = "space", **more: Any) -> Any:
    labels = {"isthmus.dev/role": content["mode"]}
    return resource_of(
        "kubernetes:core/v1:ConfigMap",
        name,
        {
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "data": {"config.yaml": json.dumps({**content, **more})},
        },
    )


def config_with(settings: dict[str, Any], part: str, **more: Any) -> dict[str, Any]:
    return {"data.[config.yaml]": json.dumps({**settings, part: {**settings[part], **more}})}


def pod(role: str, namespace: str, cfg: str, reads: str, writes: str) -> Any:
    mounts = [{"name": "audit", "mountPath": reads, "readOnly": True}, {"name": "audit", "mountPath": writes}]
    labels = {"app": role, "isthmus.dev/role": role}
    volumes = [{"name": "config", "configMap": {"name": cfg}}]
    workload = deployment({**BOX, "volumeMounts": mounts}, role, labels, pod={"volumes": volumes})
    return changed([workload], {"metadata.namespace": namespace})[0]


def of_rights(kind: str, name: str, namespace: str = "", **more: Any) -> Any:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return resource_of(f"kubernetes:rbac.authorization.k8s.io/v1:{kind}", name, {"metadata": meta, **more})


def egress(block: str = "10.40.0.9/32", **peer: Any) -> Any:
    spec = {
        "podSelector": {},
        "policyTypes": ["Egress"],
        "egress": [{"to": [peer or {"ipBlock": {"cidr": block}}]}],
    }
    meta = {"name": "seal", "namespace": "seal"}
    return resource_of(
        "kubernetes:networking.k8s.io/v1:NetworkPolicy", "seal", {"metadata": meta, "spec": spec}
    )


STORE = {"name": "fra1", "site": "fra1", "mode": "existing", "retention_days": 1826, "address": "10.40.0.9"}
WORD = platform_with(
    sites=[Site(name="fra1", kind="on-prem", jurisdiction="de")],
    audit=[AuditStore.model_validate({**STORE, **{k: SEALER["store"][k] for k in ("endpoint", "bucket")}})],
    gateways=[
        Gateway.model_validate(
            {
                **{
                    "class": "restricted",
                    "name": "restricted-fra1",
                    "site": "fra1",
                    "host": "h",
                    "workloads": [],
                },
                **{"callers_secret": "callers", "audit": AUDIT},
            }
        )
    ],
)
GW_CFG, SEAL_CFG = config(GATEWAY, "gw-cfg"), config(SEALER, "seal-cfg", "seal")
GW = pod("gateway", "space", "gw-cfg", SEALS, RECORDS)
SEAL = pod("sealer", "seal", "seal-cfg", RECORDS, SEALS)
WRITER = of_rights(
    "ClusterRole", "ops", rules=[{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]}]
)
READER = of_rights(
    "ClusterRole", "sees", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
)
BARE = {key: value for key, value in GATEWAY.items() if key != "audit"}


def bound(role: str) -> Any:
    return of_rights("ClusterRoleBinding", f"{role}-bound", roleRef={"kind": "ClusterRole", "name": role})


DESK_CFG = config({**GATEWAY, "mode": "reviews"}, "desk-cfg", "desk")

CASES = [
    Case(
        "audit/gateways-keep-records",
        [GW_CFG],
        fails=[
            {"data.[config.yaml]": json.dumps(BARE)},
            config_with(GATEWAY, "audit", site_key=None),
            config_with(GATEWAY, "audit", seal_key=""),
        ],
        platform=WORD,
        broken=[[config(BARE, "gw-cfg")], [config({**BARE, "mode": "reviews"}, "desk-cfg")]],
        also=[[config({**BARE, "site": "elsewhere"}, "gw-cfg")], [config(SEALER, "seal-cfg")]],
    ),
    Case(
        "audit/sealer-apart",
        [SEAL, GW, SEAL_CFG, GW_CFG, READER, bound("sees"), WRITER],
        fails=[{"spec.template.spec.containers.0.volumeMounts.0.readOnly": False}],
        missing=["spec.template.spec.containers.0.volumeMounts.0.readOnly"],
        broken=[
            [SEAL, changed([GW], {"metadata.namespace": "seal"})[0], SEAL_CFG],
            [
                SEAL,
                SEAL_CFG,
                of_rights("RoleBinding", "ops", "seal", roleRef={"kind": "Role", "name": "ops"}),
            ],
            [SEAL, SEAL_CFG, of_rights("Role", "ops", "seal")],
            [SEAL, SEAL_CFG, WRITER, bound("ops")],
            [pod("gateway", "space", "gw-cfg", RECORDS, SEALS), GW_CFG, SEAL, SEAL_CFG],
            [pod("reviews", "desk", "desk-cfg", RECORDS, SEALS), DESK_CFG, SEAL, SEAL_CFG],
        ],
        also=[[GW, of_rights("RoleBinding", "ops", "space"), WRITER, bound("ops")]],
        one_keeps_it=True,
    ),
    Case(
        "audit/sealed-at-home",
        [SEAL_CFG, egress()],
        fails=[
            config_with(SEALER, "store", endpoint="https://s3.elsewhere.example"),
            config_with(SEALER, "store", bucket="other"),
            config_with(SEALER, "store", retention_days=30),
            config_with(SEALER, "store", retention_days=None),
        ],
        platform=WORD,
        broken=[
            [SEAL_CFG, egress("10.40.0.0/16")],
            [SEAL_CFG, egress("10.40.0.10/32")],
            [SEAL_CFG, egress(podSelector={})],
        ],
        also=[[config(SEALER, "seal-cfg", "seal", site="other"), egress()]],
        one_keeps_it=True,
    ),
]
