"""Rules for network exposure in clusters and in AWS: closed by default, nothing public, DNS firewall.

`policies.data_path` checks where a class's data may go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.graph.network.reachability import select_namespaces
from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.encryption.at_rest import BUCKETS, attached
from policies.inputs import operators as stated_operators
from policies.inputs.aws_reach import is_of_component
from policies.inputs.class_scope import class_of
from policies.inputs.gateway_access import is_stated_peer, service_problems, stated_access
from policies.inputs.links import referenced_resources
from policies.inputs.own_networks import networks_apart
from policies.inputs.pods import Pod, pods
from policies.inputs.values import at, has_unknown, is_true, is_unknown, require
from policies.rules import frameworks as fw
from policies.rules.rule import Applicable, Rule, Subject, Violation

_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
_DIRECTIONS = ("Ingress", "Egress")
_INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
_GROUP = "aws:ec2/securityGroup:SecurityGroup"
_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
_EVERYWHERE = ("0.0.0.0/0", "::/0")
_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_ASSOCIATION = "aws:route53/resolverFirewallRuleGroupAssociation:ResolverFirewallRuleGroupAssociation"
_FIREWALL_RULE = "aws:route53/resolverFirewallRule:ResolverFirewallRule"
_FIREWALL_CONFIG = "aws:route53/resolverFirewallConfig:ResolverFirewallConfig"
_BALANCERS = ("aws:lb/loadBalancer:LoadBalancer", "aws:alb/loadBalancer:LoadBalancer")


def _check_default_deny(subject: Subject) -> Iterator[Violation]:
    namespaces, pods_by_namespace = _namespaces_and_pods(subject)
    for name in sorted({*namespaces, *pods_by_namespace}):
        policies = [policy for policy in subject.graph.of(_POLICY) if name_and_namespace(policy)[1] == name]
        closed = _closed_directions(policies)
        here = pods_by_namespace.get(name, [])
        if name not in namespaces and _is_of_others(subject, name, here):
            yield from _open_pods(name, here, policies, closed)
            continue
        resource = namespaces.get(name) or here[0].resource
        for direction in _DIRECTIONS:
            if direction not in closed:
                yield Violation(
                    f"namespace {name} has no default-deny policy for {direction.lower()}",
                    resource,
                )


def _closed_directions(policies: list[Resource]) -> set[str]:
    """Directions that policies of a namespace deny to all its pods."""
    closed: set[str] = set()
    for policy in policies:
        spec = at(policy.inputs, "spec")
        if not isinstance(spec, Mapping):
            continue
        selector = spec.get("podSelector")
        if selector is None or (isinstance(selector, Mapping) and not any(selector.values())):
            closed |= {direction for direction in _directions(spec) if not spec.get(direction.lower())}
    return closed


def _is_of_others(subject: Subject, namespace: str, here: list[Pod]) -> bool:
    """Whether a namespace that the stack does not make has pods of other teams, which a policy of all would cut off.

    A class's namespace, and one with a component's pod or with a chart that no rule reads, is held as a whole.
    """
    if class_of(subject.graph, namespace) or any(is_of_component(pod.resource) for pod in here):
        return False
    releases = subject.graph.of("kubernetes:helm.sh/v3:Release")
    return not any(at(release.inputs, "namespace") in (None, namespace) for release in releases)


def _open_pods(
    namespace: str, here: list[Pod], policies: list[Resource], closed: set[str]
) -> Iterator[Violation]:
    """Reports pods that no policy selects: Kubernetes denies a selected pod whatever no policy allows."""
    for pod in here:
        selecting = [spec for policy in policies if _surely_selects(spec := at(policy.inputs, "spec"), pod)]
        denied = closed.union(*map(_directions, selecting))
        for direction in _DIRECTIONS:
            if direction not in denied:
                yield Violation(
                    f"no policy for {direction.lower()} selects {pod.resource.name} in namespace {namespace}",
                    pod.resource,
                    fix="Add a NetworkPolicy that selects these pods, with policyTypes [Ingress, Egress] and the"
                    " peers that they need",
                )


def _surely_selects(spec: Any, pod: Pod) -> bool:
    """Whether a policy selects a pod, and both are known before the change."""
    if not isinstance(spec, Mapping) or any(map(has_unknown, (spec.get("policyTypes"), pod.labels))):
        return False
    selector = spec.get("podSelector") or {}
    if not isinstance(selector, Mapping) or has_unknown(selector):
        return False
    try:
        return bool(select_namespaces({"pod": dict(pod.labels)}, selector))
    except (KeyError, TypeError, AttributeError):
        return False


def _namespaces(subject: Subject) -> Iterator[Resource]:
    """Namespaces, or a pod of each namespace that the stack does not create. Operators' namespaces are left out."""
    namespaces, pods_by_namespace = _namespaces_and_pods(subject)
    first_pods = {name: here[0].resource for name, here in pods_by_namespace.items()}
    yield from {**first_pods, **namespaces}.values()


