"""What must be so of a stack, found in its rendered graph and nowhere else. Each proof returns what breaks it.

The rules stand in the contract, the components and the cluster too; here the outcome is held to them, whoever
wrote which part. A name in AWS that the graph does not make is not vouched for.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

from isthmus.contracts import yamlfile
from isthmus.contracts.platform import Platform
from isthmus.report.graph import Graph, Resource, listed, statements
from isthmus.report.permissions import SWITCHING_OFF, roles
from isthmus.report.reach import ANYWHERE, Network, overlaps, within

INVOKE = "bedrock:InvokeModel"
_ENDPOINT = re.compile(r"https://vpce-\$\{([^.${}]+)\.id\}\.([a-z.-]+?)\.([a-z]{2}-[a-z0-9-]+)\.vpce\.")


def all_of(graph: Graph, platform: Platform) -> list[str]:
    """What breaks any of the proofs, a sentence each."""
    return [
        *restricted_reaches_no_aws(graph, platform),
        *aws_is_called_through_our_endpoints(graph, platform),
        *only_public_work_is_beside_the_internet(graph, platform),
        *nobody_switches_the_trail_off(graph),
        *no_access_key(graph),
        *everything_is_tagged(graph),
    ]


def restricted_reaches_no_aws(graph: Graph, platform: Platform) -> list[str]:
    """From the restricted namespaces: on-prem addresses only, no other class's pods, no cluster DNS."""
    on_prem = [cidr for site in platform.sites if site.kind == "on-prem" for cidr in site.cidrs]
    aws = [cidr for site in platform.sites if site.kind == "aws" for cidr in site.cidrs]
    aws += [network.cidr for network in platform.networks if network.cidr]
    broken: list[str] = []
    network = Network(graph)
    spaces = sorted({pods.namespace for pods in network.pods if pods.class_ == "restricted"})
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
            f"{space} reaches {pods.name} of class {pods.class_}"
            for pods in sorted(reached.pods, key=lambda each: each.name)
            if pods.class_ not in ("", "restricted")
        ]
    return broken


def aws_is_called_through_our_endpoints(graph: Graph, platform: Platform) -> list[str]:
    """Each translator calls Bedrock and Roles Anywhere at endpoints of ours, whose policies name it."""
    broken: list[str] = []
    network = Network(graph)
    for deployment in graph.of("kubernetes:apps/v1:Deployment"):
        labels = deployment.inputs["spec"]["template"]["metadata"].get("labels") or {}
        if labels.get("isthmus.dev/role") != "translator":
            continue
        mine = [
            one.cidr
            for one in platform.networks
            if one.cidr and one.mode != "off" and labels.get("isthmus.dev/class") in one.classes
        ]
        if labels.get("isthmus.dev/class") == "public" and not mine:
            continue  # by the contract, public work alone may go by AWS's public names
        name = deployment.inputs["metadata"]["name"]
        role, subject, sessions = _identity(deployment)
        if not role:
            broken.append(f"{name} has no AWS identity in its pods")
            continue
        for model in _models(graph, deployment):
            endpoint = _own(graph, model.get("endpoint_url"), "bedrock-runtime")
            if endpoint is None:
                broken.append(
                    f"{name} calls {model['name']} at {model.get('endpoint_url') or 'the public name'}"
                )
            elif not _names(endpoint, "aws:PrincipalArn", role, INVOKE, model.get("model_id")):
                broken.append(f"the policy of {endpoint.name} does not let {name} call {model['name']}")
        endpoint = _own(graph, sessions, "rolesanywhere")
        if endpoint is None:
            broken.append(f"{name} asks for sessions at {sessions or 'the public name'}")
        elif not _names(
            endpoint,
            "rolesanywhere:x509Subject/CN",
            subject,
            "rolesanywhere:CreateSession",
            _anchor(deployment),
        ):
            broken.append(f"the policy of {endpoint.name} does not let {name} ask for sessions")
        space = deployment.inputs["metadata"]["namespace"]
        for cidr, port in sorted(network.reached(space).blocks):
            if not within(cidr, mine) or port != "443":
                broken.append(f"{space} reaches {cidr} port {port}, beyond the private endpoints")
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
    for way in graph.of("aws:ec2/natGateway:NatGateway"):
        broken.append(f"{way.name} leads from a network to the internet")
    for route in graph.of("aws:ec2/route:Route"):
        if route.inputs.get("destinationCidrBlock") == ANYWHERE:
            ways = graph.referred(route.inputs.get("gatewayId"), ":InternetGateway")
            tables = graph.referred(route.inputs.get("routeTableId"), ":RouteTable")
            own = [vpc for table in tables for vpc in graph.referred(table.inputs.get("vpcId"), ":Vpc")]
            if not (ways and own) or any(open_.get(way.name) != own for way in ways):
                broken.append(f"route {route.name} leads anywhere")
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
    callers: set[str] = set()
    for deployment in graph.of("kubernetes:apps/v1:Deployment"):
        labels = deployment.inputs["spec"]["template"]["metadata"].get("labels") or {}
        if labels.get("isthmus.dev/class") == "public":
            callers.update(_identity(deployment)[:2])
    for endpoint in graph.of("aws:ec2/vpcEndpoint:VpcEndpoint"):
        if vpc in graph.referred(endpoint.inputs.get("vpcId")):
            named = {who for one in statements(endpoint.inputs.get("policy")) for who in _callers(one)}
            reasons += [f"{endpoint.name} lets {who} in" for who in sorted(named - callers)]
    return reasons


