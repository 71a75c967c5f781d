"""Network: closed unless opened, in clusters and in AWS. Where a class's data may go is `data_path`'s."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.graph.resources.resources import Resource, place
from policies.encryption.at_rest import BUCKETS, attached
from policies.inputs import operators as stated_operators
from policies.inputs.links import referred
from policies.inputs.pods import pods
from policies.inputs.values import at, true, unknown, wants
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
_INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
_GROUP = "aws:ec2/securityGroup:SecurityGroup"
_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
_EVERYWHERE = ("0.0.0.0/0", "::/0")
_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_ASSOCIATION = "aws:route53/resolverFirewallRuleGroupAssociation:ResolverFirewallRuleGroupAssociation"
_FIREWALL_RULE = "aws:route53/resolverFirewallRule:ResolverFirewallRule"
_FIREWALL_CONFIG = "aws:route53/resolverFirewallConfig:ResolverFirewallConfig"
_BALANCERS = ("aws:lb/loadBalancer:LoadBalancer", "aws:alb/loadBalancer:LoadBalancer")


def _closed(subject: Subject) -> Iterator[Broken]:
    spaces: dict[str, Resource] = {}
    for space in subject.graph.of("kubernetes:core/v1:Namespace"):
        spaces[place(space)[0]] = space
    for pod in pods(subject.graph):
        spaces.setdefault(pod.namespace, pod.resource)
    for name, resource in sorted(spaces.items()):
        if name in stated_operators.namespaces(subject):
            continue  # its chart says whom it calls, and nobody but Helm knows the chart
        shut: set[str] = set()
        for policy in subject.graph.of(_POLICY):
            said = at(policy.inputs, "spec")
            if place(policy)[1] != name or not isinstance(said, Mapping):
                continue
            selector = said.get("podSelector")
            if selector is None or (isinstance(selector, Mapping) and not any(selector.values())):
                shut |= {way for way in _ways(said) if not said.get(way.lower())}
        for way in ("Ingress", "Egress"):
            if way not in shut:
                yield Broken(
                    f"namespace {name} is open for {way.lower()} unless a policy says otherwise", resource
                )


def _ways(spec: Mapping[str, Any]) -> set[str]:
    kinds = spec.get("policyTypes")
    if isinstance(kinds, list):
        return set(map(str, kinds))
    return {"Ingress", "Egress"} if "egress" in spec else {"Ingress"}


def _not_open_to_all(subject: Subject) -> Iterator[Broken]:
    """Policies whose peers are everybody: an empty peer, an empty selector of namespaces, or every address."""
    for policy in subject.graph.of(_POLICY):
        for way, peers in (("ingress", "from"), ("egress", "to")):
            for rule in at(policy.inputs, f"spec.{way}") or []:
                named = at(rule, peers)
                if not named:
                    yield Broken(f"{policy.name} opens {way} to and from everybody", policy)
                for peer in named or []:
                    if at(peer, "ipBlock.cidr") in _EVERYWHERE:
                        yield Broken(f"{policy.name} opens {way} to every address", policy)
                    spaces = at(peer, "namespaceSelector")
                    if isinstance(spaces, Mapping) and not any(spaces.values()):
                        yield Broken(f"{policy.name} opens {way} to every namespace", policy)


def _services_inside(subject: Subject) -> Iterator[Broken]:
    for service in subject.graph.of("kubernetes:core/v1:Service"):
        kind = at(service.inputs, "spec.type")
        if unknown(kind):
            yield Broken(f"the kind of {service.name} is not known yet", service, "undecided")
        elif kind in ("LoadBalancer", "NodePort"):
            yield Broken(f"{service.name} can be reached from outside its cluster ({kind})", service)
        if at(service.inputs, "spec.externalIPs"):
            yield Broken(f"{service.name} takes addresses that are not its cluster's", service)


def _balancers_inside(subject: Subject) -> Iterator[Broken]:
    for balancer in subject.graph.of(*_BALANCERS):
        yield from wants(balancer, "internal", true, "can be reached from the internet", "internal=True")
    for subnet in subject.graph.of("aws:ec2/subnet:Subnet"):
        yield from wants(
            subnet,
            "mapPublicIpOnLaunch",
            lambda on: on is not True,
            "gives public addresses to whatever starts in it",
        )
    for service in subject.graph.of("aws:ecs/service:Service"):
        yield from wants(
            service,
            "networkConfiguration.assignPublicIp",
            lambda on: on is not True,
            "gives its tasks public addresses",
        )


def _cluster_private(subject: Subject) -> Iterator[Broken]:
    for cluster in subject.graph.of("aws:eks/cluster:Cluster"):
        # AWS opens the address unless told otherwise.
        yield from wants(
            cluster,
            "vpcConfig.endpointPublicAccess",
            lambda on: on is False,
            "has its API server on the internet",
            "endpoint_public_access=False",
        )
        yield from wants(
            cluster, "vpcConfig.endpointPrivateAccess", true, "has no private way to its API server"
        )


def _buckets_shut(subject: Subject) -> Iterator[Broken]:
    for bucket in subject.graph.of(*BUCKETS):
        blocks = attached(subject.graph, bucket, ":BucketPublicAccessBlock")
        if not blocks:
            yield Broken(f"{bucket.name} can be made public", bucket)
        for block in blocks:
            for part in _BLOCKS:
                yield from wants(block, part, true, f"leaves {part} off", f"{part}=True")
        if str(bucket.inputs.get("acl") or "private").startswith("public"):
            yield Broken(f"{bucket.name} is public by its ACL", bucket)


def _groups_named(subject: Subject) -> Iterator[Broken]:
    for rule in subject.graph.of(_INGRESS):
        for key in ("cidrIpv4", "cidrIpv6"):
            if rule.inputs.get(key) in _EVERYWHERE:
                yield Broken(f"{rule.name} lets every address in", rule)
    for rule in subject.graph.of(_RULE):
        blocks = [*(rule.inputs.get("cidrBlocks") or []), *(rule.inputs.get("ipv6CidrBlocks") or [])]
        if rule.inputs.get("type") == "ingress" and set(blocks) & set(_EVERYWHERE):
            yield Broken(f"{rule.name} lets every address in", rule)
    for group in subject.graph.of(_GROUP):
        for one in group.inputs.get("ingress") or []:
            blocks = [*(at(one, "cidrBlocks") or []), *(at(one, "ipv6CidrBlocks") or [])]
            if set(blocks) & set(_EVERYWHERE):
                yield Broken(f"{group.name} lets every address in", group)
    for group in subject.graph.of(":DefaultSecurityGroup"):
        if group.inputs.get("ingress") or group.inputs.get("egress"):
            yield Broken(f"{group.name} lets whatever named no group of its own talk", group)


def _default_shut(subject: Subject) -> Iterator[Broken]:
    shut = {
        vpc.urn
        for group in subject.graph.of(":DefaultSecurityGroup")
        for vpc in referred(subject.graph, group, "vpcId", ":Vpc")
    }
    for vpc in subject.graph.of("aws:ec2/vpc:Vpc"):
        if vpc.urn not in shut:
            yield Broken(f"the default group of {vpc.name} lets its members talk to each other and out", vpc)


def named_by_its_service(subject: Subject, endpoint: Resource) -> bool:
    """Whether a service's public name should lead to an endpoint: not where a gateway endpoint beside it takes that."""
    if endpoint.inputs.get("vpcEndpointType") != "Interface":
        return False
    kinds = ("serviceName", "vpcId")
    return not any(
        other.inputs.get("vpcEndpointType", "Gateway") == "Gateway"
        and all(other.inputs.get(key) == endpoint.inputs.get(key) for key in kinds)
        for other in subject.graph.of("aws:ec2/vpcEndpoint:VpcEndpoint")
    )


