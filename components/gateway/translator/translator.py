"""Creates the translator of a gateway, the only workload with the class's AWS identity."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.base.argument_checks import check_within, parse_network
from components.cluster.certificates import CertificateIssuer, workload_certificate
from components.cluster.edge_files import config_map, translator_config, with_trust_bundle
from components.cluster.objects import (
    CLASS_LABEL,
    ROLE_LABEL,
    SERVING_PORT,
    dns_name,
)
from components.cluster.pod_defaults import guaranteed_resources
from components.cluster.workload_names import WorkloadNames
from components.gateway.edge_scaling import EdgeScaling
from components.gateway.edge_workload import EdgePods, PodSettings, create_edge_workload
from components.gateway.translator.credential_helper import NO_HELPER, AwsIdentity, Helper, credential_helper
from components.gateway.translator.proxy import Outbound, TranslatorProxy, outbound_way
from components.observability.pod_monitor import metrics_ingress
from isthmus.contracts.platform.model.aws.eks import POD_IDENTITY_AGENT_CIDR

CPU, MEMORY = "1", "2Gi"
"""Resources of each replica. LiteLLM's libraries need 200 MB."""
ROLE_ANNOTATION = "isthmus.dev/aws-role"
"""Annotation of pods in an EKS cluster: the role of their ServiceAccount."""


class NamedDestination(TypedDict):
    """An egress destination with a name: an address range and a port."""

    name: str
    """Name of the destination."""
    cidr: str
    """Address range. Host names are refused."""
    port: int
    """TCP port."""


class CloudGuardrail(TypedDict):
    """A guardrail of Amazon Bedrock."""

    id: pulumi.Input[str]
    """Its id or ARN."""
    version: pulumi.Input[str]
    """Number of its version."""


class CloudModel(TypedDict):
    """A model of Amazon Bedrock or on an Amazon SageMaker endpoint, as the translator serves it."""

    name: str
    """Id of the endpoint, which the gateway's routes use."""
    region: str
    """Region of the calls."""
    provider: NotRequired[str]
    """`bedrock` (default) or `sagemaker`."""
    inference_profile: NotRequired[str]
    """Bedrock: id of the inference profile, or of the model without one."""
    endpoint: NotRequired[pulumi.Input[str]]
    """SageMaker: name of the endpoint."""
    model: NotRequired[str]
    """SageMaker: name of the model at the endpoint."""
    model_id: NotRequired[pulumi.Input[str]]
    """ARN to call instead: an application inference profile, or provisioned throughput."""
    guardrail: NotRequired[CloudGuardrail]
    """The guardrail that every call uses."""
    endpoint_url: NotRequired[pulumi.Input[str]]
    """URL of the service's private endpoint. Absent: AWS's own name."""


class TranslatorSettings(TypedDict):
    """The translator behind a gateway."""

    image: pulumi.Input[str]
    """Image of the translator, by digest."""
    models: list[CloudModel]
    """The models that it may call."""
    identity: NotRequired[AwsIdentity]
    """How its pods authenticate to AWS with a certificate."""
    pod_identity: NotRequired[pulumi.Input[str]]
    """In an EKS cluster: ARN of the role of its pods' ServiceAccount. No credential helper is needed."""
    proxy: NotRequired[TranslatorProxy]
    """The proxy with which its pods reach AWS. For the public class only."""
    ca_bundle: NotRequired[str]
    """ConfigMap with `ca.crt`: CAs of AWS's certificates, instead of the public CAs. Not for confidential."""
    replicas: NotRequired[int]
    """Number of replicas (default 2)."""
    scaling: NotRequired[EdgeScaling]
    """KEDA adds replicas by their CPU use. Absent: no autoscaling."""
    certificate_secret: NotRequired[str]
    """TLS Secret to use instead of a cert-manager Certificate."""


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


