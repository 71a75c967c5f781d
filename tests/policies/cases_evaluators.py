"""Cases of the rule for evaluation jobs."""

from __future__ import annotations

import json
from typing import Any

from edge import ssh_signatures
from isthmus.contracts.platform.lookups.evaluator import SETTINGS_FILE
from isthmus.contracts.platform.model.evaluator import GatewayEvaluator
from isthmus.contracts.platform.model.platform import Endpoint
from isthmus.evaluation.jobs import job_settings
from tests.evaluation.signing import KEY
from tests.policies.cases import Case
from tests.policies.cases_cluster import BOX
from tests.policies.cases_records import of_rights
from tests.policies.cases_reviews import gateway, pod
from tests.policies.making import platform_with, resource_of

NAMESPACE = "isthmus-restricted-evaluator"
WORKLOAD = "narratives"
EVALUATOR = GatewayEvaluator.model_validate(
    {
        "signer": ssh_signatures.public_key_of(KEY),
        "signing_secret": "evaluator-key",
        "jobs": [
            {
                "name": WORKLOAD,
                "secret": "evaluation-key",
                "cases_claim": "cases",
                "volume": "results",
            }
        ],
    }
)
ENDPOINT = {"id": "e", "class": "restricted", "site": "fra1", "target": "onprem-vllm", "model": "m"}
WORD = platform_with(
    gateways=[gateway(evaluator=EVALUATOR)],
    endpoints=[Endpoint.model_validate(ENDPOINT)],
    lifecycle="durable",
)
SPACE = resource_of(
    "kubernetes:core/v1:Namespace",
    "evaluator",
    {"metadata": {"name": NAMESPACE, "labels": {"isthmus.dev/class": "restricted"}}},
)
GATEWAY = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "isthmus-restricted"}},
    "podSelector": {"matchLabels": {"isthmus.dev/role": "gateway", "isthmus.dev/class": "restricted"}},
}


def network_policy(**more: Any) -> Any:
    spec = {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [{"to": [GATEWAY]}],
        **more,
    }
    meta = {"name": "evaluator", "namespace": NAMESPACE}
    return resource_of(
        "kubernetes:networking.k8s.io/v1:NetworkPolicy", "way", {"metadata": meta, "spec": spec}
    )


def job(name: str = WORKLOAD, *volumes: dict[str, Any]) -> Any:
    cases = {"name": "cases", "persistentVolumeClaim": {"claimName": "cases", "readOnly": True}}
    template = {
        "metadata": {"labels": {"app": "evaluator", "isthmus.dev/role": "evaluator"}},
        "spec": {"containers": [BOX], "volumes": [cases, *volumes]},
    }
    spec = {"schedule": "0 3 * * 6", "jobTemplate": {"spec": {"template": template}}}
    return resource_of(
        "kubernetes:batch/v1:CronJob",
        name,
        {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec},
    )


def settings(**changes: Any) -> Any:
    stated = job_settings(WORD, WORD.gateways[0], EVALUATOR, EVALUATOR.jobs[0])
    data = {SETTINGS_FILE: json.dumps({**stated, **changes})}
    return resource_of(
        "kubernetes:core/v1:ConfigMap",
        "settings",
        {"metadata": {"name": "narratives-0", "namespace": NAMESPACE}, "data": data},
    )


WAY, JOB, SETTINGS = network_policy(), job(), settings()
SECRET = {"name": "more", "secret": {"secretName": "restricted-sealer"}}
CLAIM = {"name": "more", "persistentVolumeClaim": {"claimName": "records-restricted"}}
WRITABLE = {"name": "more", "persistentVolumeClaim": {"claimName": "cases"}}
PEER = "spec.egress.0.to.0"
NAME_OF_PEER = f"{PEER}.namespaceSelector.matchLabels.[kubernetes.io/metadata.name]"

CASES = [
    Case(
        "release/evaluations-apart",
        [WAY, JOB, SETTINGS, SPACE],
        fails=[
            {NAME_OF_PEER: "isthmus-internal"},
            {NAME_OF_PEER: "isthmus-restricted-sealer"},
            {f"{PEER}.podSelector.matchLabels.[isthmus.dev/role]": "model"},
            {"spec.ingress": [{"from": [GATEWAY]}]},
        ],
        missing=[PEER, f"{PEER}.podSelector"],
        unknown=[PEER],
        platform=WORD,
        broken=[
            [WAY, JOB, SETTINGS, SPACE, pod("gateway", NAMESPACE)],
            [WAY, JOB, SETTINGS, SPACE, of_rights("RoleBinding", "ops", NAMESPACE)],
            [WAY, job("other"), SETTINGS, SPACE],
            [WAY, pod("evaluator", NAMESPACE), SETTINGS, SPACE],
            *([WAY, job(WORKLOAD, more), SETTINGS, SPACE] for more in (SECRET, CLAIM, WRITABLE)),
            *(
                [WAY, JOB, settings(**changes), SPACE]
                for changes in (
                    {"url": "https://internal-gateway.isthmus-internal.svc:8443"},
                    {"workload": "other"},
                    {"signer": "ssh-ed25519 AAAA"},
                    {"tokens": 10**9},
                )
            ),
        ],
        also=[
            [WAY, job(WORKLOAD, {"name": "k", "secret": {"secretName": "evaluator-key"}}), SETTINGS, SPACE],
            [WAY, JOB, SETTINGS, SPACE, of_rights("RoleBinding", "ops", "space"), pod("gateway", "space")],
        ],
        one_keeps_it=True,
    ),
]
