"""Cases of rules for class namespaces: workloads, ingress, Service names and DNS resolvers."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Site
from isthmus.contracts.reference.admission import required_policies
from tests.policies.cases import Case
from tests.policies.cases_cluster import BOX, FIRST, POD, deployment, policy
from tests.policies.cases_models import BEHIND, EDGE, GUARD, SERVES, config, config_with
from tests.policies.making import platform_with, resource_of

SITES = [
    Site(name="fra1", kind="on-prem", jurisdiction="de", dns=["10.40.0.53"]),
    Site(name="frankfurt", kind="aws", jurisdiction="de", region="eu-central-1"),
]


def namespace_of_class(class_: str, name: str = "space") -> Any:
    labels = {"isthmus.dev/class": class_}
    return resource_of("kubernetes:core/v1:Namespace", name, {"metadata": {"name": name, "labels": labels}})


def lets_in(**where: Any) -> Any:
    return policy("in", policyTypes=["Ingress"], ingress=[{"from": [{"namespaceSelector": where}]}])


def labelled(name: str, pod: dict[str, Any] | None = None, **labels: str) -> Any:
    workload = deployment(BOX, name, {"app": name, **labels}, pod=pod or {})
    return workload


FETCHES = resource_of("kubernetes:batch/v1:Job", "fetch", labelled("llama-fetch-0123456789").inputs)
RESOLVES = {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.40.0.53"]}}
WORD = platform_with(
    sites=SITES,
    endpoints=[
        Endpoint.model_validate(
            {**{"id": "llama", "class": "internal"}, "site": "fra1", "target": "onprem-vllm", "model": "m"}
        )
    ],
    gateways=[
        Gateway.model_validate(
            {
                **{"class": "internal", "name": "internal", "site": "fra1", "host": "llm.bank.example"},
                **{
                    "callers_secret": "callers",
                    "workloads": [{"name": "kyc", "endpoint": "llama", "residency": ["de"]}],
                },
            }
        )
    ],
)
SERVICE = resource_of(
    "kubernetes:core/v1:Service",
    "llama",
    {"metadata": {"name": "llama", "namespace": "space"}, "spec": {"selector": {"app": "llama"}}},
)
CALLS = resource_of(
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    "calls",
    {"securityGroupId": "${group.id}", "cidrIpv4": "10.0.0.0/16"},
)
ENGINE = deployment({**SERVES, "args": ["/models", "--host=127.0.0.1"]}, "llama", {"app": "llama"})
EVALUATED = resource_of(
    GUARD.type,
    "guard",
    {**GUARD.inputs, "region": "eu-central-1", "tags": {"isthmus.dev/class": "internal"}},
)
LIMITS = resource_of(
    "kubernetes:core/v1:LimitRange",
    "limits",
    {
        "metadata": {"name": "limits", "namespace": "space"},
        "spec": {"limits": [{"type": "Container", "default": {"cpu": "500m", "memory": "512Mi"}}]},
    },
)
HELPER = deployment({key: value for key, value in BOX.items() if key != "ports"}, "job")
ASKED = config({**BEHIND, "allowed_clients": ["internal-gateway.space.svc"]})

_PROFILES = "arn:aws:bedrock:us-east-1:${aws.accountId}:guardrail-profile"
NAMESPACE_PATCH = resource_of(
    "kubernetes:core/v1:NamespacePatch",
    "space",
    {"metadata": {"name": "space", "labels": {"isthmus.dev/class": "internal"}}},
)
DENIES = policy("deny", podSelector={}, policyTypes=["Ingress", "Egress"], ingress=[], egress=[])
GUARDS = [
    resource_of(
        f"kubernetes:admissionregistration.k8s.io/v1:{kind}",
        f"{name}{kind}",
        {"metadata": {"name": name}, "spec": body},
    )
    for name, spec in required_policies(["registry.bank.example/"], [], []).items()
    for kind, body in (
        ("ValidatingAdmissionPolicy", spec),
        ("ValidatingAdmissionPolicyBinding", {"policyName": name, "validationActions": ["Deny"]}),
    )
]
READS_PODS = resource_of(
    "kubernetes:rbac.authorization.k8s.io/v1:Role",
    "seer",
    {
        "metadata": {"name": "seer", "namespace": "space"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    },
)
OWN_CERTIFICATE = resource_of(
    "kubernetes:cert-manager.io/v1:Certificate",
    "own",
    {
        "metadata": {"name": "own", "namespace": "space"},
        "spec": {
            **{"dnsNames": ["gateway.space.svc"], "duration": "2160h0m0s", "issuerRef": {"name": "ca"}},
            "privateKey": {"rotationPolicy": "Always"},
        },
    },
)
CASES = [
    Case(
        "encryption/class-names-stay",
        [OWN_CERTIFICATE, namespace_of_class("internal")],
        fails=[{"spec.dnsNames": ["restricted-gateway.isthmus-restricted.svc"]}, {"spec.isCA": True}],
        broken=[
            [
                resource_of(
                    "kubernetes:cert-manager.io/v1:Certificate",
                    "foreign",
                    {
                        "metadata": {"name": "foreign", "namespace": "apps"},
                        "spec": {**OWN_CERTIFICATE.inputs["spec"], "dnsNames": ["*.space.svc"]},
                    },
                ),
                namespace_of_class("internal"),
            ]
        ],
    ),
    Case(
        "identity/class-permissions",
        [READS_PODS, namespace_of_class("internal")],
        fails=[
            {"rules.0.verbs": ["create"]},
            {"rules.0.resources": ["configmaps"], "rules.0.verbs": ["update"]},
        ],
        unknown=["rules"],
    ),
    Case(
        "workload/admission-complete",
        [*GUARDS, namespace_of_class("internal")],
        fails=[{"spec.matchConditions": [{"name": "none", "expression": "false"}]}],
        missing=["spec.validations", "spec.matchConstraints"],
        unknown=["spec.validations"],
        broken=[[namespace_of_class("internal")]],
        platform=WORD,
        one_keeps_it=True,
    ),
    Case(
        "network/class-default-deny",
        [DENIES, NAMESPACE_PATCH],
        fails=[{"spec.egress": [{}]}, {"spec.policyTypes": ["Egress"]}],
        missing=["spec.policyTypes"],
        unknown=["spec.egress"],
        broken=[[NAMESPACE_PATCH]],
        platform=WORD,
        one_keeps_it=True,
    ),
    Case(
        "data-path/lets-in-own-class",
        [
            lets_in(matchLabels={"isthmus.dev/class": "internal"}),
            namespace_of_class("internal"),
            namespace_of_class("public", "open"),
        ],
        fails=[
            {
                "spec.ingress": [
                    {"from": [{"namespaceSelector": {"matchLabels": {"isthmus.dev/class": "public"}}}]}
                ]
            },
            {
                "spec.ingress": [
                    {
                        "from": [
                            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "open"}}}
                        ]
                    }
                ]
            },
        ],
        unknown=["spec.ingress.0.from.0.namespaceSelector"],
        broken=[
            [
                lets_in(
                    matchExpressions=[
                        {"key": "isthmus.dev/class", "operator": "In", "values": ["restricted"]}
                    ]
                ),
                namespace_of_class("internal"),
            ],
            [lets_in(), namespace_of_class("internal"), namespace_of_class("public", "open")],
        ],
        also=[
            [
                lets_in(matchLabels={"kubernetes.io/metadata.name": "monitoring"}),
                namespace_of_class("internal"),
            ],
            [
                lets_in(matchLabels={"isthmus.dev/class": "public"}),
                resource_of("kubernetes:core/v1:Namespace", "x", {"metadata": {"name": "space"}}),
            ],
        ],
    ),
    Case(
        "data-path/stated-workloads",
        [
            labelled("internal-gateway", {"serviceAccountName": "internal-gateway"}),
            labelled("llama"),
            FETCHES,
            namespace_of_class("internal"),
        ],
        fails=[{"metadata.name": "evaluation"}, {"metadata.name": "llama-tuning"}],
        unknown=["metadata.name"],
        also=[
            [
                labelled("evaluation"),
                resource_of("kubernetes:core/v1:Namespace", "s", {"metadata": {"name": "space"}}),
            ]
        ],
        platform=WORD,
    ),
    Case(
        "data-path/services-lead-inside",
        [SERVICE],
        fails=[{"spec.externalName": "api.openai.com"}],
        unknown=["spec.externalName"],
        broken=[
            [
                resource_of(
                    "kubernetes:discovery.k8s.io/v1:EndpointSlice",
                    "slice",
                    {"endpoints": [{"addresses": ["1.2.3.4"]}]},
                )
            ]
        ],
        also=[
            [
                resource_of(
                    SERVICE.type,
                    "near",
                    {"spec": {"type": "ExternalName", "externalName": "a.b.svc.cluster.local"}},
                )
            ]
        ],
    ),
    Case(
        "data-path/own-resolvers",
        [labelled("llama", RESOLVES), namespace_of_class("restricted")],
        fails=[{f"{POD}.dnsPolicy": "ClusterFirst"}, {f"{POD}.dnsConfig.nameservers": ["8.8.8.8"]}],
        missing=[f"{POD}.dnsPolicy"],
        unknown=[f"{POD}.dnsConfig.nameservers", f"{POD}.dnsPolicy"],
        also=[[labelled("llama"), namespace_of_class("internal")]],
        platform=WORD,
    ),
    Case(
        "data-path/groups-name-whom-they-call",
        [CALLS],
        fails=[{"cidrIpv4": "0.0.0.0/0"}, {"cidrIpv6": "::/0"}],
        unknown=["cidrIpv4"],
        broken=[
            [
                resource_of(
                    "aws:ec2/securityGroup:SecurityGroup", "g", {"egress": [{"cidrBlocks": ["0.0.0.0/0"]}]}
                )
            ],
            [
                resource_of(
                    "aws:ec2/securityGroupRule:SecurityGroupRule",
                    "r",
                    {"type": "egress", "cidrBlocks": ["0.0.0.0/0"]},
                )
            ],
        ],
        also=[
            [
                resource_of(
                    "aws:ec2/securityGroupRule:SecurityGroupRule",
                    "r",
                    {"type": "ingress", "cidrBlocks": ["0.0.0.0/0"]},
                )
            ]
        ],
    ),
    Case(
        "data-path/guardrails-stay",
        [EVALUATED],
        fails=[
            {"crossRegionConfig": {"guardrailProfileIdentifier": "us.guardrail.v1:0"}},
            {"crossRegionConfig": {"guardrailProfileIdentifier": "eu.guardrail.v1:0"}},
            {"crossRegionConfig": {"guardrailProfileIdentifier": f"{_PROFILES}/eu.guardrail.v1:0"}},
        ],
        unknown=["crossRegionConfig.guardrailProfileIdentifier"],
        also=[
            [
                resource_of(
                    "aws:bedrock/guardrail:Guardrail",
                    "of-no-class",
                    {
                        "region": "eu-central-1",
                        "crossRegionConfig": {"guardrailProfileIdentifier": "eu.guardrail.v1:0"},
                    },
                )
            ]
        ],
        platform=WORD,
    ),
    Case(
        "data-path/gateways-alone-ask",
        [ASKED, config(EDGE, "edge")],
        fails=[
            config_with(BEHIND, allowed_clients=["internal-gateway.space.svc", "reporting.analytics.svc"])
        ],
        one_keeps_it=True,
        platform=WORD,
    ),
    Case(
        "encryption/engines-behind-tls",
        [ENGINE],
        fails=[
            {f"{FIRST}.args": ["/models", "--host=0.0.0.0"]},
            {f"{FIRST}.args": ["/models", "--host", "10.0.0.1"]},
            {f"{FIRST}.args": ["/models"]},
            {f"{FIRST}.command": ["python", "-m", "vllm.entrypoints.openai.api_server"], f"{FIRST}.args": []},
        ],
        missing=[f"{FIRST}.args"],
        unknown=[f"{FIRST}.args.1"],
        also=[
            [deployment({**SERVES, "args": ["--headless"]}, "worker")],
            [deployment({**SERVES, "args": ["--ssl-certfile=/t/c", "--ssl-keyfile=/t/k"]}, "own")],
        ],
    ),
    Case(
        "workload/helpers-read-only",
        [HELPER],
        fails=[{f"{FIRST}.securityContext.readOnlyRootFilesystem": False}],
        missing=[f"{FIRST}.securityContext.readOnlyRootFilesystem"],
        unknown=[f"{FIRST}.securityContext.readOnlyRootFilesystem"],
        also=[
            [
                deployment(
                    {**SERVES, "resources": {"limits": {"nvidia.com/gpu": "1"}}, "securityContext": {}},
                    "vllm",
                )
            ]
        ],
    ),
    Case(
        "workload/default-limits",
        [LIMITS, namespace_of_class("internal")],
        fails=[{"spec.limits.0.default": {"cpu": "1"}}, {"spec.limits.0.type": "Pod"}],
        missing=["spec.limits"],
        unknown=["spec.limits.0", "spec.limits.0.default"],
        broken=[[namespace_of_class("internal")]],
    ),
]