def _namespaces_and_pods(subject: Subject) -> tuple[dict[str, Resource], dict[str, list[Pod]]]:
    """The namespaces that the stack creates, and the pods by namespace, without those of operators.

    Only Helm knows an operator's chart, and so which peers it calls.
    """
    left_out = stated_operators.operator_namespaces(subject)
    namespaces = {
        name: namespace
        for namespace in subject.graph.of("kubernetes:core/v1:Namespace")
        if (name := name_and_namespace(namespace)[0]) not in left_out
    }
    pods_by_namespace: dict[str, list[Pod]] = {}
    for pod in pods(subject.graph):
        if pod.namespace not in left_out and not pod.resource.type.endswith("Patch"):
            pods_by_namespace.setdefault(pod.namespace, []).append(pod)
    return namespaces, pods_by_namespace


def _directions(spec: Mapping[str, Any]) -> set[str]:
    kinds = spec.get("policyTypes")
    if isinstance(kinds, list):
        return set(map(str, kinds))
    return {"Ingress", "Egress"} if "egress" in spec else {"Ingress"}


def _check_peers_named(subject: Subject) -> Iterator[Violation]:
    """Reports policies that allow everybody: no peer, an empty namespace selector, or every address."""
    for policy in subject.graph.of(_POLICY):
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in at(policy.inputs, f"spec.{direction}") or []:
                rule_peers = at(rule, peers)
                if not rule_peers:
                    yield Violation(
                        f"{policy.name} allows {direction} for everybody: a rule names no peers", policy
                    )
                for peer in rule_peers or []:
                    block = at(peer, "ipBlock.cidr")
                    if block in _EVERYWHERE and not is_stated_peer(subject, policy, str(block)):
                        yield Violation(f"{policy.name} allows {direction} for every address", policy)
                    selector = at(peer, "namespaceSelector")
                    if isinstance(selector, Mapping) and not any(selector.values()):
                        yield Violation(f"{policy.name} allows {direction} for every namespace", policy)


def _check_services_internal(subject: Subject) -> Iterator[Violation]:
    for service in subject.graph.of("kubernetes:core/v1:Service"):
        kind = at(service.inputs, "spec.type")
        if is_unknown(kind):
            yield Violation(f"spec.type of {service.name} is not known yet", service, "undecided")
        elif kind in ("LoadBalancer", "NodePort"):
            yield from _check_opened_service(subject, service, str(kind))
        if at(service.inputs, "spec.externalIPs"):
            yield Violation(f"{service.name} has external IP addresses", service)