def _endpoint_names(subject: Subject) -> Iterator[Broken]:
    for endpoint in subject.graph.of("aws:ec2/vpcEndpoint:VpcEndpoint"):
        if named_by_its_service(subject, endpoint):
            yield from wants(
                endpoint,
                "privateDnsEnabled",
                true,
                "leaves the service's public name leading out of its network",
                "private_dns_enabled=True",
            )


def networks_made(subject: Subject) -> Iterator[Resource]:
    """The VPCs made here whose DNS firewall is made here too: the platform may leave it to the organisation."""
    platform = subject.platform
    elsewhere = {each.cidr for each in platform.networks if each.dns_mode != "manage"} if platform else set()
    for vpc in subject.graph.of("aws:ec2/vpc:Vpc"):
        if vpc.inputs.get("cidrBlock") not in elsewhere:
            yield vpc


def _names_are_named(subject: Subject) -> Iterator[Broken]:
    for vpc in networks_made(subject):
        associations = _of_vpc(subject, vpc, _ASSOCIATION, "vpcId")
        if not associations:
            yield Broken(f"{vpc.name} has no DNS firewall: its resolver asks for any name", vpc)
        else:
            yield from _allow_list(subject, vpc, associations)
        closed = _of_vpc(subject, vpc, _FIREWALL_CONFIG, "resourceId")
        if not closed:
            yield Broken(f"nothing says what the resolver of {vpc.name} does when its firewall fails", vpc)
        for config in closed:
            open_ = config.inputs.get("firewallFailOpen")
            if unknown(open_):
                yield Broken(f"{config.name}: firewallFailOpen is not known yet", vpc, "undecided")
            elif open_ != "DISABLED":
                yield Broken(f"the resolver of {vpc.name} answers for any name when its firewall fails", vpc)