def address_egress(
    name: str, address: str, port: int, sensitivity: str, site_cidrs: list[str], service: str, field: str
) -> list[dict[str, Any]]:
    """Egress to one address. For a restricted gateway it must be inside the site's networks, `site_cidrs`."""
    cidr = f"{address}/32"
    if sensitivity == "restricted":
        check_within(cidr, site_cidrs, f"{service}.{field}")
    return destination_egress([{"name": name, "cidr": cidr, "port": port}], service)


def create_translator(
    names: WorkloadNames,
    translator: TranslatorSettings,
    destinations: list[NamedDestination],
    settings: PodSettings,
    resolver_access: Any,
    *,
    issuer: CertificateIssuer | None,
    trust_bundle: str | None = None,
) -> None:
    """Create the translator with its network policy: ingress from the gateway and for metrics, egress to named
    destinations.

    `resolver_access`: how its pods resolve names (`name_resolver.ResolverAccess`).
    """
    outbound = outbound_way(
        names.sensitivity, translator.get("proxy"), translator.get("ca_bundle"), names.service
    )
    secret, certificate_resources = workload_certificate(
        names,
        issuer=issuer,
        secret=translator.get("certificate_secret"),
        client=False,
    )
    config = _create_config_map(names, translator, outbound, trust_bundle)
    helper = _create_credential_helper(names, translator, outbound)
    first: dict[str, Any] = {"initContainers": helper.containers} if helper.containers else {}
    create_edge_workload(
        names,
        EdgePods(
            container="translator",
            image=translator["image"],
            replicas=translator.get("replicas", 2),
            scaling=translator.get("scaling"),
            resources=guaranteed_resources(CPU, MEMORY),
            config=config,
            tls_secret=secret,
            trust_bundle=trust_bundle,
            ingress=[_from_gateway(names.sensitivity), metrics_ingress(settings.monitoring_namespace)],
            egress=[
                *destination_egress([*destinations, *_identity_agents(translator)], names.service),
                *outbound.egress,
            ],
            dependencies=[*certificate_resources, *helper.dependencies, *resolver_access.dependencies],
            # A pod gets the role that is associated when it starts, so another role needs new pods.
            annotations=(
                {ROLE_ANNOTATION: translator["pod_identity"]} if "pod_identity" in translator else {}
            ),
            mounts=outbound.mounts,
            volumes=[*helper.volumes, *outbound.volumes],
            variables=helper.variables,
            pod_fields={**first, **resolver_access.pod},
        ),
        settings,
    )


def _create_config_map(
    names: WorkloadNames, translator: TranslatorSettings, outbound: Outbound, trust_bundle: str | None
) -> Any:
    models = [{**model, "endpoint_url": model.get("endpoint_url")} for model in translator["models"]]
    gateway = dns_name(f"{names.sensitivity}-gateway", names.namespace)
    configuration = with_trust_bundle(
        translator_config(names.sensitivity, gateway, models, outbound.config), trust_bundle
    )
    return config_map(names.name, names.service, names.namespace, names.labels, configuration, names.options)


def _create_credential_helper(
    names: WorkloadNames, translator: TranslatorSettings, outbound: Outbound
) -> Helper:
    """The credential helper, if the pods authenticate with a certificate."""
    if "identity" not in translator:
        return NO_HELPER
    owner = (names.name, names.service, names.namespace, names.labels)
    return credential_helper(*owner, translator["identity"], names.options, outbound)


def _from_gateway(sensitivity: str) -> dict[str, Any]:
    """Ingress: from its own gateway."""
    gateway = {"podSelector": {"matchLabels": {ROLE_LABEL: "gateway", CLASS_LABEL: sensitivity}}}
    return {"from": [gateway], "ports": [{"protocol": "TCP", "port": SERVING_PORT}]}


def _identity_agents(translator: TranslatorSettings) -> list[NamedDestination]:
    """Egress to the pod identity agent on the node, in an EKS cluster. EKS identifies pods by their ServiceAccount."""
    if "pod_identity" not in translator:
        return []
    return [{"name": "pod-identity", "cidr": POD_IDENTITY_AGENT_CIDR, "port": 80}]