def _callers(statement: dict[str, Any]) -> list[str]:
    """Whom a statement of an endpoint's policy lets in, by role or certificate; `anybody` where it names nobody."""
    if statement.get("Effect") != "Allow":
        return []
    found = [
        who
        for test in (statement.get("Condition") or {}).values()
        for key in ("aws:PrincipalArn", "rolesanywhere:x509Subject/CN")
        for who in listed(test.get(key))
    ]
    return found or ["anybody"]


def nobody_switches_the_trail_off(graph: Graph) -> list[str]:
    """No role of ours may stop, blind or erase the trail, and each is bounded, whatever is added to it later."""
    broken: list[str] = []
    for role in roles(graph):
        if role.boundary is None and role.given is None:
            broken.append(f"role {role.name} has no permissions boundary")
        broken += [f"role {role.name} may {action}" for action in SWITCHING_OFF if role.may(action)]
    for trail in graph.of("aws:cloudtrail/trail:Trail"):
        if trail.inputs.get("enableLogging") is False:
            broken.append(f"trail {trail.name} does not log")
    return broken


def no_access_key(graph: Graph) -> list[str]:
    """No AWS key is made, and none stands in a pod."""
    broken = [f"{key.name} is an access key" for key in graph.of("aws:iam/accessKey:AccessKey")]
    for deployment in graph.of("kubernetes:apps/v1:Deployment"):
        spec = deployment.inputs["spec"]["template"]["spec"]
        for box in [*spec.get("containers", []), *spec.get("initContainers", [])]:
            for variable in box.get("env") or []:
                if variable["name"] in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
                    broken.append(f"{deployment.name} sets {variable['name']} in {box['name']}")
    return broken


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


def _identity(deployment: Resource) -> tuple[str, str, str]:
    """Role, certificate's name and sessions' URL of a translator's credential helper."""
    options = _options(deployment)
    meta = deployment.inputs["metadata"]
    return (
        options.get("--role-arn", ""),
        f"{meta['name']}.{meta['namespace']}.svc",
        options.get("--endpoint", ""),
    )


def _anchor(deployment: Resource) -> str:
    return _options(deployment).get("--trust-anchor-arn", "")


def _options(deployment: Resource) -> dict[str, str]:
    for box in deployment.inputs["spec"]["template"]["spec"].get("initContainers") or []:
        command = box.get("command") or []
        if command[:1] == ["aws_signing_helper"]:
            return {key: value for key, value in itertools.pairwise(command) if key.startswith("--")}
    return {}


def _models(graph: Graph, deployment: Resource) -> list[dict[str, Any]]:
    """The models in the configuration that the translator's pods mount."""
    volumes = deployment.inputs["spec"]["template"]["spec"].get("volumes") or []
    wanted = {each["configMap"]["name"] for each in volumes if "configMap" in each}
    for config in graph.of("kubernetes:core/v1:ConfigMap"):
        meta = config.inputs["metadata"]
        if meta["name"] in wanted and meta["namespace"] == deployment.inputs["metadata"]["namespace"]:
            return yamlfile.loads(config.inputs["data"]["config.yaml"], config.name).data["models"]
    return []


def _own(graph: Graph, url: Any, service: str) -> Resource | None:
    """The private endpoint of ours that a URL leads to, if it is one of that service."""
    found = _ENDPOINT.match(str(url or ""))
    if found is None or found[2] != service:
        return None
    return next((each for each in graph.of("aws:ec2/vpcEndpoint:VpcEndpoint") if each.name == found[1]), None)


def _names(endpoint: Resource, key: str, who: str, action: str, what: str | None) -> bool:
    """Whether a statement of the endpoint's policy lets `who` do `action` to `what`, all three by name."""
    for statement in statements(endpoint.inputs.get("policy")):
        condition = statement.get("Condition") or {}
        named = [value for test in condition.values() for value in listed(test.get(key))]
        if (
            statement.get("Effect") == "Allow"
            and who in named
            and action in listed(statement.get("Action"))
            and what in listed(statement.get("Resource"))
        ):
            return True
    return False
