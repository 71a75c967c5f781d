"""What must be so of a stack, found in its rendered graph and nowhere else. Each proof returns what breaks it.

The rules stand in the contract, the components and the cluster too; here the outcome is held to them, whoever
wrote which part. A name in AWS that the graph does not make is not vouched for.
"""

from __future__ import annotations

from isthmus.contracts.platform import Platform
from isthmus.contracts.platform_eks import AGENT
from isthmus.graph import hosted
from isthmus.graph.endpoints import callers, lets, loose, own, policies
from isthmus.graph.keys import no_access_key
from isthmus.graph.reach import ANYWHERE, Network, overlaps, within
from isthmus.graph.resources import Graph, Resource
from isthmus.graph.routes import beyond, leaving, networks
from isthmus.graph.tasks import gateways_keep_to_their_network, tasks
from isthmus.graph.trail import nobody_switches_the_trail_off, the_trail_stands
from isthmus.graph.translators import Translator, translators

INVOKE = "bedrock:InvokeModel"
SUBJECT = "rolesanywhere:x509Subject/CN"


def all_of(graph: Graph, platform: Platform) -> list[str]:
    """What breaks any of the proofs, a sentence each."""
    return [
        *restricted_reaches_no_aws(graph, platform),
        *aws_is_called_through_our_endpoints(graph, platform),
        *gateways_keep_to_their_network(graph, platform),
        *only_public_work_is_beside_the_internet(graph, platform),
        *nobody_switches_the_trail_off(graph),
        *the_trail_stands(graph, platform),
        *no_access_key(graph),
        *hosted.models_are_shut_in(graph),
        *everything_is_tagged(graph),
    ]


def restricted_reaches_no_aws(graph: Graph, platform: Platform) -> list[str]:
    """From the restricted namespaces: on-prem addresses only, no other class's pods, no cluster DNS."""
    on_prem = [cidr for site in platform.sites if site.kind == "on-prem" for cidr in site.cidrs]
    aws = [cidr for site in platform.sites if site.kind == "aws" for cidr in site.cidrs]
    aws += [network.cidr for network in platform.networks if network.cidr]
    broken: list[str] = []
    network = Network(graph)
    spaces = network.spaces("restricted")
    broken += [f"{each.name} is a network policy of a kind that is not read here" for each in network.unread]
    if not spaces and any(one.class_ == "restricted" for one in platform.gateways):
        broken.append("there is no restricted namespace")
    for each in graph.of("aws:eks/podIdentityAssociation:PodIdentityAssociation"):
        if each.inputs.get("namespace") in spaces:
            broken.append(f"{each.name} gives pods of {each.inputs['namespace']} an AWS identity")
    for space in spaces:
        reached = network.reached(space)
        for cidr, port in sorted(reached.blocks):
            if overlaps(cidr, aws):
                broken.append(f"{space} reaches {cidr} port {port}, which holds addresses of AWS")
            elif not within(cidr, on_prem):
                broken.append(f"{space} reaches {cidr} port {port}, outside the on-prem sites")
        broken += [
            f"{space} reaches {each}, whose own ways are not known" for each in sorted(reached.elsewhere)
        ]
        broken += [
            f"{space} reaches {pods.name} of class {pods.class_ or pods.namespace}"
            for pods in sorted(reached.pods, key=lambda each: each.name)
            if pods.class_ not in ("", "restricted") or pods.namespace not in spaces
        ]
    return broken


def aws_is_called_through_our_endpoints(graph: Graph, platform: Platform) -> list[str]:
    """Each translator calls Bedrock, SageMaker and Roles Anywhere at endpoints of ours, whose policies name it."""
    broken = loose(graph, networks(graph, platform))
    network = Network(graph)
    for one in translators(graph):
        mine = [
            each.cidr
            for each in platform.networks
            if each.cidr and each.mode != "off" and one.class_ in each.classes
        ]
        if one.class_ == "public" and not mine:
            continue  # by the contract, public work alone may go by AWS's public names
        if not one.role:
            broken.append(f"{one.name} has no AWS identity in its pods")
            continue
        broken += _calls(graph, one)
        for cidr, port in sorted(network.reached(one.namespace).blocks):
            if one.placed and (cidr, port) == (AGENT, "80"):
                continue  # the node's own agent, which hands out that identity
            if not within(cidr, mine) or port != "443":
                broken.append(f"{one.namespace} reaches {cidr} port {port}, beyond the private endpoints")
    placed = {one.namespace for one in translators(graph) if one.placed}
    return [*broken, *_others_reach_beyond(network, platform, placed)]


