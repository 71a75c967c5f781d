"""Cases of rules for held answers and the review service."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from isthmus.contracts.platform.model.callers import GatewayDatabase
from isthmus.contracts.platform.model.platform import Gateway, Monitoring
from isthmus.contracts.platform.model.reviews import GatewayReviews
from tests.broken_graphs.inputs import changed
from tests.policies.cases import Case
from tests.policies.cases_cluster import BOX, POD, deployment
from tests.policies.cases_records import config, of_rights
from tests.policies.cases_serving import ZONE, spread
from tests.policies.making import platform_with, resource_of

CLASS = "isthmus.dev/class"
HIGH = {"name": "narratives", "impact": "high", "review": {"domain": "crime", "below_confidence": 0.8}}
DRAWN = {
    "name": "letters",
    "impact": "low",
    "review": {"domain": "letters", "sample_rate": 0.1, "below_confidence": 0.5, "on_low_score": "hold"},
}
REVIEWS = {"keys": "/keys", "wrapping_key": "/etc/wrapping.key"}
HELD: dict[str, Any] = {
    **{"mode": "gateway", "class": "restricted", "site": "fra1"},
    "workloads": [HIGH, DRAWN],
    "reviews": REVIEWS,
}
BARE = {key: value for key, value in HELD.items() if key != "reviews"}


def configuration(**more: Any) -> dict[str, Any]:
    return {"data.[config.yaml]": json.dumps({**HELD, **more})}


def workloads(**more: Any) -> dict[str, Any]:
    return configuration(workloads=[{**HIGH, **more}, DRAWN])


def gateway(**more: Any) -> Gateway:
    gateway_inputs = {
        **{"class": "restricted", "name": "restricted-fra1", "site": "fra1", "host": "h"},
        **{
            "callers_secret": "callers",
            "workloads": [{**workload, "endpoint": "e"} for workload in (HIGH, DRAWN)],
        },
        "database": GatewayDatabase(host="postgres", address="10.40.0.21"),
        "reviews": GatewayReviews(
            secret="s",
            reviewers_ca="ca",
            records_volume="r",
            keys_volume="k",
            from_cidrs=["10.40.7.0/24"],
            from_namespaces=["reviewers"],
        ),
        **more,
    }
    return Gateway.model_validate(gateway_inputs)


WORD = platform_with(gateways=[gateway()], monitoring=Monitoring(namespace="monitoring"))
ELSEWHERE = platform_with(
    gateways=[
        gateway(
            reviews=None,
            workloads=[{**DRAWN, "endpoint": "e", "reviewed_by": "claims-desk"}],
        )
    ]
)
CFG = config(HELD, "gw-cfg")
SPACE = resource_of(
    "kubernetes:core/v1:Namespace", "desk", {"metadata": {"name": "desk", "labels": {CLASS: "restricted"}}}
)


def pod(role: str, namespace: str = "desk") -> Any:
    labels = {"app": role, "isthmus.dev/role": role}
    return changed([deployment(BOX, role, labels)], {"metadata.namespace": namespace})[0]


def network_policy(block: Any = "10.40.0.21/32", let_in: Any = None, **more: Any) -> Any:
    namespaces = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "reviewers"}}}
    scraping = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    spec = {
        "podSelector": {"matchLabels": {"app": "reviews"}},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [{"to": [{"ipBlock": {"cidr": block}}]}],
        "ingress": [
            {"from": [let_in or namespaces, {"ipBlock": {"cidr": "10.40.7.0/24"}}]},
            {"from": [scraping]},
        ],
        **more,
    }
    meta = {"name": "desk", "namespace": "desk"}
    return resource_of(
        "kubernetes:networking.k8s.io/v1:NetworkPolicy", "way", {"metadata": meta, "spec": spec}
    )


WAY, DESK = network_policy(), pod("reviews")
BLOCK = "spec.egress.0.to.0.ipBlock.cidr"
PEER = "spec.ingress.0.from.0.namespaceSelector.matchLabels.[kubernetes.io/metadata.name]"

APART = {"topologySpreadConstraints": [spread(ZONE)]}
TWO = deployment(BOX, "desk", {"app": "desk", "isthmus.dev/role": "reviews"}, replicas=2, pod=APART)
DESKS = changed([TWO], {"metadata.namespace": "desk"})[0]

OPS = of_rights("Role", "ops", "desk")

CASES = [
    Case(
        "reliability/as-many-as-stated",
        [DESKS, SPACE],
        fails=[{"spec.replicas": 1}],
        unknown=["spec.replicas"],
        platform=WORD,
    ),
    Case(
        "reliability/spread-by-force",
        [DESKS, SPACE],
        fails=[{f"{POD}.topologySpreadConstraints.0.whenUnsatisfiable": "ScheduleAnyway"}],
        platform=WORD,
    ),
    Case(
        "audit/answers-held",
        [CFG],
        fails=[
            {"data.[config.yaml]": json.dumps(BARE)},
            configuration(reviews={"keys": "/keys"}),
            workloads(impact="material"),
            workloads(impact=None),
            workloads(review=None),
            workloads(review={"domain": "crime", "below_confidence": 0.1}),
            configuration(workloads=[HIGH, {**DRAWN, "review": {"domain": "letters"}}]),
            configuration(workloads=[HIGH, {**DRAWN, "review": {**DRAWN["review"], "on_low_score": None}}]),
            configuration(workloads=[DRAWN]),
        ],
        unknown=["data"],
        platform=WORD,
        broken=[[config(BARE, "gw-cfg")]],
        also=[
            [config(BARE, "gw-cfg", site="elsewhere", workloads=[])],
            [config({**HELD, "mode": "reviews"}, "r")],
        ],
    ),
    Case(
        "audit/reviews-apart",
        [WAY, DESK, SPACE],
        fails=[{BLOCK: "10.40.0.0/16"}, {BLOCK: "10.40.0.22/32"}, {PEER: "everybody"}],
        missing=["spec.ingress.0.from", "spec.egress.0.to", PEER],
        unknown=[BLOCK, PEER],
        platform=WORD,
        broken=[
            [WAY, DESK, SPACE, pod("gateway")],
            [WAY, DESK, SPACE, of_rights("RoleBinding", "ops", "desk")],
            [WAY, DESK, SPACE, of_rights("Role", "ops", "desk")],
            [network_policy(let_in={"ipBlock": {"cidr": "10.40.0.0/16"}}), DESK, SPACE],
            [
                WAY,
                DESK,
                SPACE,
                replace(OPS, urn=f"urn:pulumi:dev::bank::isthmus:index:Reviews${OPS.type}::ops"),
            ],
        ],
        also=[[WAY, DESK, SPACE, of_rights("RoleBinding", "ops", "space"), pod("gateway", "space")]],
        one_keeps_it=True,
    ),
]
