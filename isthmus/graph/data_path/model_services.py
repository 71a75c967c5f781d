"""Where a model that a translator calls is served: the service, its private endpoint, and every region it may reach."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from isthmus.contracts.reference import inference_profiles
from isthmus.core.errors import InputError, Refused
from isthmus.graph.network.private_endpoints import endpoint_of_url
from isthmus.graph.resources.references import undecided
from isthmus.graph.resources.resources import Graph, Resource

Service = Literal["bedrock", "sagemaker"]
RUNTIME_HOSTS = {"bedrock": "bedrock-runtime", "sagemaker": "runtime.sagemaker"}
"""The names of the services' runtimes in private endpoints' names."""
_ARN = re.compile(r"arn:aws[\w-]*:bedrock:([a-z0-9-]*):[^:]*:([a-z-]+)/(.+)")
_REGION = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.(?:vpce\.)?amazonaws\.")
INFERENCE_PROFILE = "aws:bedrock/inferenceProfile:InferenceProfile"
PROVISIONED_THROUGHPUT = "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput"


@dataclass(frozen=True)
class Served:
    """One model, as a translator's configuration calls it."""

    name: str
    service: Service
    endpoint: Resource | None
    """Ours, by which it is called."""
    url: str
    """By which it is called where that is no endpoint of ours; empty: the public name."""
    regions: tuple[str, ...]
    """Every region that may serve a call, sorted; empty where that is not known."""
    anywhere: str = ""
    """Says why the regions are not bounded."""
    unknown: str = ""
    """Says why they are not known."""


def called_model(graph: Graph, model: dict[str, Any]) -> Served:
    """What an entry of a translator's `models` calls."""
    service: Service = "sagemaker" if model.get("provider") == "sagemaker" else "bedrock"
    url = str(model.get("endpoint_url") or "")
    endpoint = endpoint_of_url(graph, url, RUNTIME_HOSTS[service])
    region = str(model.get("region") or "")
    regions: set[str] = set()
    anywhere, unknown = "", ""
    if service == "sagemaker":
        regions, unknown = _sagemaker_regions(graph, model, region)
    else:
        for model_id in _called_ids(graph, model):
            try:
                regions |= set(_regions_of(model_id, region))
            except Refused as error:
                anywhere = error.what
            except InputError as error:
                unknown = error.what
    region_in_url = _REGION.search(url)
    if region_in_url is not None:
        regions.add(region_in_url[1])  # whoever answers there, whatever region the call names
    name = str(model.get("name") or model.get("endpoint") or "a model without a name")
    if model.get("provider") not in (None, "bedrock", "sagemaker"):
        unknown = f"the provider {model['provider']} is not known here"
    return Served(name, service, endpoint, url, tuple(sorted(regions)), anywhere, unknown)


def is_public_host(url: str) -> bool:
    """Whether an address is a public name of AWS's, or none: a private endpoint's names say `vpce`."""
    host = (urlsplit(url).hostname or "") if url else ""
    return not host or not host.removesuffix(".").endswith((".vpce.amazonaws.com", ".vpce.amazonaws.com.cn"))


def _called_ids(graph: Graph, model: dict[str, Any]) -> list[str]:
    """What a call to Bedrock names: the profile as it is spoken to, and what stands behind the id that is called."""
    ids = [str(model["inference_profile"])] if model.get("inference_profile") else []
    model_id = model.get("model_id")
    if model_id:
        profiles = graph.referred(model_id, INFERENCE_PROFILE)
        ids += [str((profile.inputs.get("modelSource") or {}).get("copyFrom")) for profile in profiles]
        throughputs = graph.referred(model_id, PROVISIONED_THROUGHPUT)
        ids += [str(throughput.inputs.get("modelArn")) for throughput in throughputs]
        if not profiles and not throughputs:
            ids.append(str(model_id))
    return ids or ["nothing"]


def _regions_of(model_id: str, region: str) -> tuple[str, ...]:
    """The regions that may serve a call by an ARN, a profile or a model's id. Raises where they are not known."""
    if undecided(model_id) or (model_id.count("${") and not _ARN.fullmatch(model_id)):
        raise InputError(f"what `{model_id}` calls is not known")
    match = _ARN.fullmatch(model_id)
    if match is not None:
        arn_region, kind, resource_id = match[1] or region, match[2], match[3]
        if "${" in resource_id or kind in (
            "application-inference-profile",
            "provisioned-model",
            "prompt-router",
        ):
            raise InputError(f"what stands behind `{model_id}` is not known: the stack does not make it")
        model_id, region = resource_id, arn_region
    if _is_profile(model_id):
        return inference_profiles.destinations(model_id, region)
    if not re.fullmatch(r"[a-z0-9-]+\.[\w.:-]+", model_id):
        raise InputError(f"`{model_id}` names no model and no inference profile")
    return (region,)


def _is_profile(model_id: str) -> bool:
    """Whether an id is a profile's, which names where it routes before the provider: `eu.amazon.…`."""
    first, _, remainder = model_id.partition(".")
    geographies = {row.profile.partition(".")[0] for row in inference_profiles.rows()} | {"global"}
    providers = {row.profile.split(".")[1] for row in inference_profiles.rows()}
    return first in geographies or remainder.partition(".")[0] in providers


def _sagemaker_regions(graph: Graph, model: dict[str, Any], region: str) -> tuple[set[str], str]:
    """SageMaker serves in the region of the call alone; an endpoint that the stack does not make is not known."""
    name = str(model.get("endpoint") or "")
    for endpoint in graph.of("aws:sagemaker/endpoint:Endpoint"):
        if name and name in (str(endpoint.inputs.get("name")), f"${{{endpoint.name}.name}}"):
            return {str(endpoint.inputs.get("region") or region)}, ""
    return set(), f"the SageMaker endpoint {name or 'without a name'} is not made here"