def _check_opened_service(subject: Subject, service: Resource, kind: str) -> Iterator[Violation]:
    """A Service leaves its cluster only as the stated access of a gateway, to ranges of the trust file."""
    stated = stated_access(subject, service)
    opened = f"{service.name} can be reached from outside its cluster ({kind})"
    if stated is None:
        yield Violation(opened, service)
        return
    if has_unknown(at(service.inputs, "spec")) or has_unknown(at(service.inputs, "metadata.annotations")):
        yield Violation(f"{opened}, and by whom is not known before the change", service, "undecided")
        return
    for problem, entry in service_problems(subject, service, *stated):
        fix = "Have who answers for the class's data add it to trust.yaml" if entry else ""
        yield Violation(f"{opened}: {problem}", service, entry=entry, fix=fix)


def _check_no_public_address(subject: Subject) -> Iterator[Violation]:
    for balancer in subject.graph.of(*_BALANCERS):
        yield from require(balancer, "internal", is_true, "can be reached from the internet", "internal=True")
    for subnet in subject.graph.of("aws:ec2/subnet:Subnet"):
        yield from require(
            subnet,
            "mapPublicIpOnLaunch",
            lambda on: on is not True,
            "gives a public address to everything that starts in it",
        )
    for service in subject.graph.of("aws:ecs/service:Service"):
        yield from require(
            service,
            "networkConfiguration.assignPublicIp",
            lambda on: on is not True,
            "gives its tasks public addresses",
        )


def _check_cluster_private(subject: Subject) -> Iterator[Violation]:
    for cluster in subject.graph.of("aws:eks/cluster:Cluster"):
        # Public access is on by default.
        yield from require(
            cluster,
            "vpcConfig.endpointPublicAccess",
            lambda on: on is False,
            "has a public API server",
            "endpoint_public_access=False",
        )
        yield from require(
            cluster, "vpcConfig.endpointPrivateAccess", is_true, "has no private endpoint for its API server"
        )


def _check_buckets_private(subject: Subject) -> Iterator[Violation]:
    for bucket in subject.graph.of(*BUCKETS):
        blocks = attached(subject.graph, bucket, ":BucketPublicAccessBlock")
        if not blocks:
            yield Violation(f"{bucket.name} can be made public: it has no BucketPublicAccessBlock", bucket)
        for block in blocks:
            for part in _BLOCKS:
                yield from require(block, part, is_true, f"does not set {part}", f"{part}=True")
        if str(bucket.inputs.get("acl") or "private").startswith("public"):
            yield Violation(f"{bucket.name} is public by its ACL", bucket)


def _public_access_blocks(subject: Subject) -> Iterator[Resource]:
    """Public access blocks, and buckets without one."""
    for bucket in subject.graph.of(*BUCKETS):
        blocks = attached(subject.graph, bucket, ":BucketPublicAccessBlock")
        yield from blocks or [bucket]


def _check_ingress_rules(subject: Subject) -> Iterator[Violation]:
    for rule in subject.graph.of(_INGRESS):
        for key in ("cidrIpv4", "cidrIpv6"):
            if rule.inputs.get(key) in _EVERYWHERE:
                yield Violation(f"{rule.name} allows ingress from every address", rule)
    for rule in subject.graph.of(_RULE):
        blocks = [*(rule.inputs.get("cidrBlocks") or []), *(rule.inputs.get("ipv6CidrBlocks") or [])]
        if rule.inputs.get("type") == "ingress" and set(blocks) & set(_EVERYWHERE):
            yield Violation(f"{rule.name} allows ingress from every address", rule)
    for group in subject.graph.of(_GROUP):
        for ingress_rule in group.inputs.get("ingress") or []:
            blocks = [*(at(ingress_rule, "cidrBlocks") or []), *(at(ingress_rule, "ipv6CidrBlocks") or [])]
            if set(blocks) & set(_EVERYWHERE):
                yield Violation(f"{group.name} allows ingress from every address", group)
    for group in subject.graph.of(":DefaultSecurityGroup"):
        if group.inputs.get("ingress") or group.inputs.get("egress"):
            yield Violation(
                f"default security group {group.name} has rules, which apply to everything without its own group",
                group,
            )


