"""Cases of the rule for usage loaders."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.platform.model.platform import AuditStore, Monitoring
from isthmus.contracts.platform.model.usage import GatewayUsage, UsageLedger
from tests.policies.cases import Case
from tests.policies.cases_records import of_rights
from tests.policies.cases_reviews import BLOCK, PEER, SPACE, gateway, network_policy, pod
from tests.policies.making import platform_with

LEDGER = UsageLedger(host="usage", address="10.40.0.31", secret="usage", store_secret="reader")
STORE = AuditStore(
    **{"name": "fra1", "site": "fra1", "mode": "existing", "retention_days": 1826, "bucket": "records"},
    endpoint="https://s3.fra1.bank.example",
    address="10.40.0.9",
)
WORD = platform_with(
    gateways=[gateway(usage=GatewayUsage(ledger=LEDGER))],
    audit=[STORE],
    monitoring=Monitoring(namespace="monitoring"),
)
MONITORING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
ONLY_SCRAPED: list[dict[str, Any]] = [{"from": [MONITORING]}]
WAY = network_policy("10.40.0.31/32", ingress=ONLY_SCRAPED)
TO_STORE = network_policy("10.40.0.9/32", ingress=ONLY_SCRAPED)
LOADER = pod("loader")


def _with_secret(name: str) -> Any:
    """The loader with another Secret."""
    inputs = pod("loader")
    inputs.inputs["spec"]["template"]["spec"]["volumes"] = [{"name": "store", "secret": {"secretName": name}}]
    return inputs


CASES = [
    Case(
        "audit/loader-apart",
        [WAY, LOADER, SPACE],
        fails=[{BLOCK: "10.40.0.0/16"}, {BLOCK: "10.40.0.22/32"}, {PEER: "everybody"}],
        missing=["spec.ingress.0.from", "spec.egress.0.to", PEER],
        unknown=[BLOCK, PEER],
        platform=WORD,
        broken=[
            [WAY, LOADER, SPACE, pod("gateway")],
            [WAY, LOADER, SPACE, of_rights("RoleBinding", "ops", "desk")],
            [WAY, _with_secret("restricted-sealer"), SPACE],
        ],
        also=[
            [TO_STORE, LOADER, SPACE],
            [WAY, _with_secret("reader"), SPACE],
            [WAY, LOADER, SPACE, of_rights("RoleBinding", "ops", "space"), pod("gateway", "space")],
        ],
        one_keeps_it=True,
    ),
]