def _of_vpc(subject: Subject, vpc: Resource, kind: str, key: str) -> list[Resource]:
    return [each for each in subject.graph.of(kind) if vpc in referred(subject.graph, each, key, ":Vpc")]


def _allow_list(subject: Subject, vpc: Resource, associations: list[Resource]) -> Iterator[Broken]:
    """What the rules of a VPC's firewall leave open, in the order in which AWS asks them."""

    def order(resource: Resource) -> float:
        found = resource.inputs.get("priority")
        return found if isinstance(found, int | float) else 0

    rules = [
        rule
        for association in sorted(associations, key=order)
        for group in referred(subject.graph, association, "firewallRuleGroupId", ":ResolverFirewallRuleGroup")
        for rule in sorted(subject.graph.of(_FIREWALL_RULE), key=order)
        if group in referred(subject.graph, rule, "firewallRuleGroupId", ":ResolverFirewallRuleGroup")
    ]
    for rule in rules:
        action, names = rule.inputs.get("action"), _names_of(subject, rule)
        if unknown(action) or names is None:
            yield Broken(f"what {rule.name} of {vpc.name} covers is not known yet", vpc, "undecided")
            return
        everything = any(not name.rstrip(".").removeprefix("*").removeprefix(".") for name in names)
        if action == "BLOCK":
            if everything:
                return
            continue
        for name in names:
            # `*.com` is the zone of everybody as much as `*` is.
            if name.startswith("*") and name.rstrip(".").count(".") < 2:
                yield Broken(f"{rule.name} of {vpc.name} lets {name} be asked for", vpc)
                return
    yield Broken(f"the DNS firewall of {vpc.name} does not end in a block of all other names", vpc)


def _names_of(subject: Subject, rule: Resource) -> list[str] | None:
    """The names that a firewall's rule is about; None where they are not known."""
    lists = referred(subject.graph, rule, "firewallDomainListId", ":ResolverFirewallDomainList")
    names = [name for each in lists for name in each.inputs.get("domains") or []]
    if not lists or any(unknown(each.inputs.get("domains")) for each in lists):
        return None
    return None if any(unknown(name) for name in names) else [str(name) for name in names]