def _security_groups(subject: Subject) -> Applicable:
    return subject.graph.of(_INGRESS, _GROUP, _RULE, ":DefaultSecurityGroup")


def _check_default_group(subject: Subject) -> Iterator[Violation]:
    closed = {
        vpc.urn
        for group in subject.graph.of(":DefaultSecurityGroup")
        for vpc in referenced_resources(subject.graph, group, "vpcId", ":Vpc")
    }
    for vpc in subject.graph.of("aws:ec2/vpc:Vpc"):
        if vpc.urn not in closed:
            yield Violation(
                f"the default security group of {vpc.name} allows traffic between its members and egress", vpc
            )


def _is_named_by_service(subject: Subject, endpoint: Resource) -> bool:
    """Whether the service's public name should lead to an endpoint: not if a gateway endpoint takes that name."""
    if endpoint.inputs.get("vpcEndpointType") != "Interface":
        return False
    kinds = ("serviceName", "vpcId")
    return not any(
        other.inputs.get("vpcEndpointType", "Gateway") == "Gateway"
        and all(other.inputs.get(key) == endpoint.inputs.get(key) for key in kinds)
        for other in subject.graph.of("aws:ec2/vpcEndpoint:VpcEndpoint")
    )


def _named_endpoints(subject: Subject) -> Iterator[Resource]:
    """Endpoints that the service's public name should lead to."""
    for endpoint in subject.graph.of("aws:ec2/vpcEndpoint:VpcEndpoint"):
        if _is_named_by_service(subject, endpoint):
            yield endpoint


def _check_endpoint_names(subject: Subject) -> Iterator[Violation]:
    for endpoint in _named_endpoints(subject):
        yield from require(
            endpoint,
            "privateDnsEnabled",
            is_true,
            "does not take over the service's public name, which leads out of the network",
            "private_dns_enabled=True",
        )


def managed_networks(subject: Subject) -> Iterator[Resource]:
    """VPCs of this stack whose DNS firewall this stack manages: the platform may leave it to the organisation.

    Networks apart from the platform are not among them.
    """
    platform, apart = subject.platform, networks_apart(subject)
    elsewhere = (
        {network.cidr for network in platform.networks if network.dns_mode != "manage"} if platform else set()
    )
    for vpc in subject.graph.of("aws:ec2/vpc:Vpc"):
        if vpc.inputs.get("cidrBlock") not in elsewhere and vpc.urn not in apart:
            yield vpc


def _check_dns_firewall(subject: Subject) -> Iterator[Violation]:
    for vpc in managed_networks(subject):
        associations = _attached_to_vpc(subject, vpc, _ASSOCIATION, "vpcId")
        if not associations:
            yield Violation(f"{vpc.name} has no DNS firewall, so its resolver resolves any name", vpc)
        else:
            yield from _check_allow_list(subject, vpc, associations)
        closed = _attached_to_vpc(subject, vpc, _FIREWALL_CONFIG, "resourceId")
        if not closed:
            yield Violation(
                f"{vpc.name} has no ResolverFirewallConfig, which decides what happens when its firewall fails",
                vpc,
            )
        for config in closed:
            open_ = config.inputs.get("firewallFailOpen")
            if is_unknown(open_):
                yield Violation(f"{config.name}: firewallFailOpen is not known yet", vpc, "undecided")
            elif open_ != "DISABLED":
                yield Violation(
                    f"the resolver of {vpc.name} resolves any name when its DNS firewall fails", vpc
                )


def _attached_to_vpc(subject: Subject, vpc: Resource, kind: str, key: str) -> list[Resource]:
    return [
        resource
        for resource in subject.graph.of(kind)
        if vpc in referenced_resources(subject.graph, resource, key, ":Vpc")
    ]


