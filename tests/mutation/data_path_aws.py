"""Faults in data paths in AWS: endpoints, routes, security groups, regions, guardrails."""

from __future__ import annotations

from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.parts import CONFIGS, CONFIGURED, POLICY
from tests.broken_graphs.resources import beside, copied
from tests.mutation.data_path import CLOSED, spaces
from tests.mutation.shapes import Context, Family

FAMILY = Family("data-path")
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
TABLE = "aws:ec2/routeTable:RouteTable"
GUARDRAIL = "aws:bedrock/guardrail:Guardrail"
INGRESS, EGRESS = (
    f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule"
    for direction in ("Ingress", "Egress")
)


@FAMILY.changes(ENDPOINT, lens=POLICY)
def endpoint_open_to_everybody(statements: Any, context: Context) -> None:
    """The policy of a private endpoint lets every caller do everything."""
    statements.append({"Sid": "Default", "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"})


@FAMILY.changes(ENDPOINT, where=lambda inputs, _: "policy" in inputs)
def endpoint_without_a_policy(inputs: Any, context: Context) -> None:
    """A private endpoint has no policy, so AWS gives it the one that lets everything through."""
    del inputs["policy"]


_DNS = "aws:route53/resolverFirewall{0}:ResolverFirewall{0}"


@FAMILY.drops(_DNS.format("RuleGroupAssociation"), also=["network"])
def network_without_a_dns_firewall(inputs: Any, context: Context) -> None:
    """No DNS firewall is associated with a network: its resolver carries any name out."""


@FAMILY.changes(_DNS.format("Rule"), also=["network"], where=lambda inputs, _: inputs["action"] == "BLOCK")
def dns_firewall_that_only_alerts(inputs: Any, context: Context) -> None:
    """The last rule of a DNS firewall tells of other names, and answers them."""
    inputs["action"] = "ALERT"
    del inputs["blockResponse"]


@FAMILY.changes(
    _DNS.format("DomainList"), also=["network"], where=lambda inputs, _: inputs["domains"] != ["*."]
)
def dns_allow_list_of_every_name(inputs: Any, context: Context) -> None:
    """The list of names that are answered holds `*`."""
    inputs["domains"] = [*inputs["domains"], "*."]


@FAMILY.changes(_DNS.format("Config"), also=["network"])
def dns_firewall_that_fails_open(inputs: Any, context: Context) -> None:
    """The resolver of a network answers for any name while its DNS firewall fails."""
    inputs["firewallFailOpen"] = "ENABLED"


def calls_aws(config: Any, _: Context) -> bool:
    return config["mode"] == "translator" and config["class"] in CLOSED


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=calls_aws)
def model_called_by_its_public_name(config: Any, context: Context) -> None:
    """A translator calls AWS at its public name in place of our private endpoint."""
    del config["models"][0]["endpoint_url"]


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=calls_aws)
def model_called_in_another_jurisdiction(config: Any, context: Context) -> None:
    """A translator calls the model in a region outside the workload's residency."""
    model = config["models"][0]
    service = "runtime.sagemaker" if model.get("provider") == "sagemaker" else "bedrock-runtime"
    model.update(region="us-east-1", endpoint_url=f"https://{service}.us-east-1.amazonaws.com")


@FAMILY.changes(
    *CONFIGURED,
    lens=CONFIGS,
    where=lambda config, context: calls_aws(config, context) and "inference_profile" in config["models"][0],
)
def translator_that_names_a_global_profile(config: Any, context: Context) -> None:
    """A translator calls a `global.` profile itself, past the one that was made for the workload."""
    model = config["models"][0]
    model["inference_profile"] = f"global.{model['inference_profile'].partition('.')[2]}"
    model.pop("model_id", None)


@FAMILY.changes(
    *CONFIGURED,
    lens=CONFIGS,
    where=lambda config, _: config["mode"] == "translator" and "guardrail" in config["models"][0],
    also=["release"],
)
def model_called_without_its_guardrail(config: Any, context: Context) -> None:
    """A translator calls a model of Bedrock without the guardrail of its class."""
    del config["models"][0]["guardrail"]


@FAMILY.changes(
    GUARDRAIL, where=lambda inputs, _: "sensitiveInformationPolicyConfig" in inputs, also=["release"]
)
def guardrail_that_lets_personal_data_through(inputs: Any, context: Context) -> None:
    """A guardrail looks for no personal data and no secrets any more."""
    del inputs["sensitiveInformationPolicyConfig"]


@FAMILY.changes(GUARDRAIL, where=lambda inputs, _: "contentPolicyConfig" in inputs, also=["release"])
def guardrail_that_lets_prompt_attacks_through(inputs: Any, context: Context) -> None:
    """A guardrail's filter of prompt attacks is set to nothing."""
    for content_filter in inputs["contentPolicyConfig"]["filtersConfigs"]:
        if content_filter["type"] == "PROMPT_ATTACK":
            content_filter["inputStrength"] = "NONE"


@FAMILY.changes(GUARDRAIL, where=lambda _, context: context.class_ in CLOSED)
def guardrail_in_other_regions(inputs: Any, context: Context) -> None:
    """A guardrail is evaluated in whatever region of the United States has room."""
    inputs["crossRegionConfig"] = {"guardrailProfileIdentifier": "us.guardrail.v1:0"}


