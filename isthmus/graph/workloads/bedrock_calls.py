"""Whether translators call AWS at private endpoints of ours that let them in by name, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reports.findings import Verdict
from isthmus.core.errors import IsthmusError
from isthmus.graph.network import sagemaker_isolation
from isthmus.graph.network.private_endpoints import lets, own, unknown
from isthmus.graph.resources.references import undecided
from isthmus.graph.resources.resources import Fault, Graph, Resource
from isthmus.graph.workloads.fargate_tasks import INVOKE
from isthmus.graph.workloads.sealers import sealers
from isthmus.graph.workloads.translators import Translator, translators

SUBJECT = "rolesanywhere:x509Subject/CN"


def called_through_our_endpoints(graph: Graph, platform: Platform | None) -> list[Fault]:
    """Each translator in a cluster calls Bedrock, SageMaker and Roles Anywhere at endpoints whose policies name it."""
    broken: list[Fault] = []
    sealing = {each.resource.urn for each in sealers(graph)}
    for one in translators(graph):
        if one.resource is not None and one.resource.urn in sealing:
            continue  # what it may and where it goes is `isthmus.graph.workloads.sealers`'
        if one.class_ == "public" and not _carried(platform):
            continue  # by the contract, public work alone may go by AWS's public names
        about = one.resource
        if not one.role:
            broken.append(Fault(f"{one.name} has no AWS identity in its pods", about))
            continue
        try:
            broken += [Fault(why, about, verdict) for why, verdict in _calls(graph, one)]
        except IsthmusError:
            why = f"the configuration of {one.name} is not known before it is made"
            broken.append(Fault(why, about, "undecided"))
    return broken


def _carried(platform: Platform | None) -> bool:
    """Whether public work has a network of its own; without a platform nobody says that it must."""
    every = platform.networks if platform else []
    return any(one.cidr and one.mode != "off" and "public" in one.classes for one in every)


def _calls(graph: Graph, one: Translator) -> Iterator[tuple[str, Verdict]]:
    """Which calls of a translator no endpoint lets in by name. Raises where its configuration cannot be read."""
    models = one.models(graph)
    if not models:
        yield f"{one.name} has no configuration that names its models", "violated"
    for model in models:
        hosts = model.get("provider") == "sagemaker"
        endpoint = own(graph, model.get("endpoint_url"), "runtime.sagemaker" if hosts else "bedrock-runtime")
        name = model["name"]
        if endpoint is None:
            yield f"{one.name} calls {name} at {model.get('endpoint_url') or 'the public name'}", "violated"
            continue
        action, what = INVOKE, model.get("model_id")
        if hosts:
            action, what = sagemaker_isolation.CALL, sagemaker_isolation.arn(graph, endpoint, model)
        if not lets(graph, endpoint, "aws:PrincipalArn", one.role, action, what):
            yield f"the policy of {endpoint.name} does not let {one.name} call {name}", _of(graph, endpoint)
    if one.placed:
        return
    endpoint = own(graph, one.sessions, "rolesanywhere")
    if endpoint is None:
        verdict = "undecided" if undecided(one.sessions) else "violated"
        yield f"{one.name} asks for sessions at {one.sessions or 'the public name'}", verdict
    elif not lets(graph, endpoint, SUBJECT, one.subject, "rolesanywhere:CreateSession", one.anchor):
        yield f"the policy of {endpoint.name} does not let {one.name} ask for sessions", _of(graph, endpoint)


def _of(graph: Graph, endpoint: Resource) -> Verdict:
    return "undecided" if unknown(graph, endpoint) else "violated"