def _check_allow_list(subject: Subject, vpc: Resource, associations: list[Resource]) -> Iterator[Violation]:
    """Reports what the DNS firewall rules of a VPC leave open, in the order in which AWS applies them."""

    def order(resource: Resource) -> float:
        priority = resource.inputs.get("priority")
        return priority if isinstance(priority, int | float) else 0

    rules = [
        rule
        for association in sorted(associations, key=order)
        for group in referenced_resources(
            subject.graph, association, "firewallRuleGroupId", ":ResolverFirewallRuleGroup"
        )
        for rule in sorted(subject.graph.of(_FIREWALL_RULE), key=order)
        if group
        in referenced_resources(subject.graph, rule, "firewallRuleGroupId", ":ResolverFirewallRuleGroup")
    ]
    for rule in rules:
        action, names = rule.inputs.get("action"), _domains_of_rule(subject, rule)
        if is_unknown(action) or names is None:
            yield Violation(
                f"the names that {rule.name} of {vpc.name} covers are not known yet", vpc, "undecided"
            )
            return
        everything = any(not name.rstrip(".").removeprefix("*").removeprefix(".") for name in names)
        if action == "BLOCK":
            if everything:
                return
            continue
        for name in names:
            # `*.com` is open to everybody, like `*`.
            if name.startswith("*") and name.rstrip(".").count(".") < 2:
                yield Violation(
                    f"{rule.name} of {vpc.name} allows resolving {name}, where anyone can register names", vpc
                )
                return
    yield Violation(f"the DNS firewall of {vpc.name} does not end with a BLOCK of all other names", vpc)


def _domains_of_rule(subject: Subject, rule: Resource) -> list[str] | None:
    """The names that a firewall rule covers; None if they are not known."""
    lists = referenced_resources(subject.graph, rule, "firewallDomainListId", ":ResolverFirewallDomainList")
    names = [name for domain_list in lists for name in domain_list.inputs.get("domains") or []]
    if not lists or any(is_unknown(domain_list.inputs.get("domains")) for domain_list in lists):
        return None
    return None if any(is_unknown(name) for name in names) else [str(name) for name in names]


def _check_notebooks(subject: Subject) -> Iterator[Violation]:
    for notebook in subject.graph.of("aws:sagemaker/notebookInstance:NotebookInstance"):
        if notebook.inputs.get("directInternetAccess", "Enabled") != "Disabled":
            yield Violation(
                f"{notebook.name} has internet access, so everything that its role may read can leave",
                notebook,
            )
        if notebook.inputs.get("rootAccess", "Enabled") != "Disabled":
            yield Violation(f"users of {notebook.name} are root in it", notebook)
    for domain in subject.graph.of("aws:sagemaker/domain:Domain"):
        if domain.inputs.get("appNetworkAccessType", "PublicInternetOnly") != "VpcOnly":
            yield Violation(
                f"{domain.name} has internet access, so everything that its role may read can leave", domain
            )


