"""Creates the translator behind a gateway, which alone holds the class's AWS identity."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import pulumi

from components.base.argument_checks import parse_network
from components.cluster.certificates import CertificateIssuer, certificate
from components.cluster.edge_files import config_map, translator_config, with_trust_bundle
from components.cluster.objects import (
    CLASS_LABEL,
    ROLE_LABEL,
    SERVING_PORT,
    common_labels,
    dns_name,
    workload_selector,
)
from components.cluster.pod_defaults import guaranteed_resources, priority_fields
from components.gateway.edge_workload import create_edge_workload
from components.gateway.translator.credential_helper import NO_HELPER, AwsIdentity, credential_helper
from components.gateway.translator.proxy import TranslatorProxy, outbound_way
from components.observability.pod_monitor import metrics_ingress
from components.serving.placement import ZONE
from isthmus.contracts.platform.model.aws.eks import POD_IDENTITY_AGENT_CIDR

ROLE_ANNOTATION = "isthmus.dev/aws-role"
"""Of pods in an EKS cluster: the role that they bear by their service account."""


class NamedDestination(TypedDict):
    """A named way out: an address range and a port."""

    name: str
    """What it is."""
    cidr: str
    """Address range; a host name is refused."""
    port: int
    """TCP port."""


class CloudGuardrail(TypedDict):
    """A guardrail of Amazon Bedrock."""

    id: pulumi.Input[str]
    """Its id or ARN."""
    version: pulumi.Input[str]
    """A numbered version of it."""


class CloudModel(TypedDict):
    """A model of Amazon Bedrock, or on an endpoint of Amazon SageMaker, as the translator offers it."""

    name: str
    """The endpoint's id, by which the gateway's routes ask for it."""
    region: str
    """Region in which it is called."""
    provider: NotRequired[str]
    """`bedrock` (default) or `sagemaker`."""
    inference_profile: NotRequired[str]
    """Bedrock: id of the inference profile, or of the model where there is none."""
    endpoint: NotRequired[pulumi.Input[str]]
    """SageMaker: name of the endpoint."""
    model: NotRequired[str]
    """SageMaker: the model's name as the endpoint serves it."""
    model_id: NotRequired[pulumi.Input[str]]
    """ARN that is called in place of it: an application inference profile, or throughput bought ahead."""
    guardrail: NotRequired[CloudGuardrail]
    """The guardrail that every call names."""
    endpoint_url: NotRequired[pulumi.Input[str]]
    """Where the service is reached, in place of AWS's own name: a private endpoint."""


class TranslatorSettings(TypedDict):
    """The translator behind a gateway."""

    image: pulumi.Input[str]
    """Image of the translator, by digest."""
    models: list[CloudModel]
    """What it may call."""
    identity: NotRequired[AwsIdentity]
    """How its pods prove to AWS who they are, where they show a certificate."""
    pod_identity: NotRequired[pulumi.Input[str]]
    """In an EKS cluster: ARN of the role that the pods bear by their service account, with no helper beside them."""
    proxy: NotRequired[TranslatorProxy]
    """The proxy by which its pods reach AWS; for the public class only."""
    ca_bundle: NotRequired[str]
    """ConfigMap with `ca.crt`: who vouches for AWS, in place of the public authorities; not for confidential."""
    replicas: NotRequired[int]
    """Copies (default 2)."""
    max_replicas: NotRequired[int]
    """A HorizontalPodAutoscaler adds copies by their CPU, from `replicas` to so many; absent: none does."""
    certificate_secret: NotRequired[str]
    """A TLS Secret in place of a cert-manager Certificate."""


def destination_egress(destinations: list[NamedDestination], where: str) -> list[dict[str, Any]]:
    """Egress of a network policy: each destination by address range and port."""
    return [
        {
            "to": [
                {
                    "ipBlock": {
                        "cidr": str(
                            parse_network(destination["cidr"], f"{where}.destinations.{destination['name']}")
                        )
                    }
                }
            ],
            "ports": [{"protocol": "TCP", "port": destination["port"]}],
        }
        for destination in destinations
    ]


def create_translator(
    name: str,
    sensitivity: str,
    namespace: str,
    settings: TranslatorSettings,
    destinations: list[NamedDestination],
    parent: pulumi.ComponentResource,
    *,
    issuer: CertificateIssuer | None,
    monitoring_namespace: str,
    pod_monitors: bool,
    pull_secrets: list[str] | None,
    resolving: Any,
    trust_bundle: str | None = None,
    pod_priority: str | None = None,
    monitor_labels: Mapping[str, str] | None = None,
    failure_domain_label: str = ZONE,
) -> None:
    """`resolving`: how its pods resolve names (`name_resolver.Resolving`).

    Make it: the gateway in, the monitoring namespace to the health port, named destinations out."""
    service = f"{sensitivity}-translator"
    labels = common_labels(service, sensitivity=sensitivity, role="translator")
    child = pulumi.ResourceOptions(parent=parent)
    outbound = outbound_way(sensitivity, settings.get("proxy"), settings.get("ca_bundle"), service)
    secret, dependencies = certificate(
        name,
        service,
        namespace,
        labels,
        child,
        issuer=issuer,
        secret=settings.get("certificate_secret"),
        client=False,
    )
    models = [{**model, "endpoint_url": model.get("endpoint_url")} for model in settings["models"]]
    gateway = dns_name(f"{sensitivity}-gateway", namespace)
    config_data = with_trust_bundle(
        translator_config(sensitivity, gateway, models, outbound.config), trust_bundle
    )
    config = config_map(name, service, namespace, labels, config_data, child)
    from_gateway = {
        "from": [{"podSelector": {"matchLabels": {ROLE_LABEL: "gateway", CLASS_LABEL: sensitivity}}}],
        "ports": [{"protocol": "TCP", "port": SERVING_PORT}],
    }
    identity = settings.get("identity")
    helper = (
        credential_helper(name, service, namespace, labels, identity, child, outbound)
        if identity is not None
        else NO_HELPER
    )
    # Of an identity by pod identity the pods say nothing: EKS knows it by their service account.
    agent: NamedDestination = {"name": "pod-identity", "cidr": POD_IDENTITY_AGENT_CIDR, "port": 80}
    has_pod_identity = "pod_identity" in settings
    first: dict[str, Any] = {"initContainers": helper.containers} if helper.containers else {}
    create_edge_workload(
        name,
        service,
        namespace,
        labels,
        workload_selector(service, sensitivity),
        parent,
        container="translator",
        image=settings["image"],
        replicas=settings.get("replicas", 2),
        max_replicas=settings.get("max_replicas"),
        # LiteLLM's libraries alone take 200 MB.
        resources=guaranteed_resources("1", "2Gi"),
        config=config,
        tls_secret=secret,
        trust_bundle=trust_bundle,
        ingress=[from_gateway, metrics_ingress(monitoring_namespace)],
        egress=[
            *destination_egress([*destinations, *([agent] if has_pod_identity else [])], service),
            *outbound.egress,
        ],
        dependencies=[*dependencies, *helper.dependencies, *resolving.dependencies],
        # A pod bears what is associated when it comes: another role needs other pods.
        annotations={ROLE_ANNOTATION: settings["pod_identity"]} if "pod_identity" in settings else {},
        pod_monitors=pod_monitors,
        pull_secrets=pull_secrets,
        **priority_fields(pod_priority),
        monitor_labels=monitor_labels,
        failure_domain_label=failure_domain_label,
        mounts=outbound.mounts,
        volumes=[*helper.volumes, *outbound.volumes],
        variables=helper.variables,
        **first,
        **resolving.pod,
    )
