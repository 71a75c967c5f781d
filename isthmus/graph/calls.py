"""Whether translators call AWS at private endpoints of ours that let them in by name, and nobody else."""

from __future__ import annotations

from isthmus.contracts.platform import Platform
from isthmus.graph import hosted
from isthmus.graph.endpoints import lets, own
from isthmus.graph.resources import Fault, Graph
from isthmus.graph.tasks import INVOKE
from isthmus.graph.translators import Translator, translators

SUBJECT = "rolesanywhere:x509Subject/CN"


def called_through_our_endpoints(graph: Graph, platform: Platform | None) -> list[Fault]:
    """Each translator in a cluster calls Bedrock, SageMaker and Roles Anywhere at endpoints whose policies name it."""
    broken: list[Fault] = []
    for one in translators(graph):
        if one.class_ == "public" and not _carried(platform):
            continue  # by the contract, public work alone may go by AWS's public names
        about = one.resource
        if not one.role:
            broken.append(Fault(f"{one.name} has no AWS identity in its pods", about))
            continue
        broken += [Fault(why, about) for why in _calls(graph, one)]
    return broken


def _carried(platform: Platform | None) -> bool:
    """Whether public work has a network of its own; without a platform nobody says that it must."""
    every = platform.networks if platform else []
    return any(one.cidr and one.mode != "off" and "public" in one.classes for one in every)


def _calls(graph: Graph, one: Translator) -> list[str]:
    """Which calls of a translator no endpoint of ours lets in by name."""
    broken: list[str] = []
    models = one.models(graph)
    if not models:
        broken.append(f"{one.name} has no configuration that names its models")
    for model in models:
        hosts = model.get("provider") == "sagemaker"
        endpoint = own(graph, model.get("endpoint_url"), "runtime.sagemaker" if hosts else "bedrock-runtime")
        name = model["name"]
        if endpoint is None:
            broken.append(f"{one.name} calls {name} at {model.get('endpoint_url') or 'the public name'}")
            continue
        action, what = INVOKE, model.get("model_id")
        if hosts:
            action, what = hosted.CALL, hosted.arn(graph, endpoint, model)
        if not lets(graph, endpoint, "aws:PrincipalArn", one.role, action, what):
            broken.append(f"the policy of {endpoint.name} does not let {one.name} call {name}")
    if one.placed:
        return broken
    endpoint = own(graph, one.sessions, "rolesanywhere")
    if endpoint is None:
        broken.append(f"{one.name} asks for sessions at {one.sessions or 'the public name'}")
    elif not lets(graph, endpoint, SUBJECT, one.subject, "rolesanywhere:CreateSession", one.anchor):
        broken.append(f"the policy of {endpoint.name} does not let {one.name} ask for sessions")
    return broken