@FAMILY.adds(TABLE)
def nat_gateway_for_the_network(inputs: Any, context: Context) -> list[Resource]:
    """A private network gets a NAT gateway and a default route to it."""
    near, name = context.resource, f"{context.resource.name}-nat"
    subnet = next(subnet_found for subnet_found in context.of("aws:ec2/subnet:Subnet"))
    address = beside(near, "aws:ec2/eip:Eip", f"{name}-address", {"domain": "vpc", "tags": inputs["tags"]})
    gateway = {
        "subnetId": f"${{{subnet.name}.id}}",
        "allocationId": f"${{{name}-address.id}}",
        "tags": inputs["tags"],
    }
    route = {
        "routeTableId": f"${{{near.name}.id}}",
        "destinationCidrBlock": "0.0.0.0/0",
        "natGatewayId": f"${{{name}.id}}",
    }
    return [
        address,
        beside(near, "aws:ec2/natGateway:NatGateway", name, gateway),
        beside(near, "aws:ec2/route:Route", f"{name}-route", route),
    ]


@FAMILY.adds(TABLE)
def network_joined_to_another(inputs: Any, context: Context) -> list[Resource]:
    """A private network is peered with one of another account, and a route leads there."""
    near, name = context.resource, f"{context.resource.name}-peering"
    peering = {
        "vpcId": inputs["vpcId"],
        "peerVpcId": "vpc-0a1b2c3d4e5f60718",
        "peerOwnerId": "444455556666",
        "tags": inputs["tags"],
    }
    route = {
        "routeTableId": f"${{{near.name}.id}}",
        "destinationCidrBlock": "10.200.0.0/16",
        "vpcPeeringConnectionId": f"${{{name}.id}}",
    }
    return [
        beside(near, "aws:ec2/vpcPeeringConnection:VpcPeeringConnection", name, peering),
        beside(near, "aws:ec2/route:Route", f"{name}-route", route),
    ]


@FAMILY.changes("aws:ec2transitgateway/route:Route", where=lambda inputs, _: not inputs.get("blackhole"))
def link_that_leads_anywhere(inputs: Any, context: Context) -> None:
    """A route of the private link takes every destination, not the site's or the network's alone."""
    inputs["destinationCidrBlock"] = "0.0.0.0/0"


@FAMILY.changes(INGRESS, where=lambda inputs, _: "cidrIpv4" in inputs)
def group_that_lets_every_address_in(inputs: Any, context: Context) -> None:
    """A security group takes connections from every address."""
    inputs["cidrIpv4"] = "0.0.0.0/0"


@FAMILY.changes(EGRESS)
def group_that_reaches_every_address(inputs: Any, context: Context) -> None:
    """A security group lets its members call every address."""
    for key in ("prefixListId", "referencedSecurityGroupId"):
        inputs.pop(key, None)
    inputs["cidrIpv4"] = "0.0.0.0/0"


@FAMILY.changes("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", also=["workload"])
def default_group_that_lets_everything_out(inputs: Any, context: Context) -> None:
    """The network's default security group lets whoever bears it out to everywhere."""
    inputs["egress"] = [{"protocol": "-1", "fromPort": 0, "toPort": 0, "cidrBlocks": ["0.0.0.0/0"]}]


@FAMILY.changes("aws:ecs/service:Service")
def tasks_with_public_addresses(inputs: Any, context: Context) -> None:
    """The tasks of a gateway get public addresses."""
    inputs["networkConfiguration"]["assignPublicIp"] = True


@FAMILY.changes("aws:lb/loadBalancer:LoadBalancer")
def door_on_the_internet(inputs: Any, context: Context) -> None:
    """The load balancer before a gateway faces the internet."""
    inputs["internal"] = False


@FAMILY.changes("aws:ec2/subnet:Subnet", also=["workload"])
def subnet_that_gives_public_addresses(inputs: Any, context: Context) -> None:
    """Whatever starts in a subnet gets a public address."""
    inputs["mapPublicIpOnLaunch"] = True


@FAMILY.changes("aws:eks/cluster:Cluster", also=["identity", "workload"])
def cluster_api_on_the_internet(inputs: Any, context: Context) -> None:
    """The API of a cluster answers on the internet."""
    inputs["vpcConfig"].update(endpointPublicAccess=True, publicAccessCidrs=["0.0.0.0/0"])


@FAMILY.adds(
    "aws:eks/podIdentityAssociation:PodIdentityAssociation",
    where=lambda inputs, context: other_space(inputs, context),
    also=["identity"],
)
def pods_of_another_class_with_an_identity(inputs: Any, context: Context) -> list[Resource]:
    """The pods of another class's gateway get the AWS identity of this one's translator."""
    class_, namespace = other_space(inputs, context)[0]
    inputs.update(namespace=namespace, serviceAccount=f"{class_}-gateway")
    return [copied(context.resource, f"{context.resource.name}-{class_}", inputs)]


def other_space(inputs: Any, context: Context) -> list[tuple[str, str]]:
    """Classes whose namespace is not the one that has the identity, the most sensitive first."""
    return [pair for pair in sorted(spaces(context).items(), reverse=True) if pair[1] != inputs["namespace"]]


@FAMILY.changes("aws:sagemaker/model:Model", where=lambda inputs, _: inputs.get("enableNetworkIsolation"))
def hosted_model_that_may_call_out(inputs: Any, context: Context) -> None:
    """The network isolation of a model on SageMaker is switched off."""
    inputs["enableNetworkIsolation"] = False


@FAMILY.changes("aws:sagemaker/model:Model", where=lambda inputs, _: "vpcConfig" in inputs)
def hosted_model_in_no_network_of_ours(inputs: Any, context: Context) -> None:
    """A model on SageMaker stands in the service's own network."""
    del inputs["vpcConfig"]
