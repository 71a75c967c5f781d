"""Where a model that a translator calls is served: the service, its private endpoint, and every region it may reach."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from isthmus.contracts.reference import inference_profiles
from isthmus.core.errors import InputError, Refused
from isthmus.graph.network.private_endpoints import own
from isthmus.graph.resources.references import undecided
from isthmus.graph.resources.resources import Graph, Resource

Service = Literal["bedrock", "sagemaker"]
HOSTS = {"bedrock": "bedrock-runtime", "sagemaker": "runtime.sagemaker"}
"""The names of the services' runtimes in private endpoints' names."""
_ARN = re.compile(r"arn:aws[\w-]*:bedrock:([a-z0-9-]*):[^:]*:([a-z-]+)/(.+)")
_REGION = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.(?:vpce\.)?amazonaws\.")
PROFILE = "aws:bedrock/inferenceProfile:InferenceProfile"
BOUGHT = "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput"


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


def served(graph: Graph, model: dict[str, Any]) -> Served:
    """What an entry of a translator's `models` calls."""
    service: Service = "sagemaker" if model.get("provider") == "sagemaker" else "bedrock"
    url = str(model.get("endpoint_url") or "")
    endpoint = own(graph, url, HOSTS[service])
    region = str(model.get("region") or "")
    regions: set[str] = set()
    anywhere, unknown = "", ""
    if service == "sagemaker":
        regions, unknown = _hosted(graph, model, region)
    else:
        for word in _called(graph, model):
            try:
                regions |= set(_reached(word, region))
            except Refused as error:
                anywhere = error.what
            except InputError as error:
                unknown = error.what
    at = _REGION.search(url)
    if at is not None:
        regions.add(at[1])  # whoever answers there, whatever region the call names
    named = str(model.get("name") or model.get("endpoint") or "a model without a name")
    if model.get("provider") not in (None, "bedrock", "sagemaker"):
        unknown = f"the provider {model['provider']} is not known here"
    return Served(named, service, endpoint, url, tuple(sorted(regions)), anywhere, unknown)


def public_host(url: str) -> bool:
    """Whether an address is a public name of AWS's, or none: a private endpoint's names say `vpce`."""
    host = (urlsplit(url).hostname or "") if url else ""
    return not host or not host.removesuffix(".").endswith((".vpce.amazonaws.com", ".vpce.amazonaws.com.cn"))


def _called(graph: Graph, model: dict[str, Any]) -> list[str]:
    """What a call to Bedrock names: the profile as it is spoken to, and what stands behind the id that is called."""
    words = [str(model["inference_profile"])] if model.get("inference_profile") else []
    called = model.get("model_id")
    if called:
        made = graph.referred(called, PROFILE)
        words += [str((each.inputs.get("modelSource") or {}).get("copyFrom")) for each in made]
        bought = graph.referred(called, BOUGHT)
        words += [str(each.inputs.get("modelArn")) for each in bought]
        if not made and not bought:
            words.append(str(called))
    return words or ["nothing"]


def _reached(word: str, region: str) -> tuple[str, ...]:
    """The regions that may serve a call by an ARN, a profile or a model's id. Raises where they are not known."""
    if undecided(word) or (word.count("${") and not _ARN.fullmatch(word)):
        raise InputError(f"what `{word}` calls is not known")
    found = _ARN.fullmatch(word)
    if found is not None:
        at, kind, rest = found[1] or region, found[2], found[3]
        if "${" in rest or kind in ("application-inference-profile", "provisioned-model", "prompt-router"):
            raise InputError(f"what stands behind `{word}` is not known: the stack does not make it")
        word, region = rest, at
    if _is_profile(word):
        return inference_profiles.destinations(word, region)
    if not re.fullmatch(r"[a-z0-9-]+\.[\w.:-]+", word):
        raise InputError(f"`{word}` names no model and no inference profile")
    return (region,)


def _is_profile(word: str) -> bool:
    """Whether an id is a profile's, which names where it routes before the provider: `eu.amazon.…`."""
    first, _, rest = word.partition(".")
    geographies = {each.profile.partition(".")[0] for each in inference_profiles.rows()} | {"global"}
    providers = {each.profile.split(".")[1] for each in inference_profiles.rows()}
    return first in geographies or rest.partition(".")[0] in providers


def _hosted(graph: Graph, model: dict[str, Any], region: str) -> tuple[set[str], str]:
    """SageMaker serves in the region of the call alone; an endpoint that the stack does not make is not known."""
    name = str(model.get("endpoint") or "")
    for each in graph.of("aws:sagemaker/endpoint:Endpoint"):
        if name and name in (str(each.inputs.get("name")), f"${{{each.name}.name}}"):
            return {str(each.inputs.get("region") or region)}, ""
    return set(), f"the SageMaker endpoint {name or 'without a name'} is not made here"