def _notebooks(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.of("aws:sagemaker/notebookInstance:NotebookInstance"):
        if each.inputs.get("directInternetAccess", "Enabled") != "Disabled":
            yield Broken(f"{each.name} reaches the internet, with all that its role may read", each)
        if each.inputs.get("rootAccess", "Enabled") != "Disabled":
            yield Broken(f"whoever opens {each.name} is root in it", each)
    for each in subject.graph.of("aws:sagemaker/domain:Domain"):
        if each.inputs.get("appNetworkAccessType", "PublicInternetOnly") != "VpcOnly":
            yield Broken(f"{each.name} reaches the internet, with all that its role may read", each)


_private = (*fw.pci("1.3.1", "1.4.2"), *fw.nist("SC-7"), *fw.iso_27001("A.8.20"), *fw.dora("Art. 9(4)(b)"))
RULES = (
    Rule(
        "network/default-deny",
        "Every namespace is closed both ways unless a policy opens it",
        "critical",
        (*fw.cis_kubernetes("5.3.2"), *fw.nist("SC-7(5)"), *fw.iso_27001("A.8.22"), *fw.dora("Art. 9(4)(b)")),
        "A pod that no policy names talks to everybody",
        "Add a NetworkPolicy with podSelector {} and policyTypes [Ingress, Egress], and nothing else",
        _closed,
        (_POLICY, "kubernetes:core/v1:Namespace"),
    ),
    Rule(
        "network/policies-name-peers",
        "Network policies name their peers",
        "critical",
        (*fw.cis_kubernetes("5.3.2"), *fw.nist("SC-7"), *fw.iso_27001("A.8.22"), *fw.dora("Art. 9(4)(b)")),
        "A rule without peers, or for every address, opens what default-deny closed",
        "Name pods, a namespace or an address range",
        _not_open_to_all,
        (_POLICY,),
    ),
    Rule(
        "network/services-inside",
        "Services are reached from inside their cluster only",
        "high",
        fw.nist("SC-7"),
        "A node's port is open to whoever reaches the node, past the class's gateway",
        "Use type ClusterIP",
        _services_inside,
        ("kubernetes:core/v1:Service",),
    ),
    Rule(
        "network/nothing-public",
        "Nothing has a public address",
        "critical",
        (*_private, *fw.fsbp("EC2.15", "ECS.2")),
        "What has a public address is called by the whole internet",
        "Set internal: true on the load balancer, and no public addresses in subnets and services",
        _balancers_inside,
        (*_BALANCERS, "aws:ec2/subnet:Subnet", "aws:ecs/service:Service"),
    ),
    Rule(
        "network/cluster-private",
        "A cluster's API server has a private address only",
        "critical",
        (*fw.fsbp("EKS.1"), *_private),
        "Everybody may try their tokens on it",
        "Set endpointPublicAccess: false and endpointPrivateAccess: true",
        _cluster_private,
        ("aws:eks/cluster:Cluster",),
    ),
    Rule(
        "network/buckets-shut",
        "Buckets cannot be made public",
        "critical",
        (
            *fw.fsbp("S3.8"),
            *fw.cis_aws("3.1.4"),
            *fw.nist("AC-3"),
            *fw.iso_27001("A.8.3"),
            *fw.dora("Art. 9(4)(c)"),
        ),
        "One line in a bucket's policy would publish records or weights",
        "Add a BucketPublicAccessBlock with all four set",
        _buckets_shut,
        BUCKETS,
    ),
    Rule(
        "network/groups-named",
        "Security groups let named networks in, not everybody",
        "critical",
        (*_private, *fw.fsbp("EC2.19")),
        "A group open to every address is as good as none",
        "Name the network or the group that may come",
        _groups_named,
        (_INGRESS, _RULE, _GROUP),
    ),
    Rule(
        "network/default-group-shut",
        "The default security group of a network is empty",
        "medium",
        fw.fsbp("EC2.2"),
        "Whatever is started without a group of its own lands in it",
        "Add a DefaultSecurityGroup with no rules",
        _default_shut,
        ("aws:ec2/vpc:Vpc",),
    ),
    Rule(
        "network/endpoints-answer-by-name",
        "Private endpoints answer by their service's own name",
        "medium",
        _private,
        "A caller that uses the usual name would leave by another way, or nowhere",
        "Set privateDnsEnabled: true",
        _endpoint_names,
        ("aws:ec2/vpcEndpoint:VpcEndpoint",),
    ),
    Rule(
        "network/dns-firewall",
        "A network's resolver answers for named names only, and for none when its DNS firewall fails",
        "critical",
        (
            *fw.nist("SC-7", "SC-7(5)"),
            *fw.pci("1.3.2"),
            *fw.iso_27001("A.8.20", "A.8.12"),
            *fw.dora("Art. 9(4)(b)"),
        ),
        "Security groups do not see questions to the resolver: data leaves spelled as names of a stranger's zone",
        "Associate a ResolverFirewallRuleGroup with the VPC that allows a list and ends in a BLOCK of `*`, and set"
        " firewallFailOpen: DISABLED in a ResolverFirewallConfig",
        _names_are_named,
        ("aws:ec2/vpc:Vpc",),
    ),
    Rule(
        "network/notebooks-inside",
        "Notebooks and studios stay in our network, without root",
        "high",
        (*fw.fsbp("SageMaker.1", "SageMaker.3"), *_private),
        "What a notebook's role may read, its owner may carry anywhere",
        "Set directInternetAccess and rootAccess to Disabled, appNetworkAccessType to VpcOnly",
        _notebooks,
        ("aws:sagemaker/notebookInstance:NotebookInstance", "aws:sagemaker/domain:Domain"),
    ),
)
