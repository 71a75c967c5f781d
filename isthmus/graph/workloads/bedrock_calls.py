"""Whether translators call AWS at private endpoints of the stack whose policies name them, and no other caller may."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reports.findings import Verdict
from isthmus.core.errors import IsthmusError
from isthmus.graph.network import sagemaker_isolation
from isthmus.graph.network.private_endpoints import allows_by_name, endpoint_of_url, has_unread_policy
from isthmus.graph.resources.references import undecided
from isthmus.graph.resources.resources import Fault, Graph, Resource
from isthmus.graph.workloads.fargate_tasks import INVOKE
from isthmus.graph.workloads.sealers import sealers
from isthmus.graph.workloads.translators import Translator, translators

SUBJECT = "rolesanywhere:x509Subject/CN"


def called_through_our_endpoints(graph: Graph, platform: Platform | None) -> list[Fault]:
    """Find translators in a cluster that call AWS at an endpoint that does not name them."""
    broken: list[Fault] = []
    sealer_urns = {sealer.resource.urn for sealer in sealers(graph)}
    for translator in translators(graph):
        if translator.resource is not None and translator.resource.urn in sealer_urns:
            continue  # `isthmus.graph.workloads.sealers` judges its permissions and destinations
        if translator.class_ == "public" and not _public_work_has_network(platform):
            continue  # by the contract, only public work may use AWS's public names
        resource = translator.resource
        if not translator.role:
            broken.append(Fault(f"{translator.name} has no AWS identity in its pods", resource))
            continue
        try:
            broken += [Fault(why, resource, verdict) for why, verdict in _calls(graph, translator)]
        except IsthmusError:
            why = f"the configuration of {translator.name} is not known before it is made"
            broken.append(Fault(why, resource, "undecided"))
    return broken


def _public_work_has_network(platform: Platform | None) -> bool:
    """Whether public work has its own network. Without a platform, nothing requires one."""
    networks = platform.networks if platform else []
    return any(network.cidr and network.mode != "off" and "public" in network.classes for network in networks)


def _calls(graph: Graph, translator: Translator) -> Iterator[tuple[str, Verdict]]:
    """Calls of a translator that no endpoint allows by name. Raises if its configuration cannot be read."""
    models = translator.models(graph)
    if not models:
        yield f"{translator.name} has no configuration that names its models", "violated"
    for model in models:
        is_sagemaker = model.get("provider") == "sagemaker"
        endpoint = endpoint_of_url(
            graph, model.get("endpoint_url"), "runtime.sagemaker" if is_sagemaker else "bedrock-runtime"
        )
        name = model["name"]
        if endpoint is None:
            yield (
                f"{translator.name} calls {name} at {model.get('endpoint_url') or 'the public name'}",
                "violated",
            )
            continue
        action, resource_arn = INVOKE, model.get("model_id")
        if is_sagemaker:
            action, resource_arn = (
                sagemaker_isolation.INVOKE_ACTION,
                sagemaker_isolation.endpoint_arn(graph, endpoint, model),
            )
        if not allows_by_name(graph, endpoint, "aws:PrincipalArn", translator.role, action, resource_arn):
            yield (
                f"the policy of {endpoint.name} does not let {translator.name} call {name}",
                _verdict_of(graph, endpoint),
            )
    if translator.placed:
        return
    endpoint = endpoint_of_url(graph, translator.sessions, "rolesanywhere")
    if endpoint is None:
        verdict = "undecided" if undecided(translator.sessions) else "violated"
        yield f"{translator.name} asks for sessions at {translator.sessions or 'the public name'}", verdict
    elif not allows_by_name(
        graph, endpoint, SUBJECT, translator.subject, "rolesanywhere:CreateSession", translator.anchor
    ):
        yield (
            f"the policy of {endpoint.name} does not let {translator.name} ask for sessions",
            _verdict_of(graph, endpoint),
        )


def _verdict_of(graph: Graph, endpoint: Resource) -> Verdict:
    return "undecided" if has_unread_policy(graph, endpoint) else "violated"
