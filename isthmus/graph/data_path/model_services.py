"""Where a model that a translator calls is served: service, private endpoint, and every region that may serve it."""

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
"""Names of the services' runtimes in the names of private endpoints."""
_ARN = re.compile(r"arn:aws[\w-]*:bedrock:([a-z0-9-]*):[^:]*:([a-z-]+)/(.+)")
_REGION = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.(?:vpce\.)?amazonaws\.")
INFERENCE_PROFILE = "aws:bedrock/inferenceProfile:InferenceProfile"
PROVISIONED_THROUGHPUT = "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput"


@dataclass(frozen=True)
class Served:
    """A model, as a translator's configuration calls it."""

    name: str
    service: Service
    endpoint: Resource | None
    """The private endpoint in the graph by which it is called."""
    url: str
    """Host name of an external endpoint. Empty: the public name."""
    regions: tuple[str, ...]
    """Every region that may serve a call, sorted; empty if that is unknown."""
    anywhere: str = ""
    """Why the regions are not limited."""
    unknown: str = ""
    """Why the regions are unknown."""


def called_model(graph: Graph, model: dict[str, Any]) -> Served:
    """The model that an entry of a translator's `models` calls."""
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
        regions.add(
            region_in_url[1]
        )  # the owner of the host decides who answers, whatever region the call names
    name = str(model.get("name") or model.get("endpoint") or "a model without a name")
    if model.get("provider") not in (None, "bedrock", "sagemaker"):
        unknown = f"the provider {model['provider']} is not known here"
    return Served(name, service, endpoint, url, tuple(sorted(regions)), anywhere, unknown)


def is_public_host(url: str) -> bool:
    """Whether a host is a public AWS name or empty. The names of private endpoints contain `vpce`."""
    host = (urlsplit(url).hostname or "") if url else ""
    return not host or not host.removesuffix(".").endswith((".vpce.amazonaws.com", ".vpce.amazonaws.com.cn"))


def _called_ids(graph: Graph, model: dict[str, Any]) -> list[str]:
    """The ids that a call to Bedrock names: the profile, and the id in the call."""
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
    """The regions that may serve a call by ARN, profile or model id. Raises if they are unknown."""
    if undecided(model_id) or (model_id.count("${") and not _ARN.fullmatch(model_id)):
        raise InputError(f"the model behind `{model_id}` is not known")
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
    """Whether an id is that of an inference profile, with its geography before the provider: `eu.amazon.…`."""
    first, _, remainder = model_id.partition(".")
    geographies = {row.profile.partition(".")[0] for row in inference_profiles.rows()} | {"global"}
    providers = {row.profile.split(".")[1] for row in inference_profiles.rows()}
    return first in geographies or remainder.partition(".")[0] in providers


def _sagemaker_regions(graph: Graph, model: dict[str, Any], region: str) -> tuple[set[str], str]:
    """SageMaker serves a call only in its region. An endpoint outside the stack is unknown."""
    name = str(model.get("endpoint") or "")
    for endpoint in graph.of("aws:sagemaker/endpoint:Endpoint"):
        if name and name in (str(endpoint.inputs.get("name")), f"${{{endpoint.name}.name}}"):
            return {str(endpoint.inputs.get("region") or region)}, ""
    return set(), f"the SageMaker endpoint {name or 'without a name'} is not made here"