def _others_reach_beyond(network: Network, platform: Platform, placed: set[str]) -> list[str]:
    """Classes between public and restricted reach the sites and their own networks, with a translator or without."""
    broken: list[str] = []
    on_prem = [cidr for site in platform.sites if site.kind == "on-prem" for cidr in site.cidrs]
    for class_ in sorted({one.class_ for one in platform.gateways} - {"public", "restricted"}):
        own = [one.cidr for one in platform.networks if one.cidr and class_ in one.classes]
        for space in network.spaces(class_):
            broken += [
                f"{space} reaches {cidr} port {port}, outside the sites and the networks of {class_} work"
                for cidr, port in sorted(network.reached(space).blocks)
                if not within(cidr, on_prem + own) and not (space in placed and (cidr, port) == (AGENT, "80"))
            ]
    return broken


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


def only_public_work_is_beside_the_internet(graph: Graph, platform: Platform) -> list[str]:
    """An internet gateway only where the platform says so, and only public work comes into its network."""
    broken: list[str] = []
    open_: dict[str, list[Resource]] = {}
    for way in graph.of("aws:ec2/internetGateway:InternetGateway"):
        vpcs = graph.referred(way.inputs.get("vpcId"), ":Vpc")
        reasons = [why for vpc in vpcs for why in _not_public_alone(graph, platform, vpc)]
        if not vpcs:
            reasons.append("its network is not known")
        broken += [f"{way.name} leads from a network to the internet, and {why}" for why in reasons]
        if not reasons:
            open_[way.name] = vpcs
    broken += leaving(graph)
    for route, stated, where in beyond(graph, platform):
        ways = graph.referred(stated.get("gatewayId"), ":InternetGateway")
        tables = graph.referred(stated.get("routeTableId"), ":RouteTable")
        own = [vpc for table in tables for vpc in graph.referred(table.inputs.get("vpcId"), ":Vpc")]
        if where != ANYWHERE or not (ways and own) or any(open_.get(way.name) != own for way in ways):
            to = "anywhere" if where == ANYWHERE else f"to {where}, outside the sites and networks"
            broken.append(f"route {route.name} leads {to}")
    return broken


def _not_public_alone(graph: Graph, platform: Platform, vpc: Resource) -> list[str]:
    """Why a VPC may not lie beside the internet: who but public work is let in, or could be."""
    cidr = str(vpc.inputs.get("cidrBlock"))
    stated = [one for one in platform.networks if one.internet and one.mode == "manage" and one.cidr == cidr]
    reasons = [] if stated else ["the platform states none for it"]
    reasons += [f"it carries {one} work" for network in stated for one in network.classes if one != "public"]
    network = Network(graph)
    for space in sorted({pods.namespace for pods in network.pods if pods.class_ != "public"}):
        if any(overlaps(block, [cidr]) for block, _ in network.reached(space).blocks):
            reasons.append(f"{space} reaches it")
    public = {
        who for each in translators(graph) if each.class_ == "public" for who in (each.role, each.subject)
    }
    for task in tasks(graph):
        if task.class_ == "public":
            public |= {task.role, str(task.resource.inputs.get("executionRoleArn"))}
    for endpoint in graph.of("aws:ec2/vpcEndpoint:VpcEndpoint"):
        if vpc in graph.referred(endpoint.inputs.get("vpcId")):
            said = [one for document in policies(graph, endpoint) for one in document]
            named = {who for one in said for who in callers(one)}
            reasons += [f"{endpoint.name} lets {who} in" for who in sorted(named - public)]
    return reasons


def everything_is_tagged(graph: Graph) -> list[str]:
    """Every AWS resource whose type bears tags says whose it is: the stack, and its name in the stack."""
    broken: list[str] = []
    for each in graph.resources:
        if not each.type.startswith("aws:") or not bears_tags(each.type):
            continue
        tags = each.inputs.get("tags") or {}
        if tags.get("isthmus-resource") != each.name or not tags.get("isthmus-stack"):
            broken.append(f"{each.type} {each.name} bears no tags of the stack's")
    return broken


def bears_tags(token: str) -> bool:
    """Whether the type takes tags, as pulumi-aws declares it."""
    import importlib
    import inspect

    package, path, name = token.split(":")
    module = importlib.import_module(f"pulumi_{package}.{path.split('/')[0]}")
    found = inspect.signature(getattr(module, name)._internal_init).parameters.get("tags")
    return found is not None and "Mapping" in str(found.annotation)