_PRIVATE_CONTROLS = (
    *fw.pci("1.3.1", "1.4.2"),
    *fw.nist("SC-7"),
    *fw.iso_27001("A.8.20"),
    *fw.dora("Art. 9(4)(b)"),
)
RULES = (
    Rule(
        "network/default-deny",
        "Every namespace denies ingress and egress by default",
        "critical",
        (*fw.cis_kubernetes("5.3.2"), *fw.nist("SC-7(5)"), *fw.iso_27001("A.8.22"), *fw.dora("Art. 9(4)(b)")),
        "A pod that no policy selects can talk to everybody",
        "Add a NetworkPolicy with podSelector {} and policyTypes [Ingress, Egress], and nothing else",
        _check_default_deny,
        (_POLICY, "kubernetes:core/v1:Namespace"),
        applies_to=_namespaces,
    ),
    Rule(
        "network/policies-name-peers",
        "Network policies name their peers",
        "critical",
        (*fw.cis_kubernetes("5.3.2"), *fw.nist("SC-7"), *fw.iso_27001("A.8.22"), *fw.dora("Art. 9(4)(b)")),
        "A rule without peers, or for every address, undoes the default deny",
        "Name pods, a namespace or an address range",
        _check_peers_named,
        (_POLICY,),
    ),
    Rule(
        "network/services-inside",
        "Services are reachable only from inside their cluster",
        "high",
        fw.nist("SC-7"),
        "A node port bypasses the class's gateway",
        "Use type ClusterIP, or state the `access` of the class's gateway",
        _check_services_internal,
        ("kubernetes:core/v1:Service",),
    ),
    Rule(
        "network/nothing-public",
        "Nothing has a public address",
        "critical",
        (*_PRIVATE_CONTROLS, *fw.fsbp("EC2.15", "ECS.2")),
        "The whole internet can call a public address",
        "Set internal: true on the load balancer, and disable public addresses in subnets and services",
        _check_no_public_address,
        (*_BALANCERS, "aws:ec2/subnet:Subnet", "aws:ecs/service:Service"),
    ),
    Rule(
        "network/cluster-private",
        "A cluster's API server has a private address only",
        "critical",
        (*fw.fsbp("EKS.1"), *_PRIVATE_CONTROLS),
        "Anyone on the internet could try tokens on it",
        "Set endpointPublicAccess: false and endpointPrivateAccess: true",
        _check_cluster_private,
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
        "Add a BucketPublicAccessBlock with all four settings true",
        _check_buckets_private,
        BUCKETS,
        applies_to=_public_access_blocks,
    ),
    Rule(
        "network/groups-named",
        "Security groups allow ingress only from named networks",
        "critical",
        (*_PRIVATE_CONTROLS, *fw.fsbp("EC2.19")),
        "A group that is open to every address protects nothing",
        "Name the network or the group in the ingress rule",
        _check_ingress_rules,
        (_INGRESS, _RULE, _GROUP),
        applies_to=_security_groups,
    ),
    Rule(
        "network/default-group-shut",
        "The default security group of a network is empty",
        "medium",
        fw.fsbp("EC2.2"),
        "Anything that is started without its own group gets the default group",
        "Add a DefaultSecurityGroup with no rules",
        _check_default_group,
        ("aws:ec2/vpc:Vpc",),
    ),
    Rule(
        "network/endpoints-answer-by-name",
        "Private endpoints answer to their service's public name",
        "medium",
        _PRIVATE_CONTROLS,
        "A caller that uses the public name would bypass the endpoint, or fail",
        "Set privateDnsEnabled: true",
        _check_endpoint_names,
        ("aws:ec2/vpcEndpoint:VpcEndpoint",),
        applies_to=_named_endpoints,
    ),
    Rule(
        "network/dns-firewall",
        "A network resolves only allowed names, and none when its DNS firewall fails",
        "critical",
        (
            *fw.nist("SC-7", "SC-7(5)"),
            *fw.pci("1.3.2"),
            *fw.iso_27001("A.8.20", "A.8.12"),
            *fw.dora("Art. 9(4)(b)"),
        ),
        "Security groups do not see DNS queries, so data can leave in the names of an attacker's zone",
        "Associate a ResolverFirewallRuleGroup with the VPC that allows a list and ends in a BLOCK of `*`, and set"
        " firewallFailOpen: DISABLED in a ResolverFirewallConfig",
        _check_dns_firewall,
        ("aws:ec2/vpc:Vpc",),
        applies_to=managed_networks,
    ),
    Rule(
        "network/notebooks-inside",
        "Notebooks and studios stay in our network, without root",
        "high",
        (*fw.fsbp("SageMaker.1", "SageMaker.3"), *_PRIVATE_CONTROLS),
        "The owner of a notebook can copy out everything that its role may read",
        "Set directInternetAccess and rootAccess to Disabled, and appNetworkAccessType to VpcOnly",
        _check_notebooks,
        ("aws:sagemaker/notebookInstance:NotebookInstance", "aws:sagemaker/domain:Domain"),
    ),
)
