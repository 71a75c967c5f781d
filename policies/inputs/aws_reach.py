"""Which AWS resources hold a stack's classified data, and which refer to them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reference.aws_managed_policies import READ_NO_DATA
from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.resources import Graph, Resource
from policies.inputs.class_scope import platform_is_classified
from policies.inputs.declared import tag
from policies.inputs.links import dependencies
from policies.inputs.values import is_unknown
from policies.rules.rule import Subject

_OWN = "isthmus:index:"
"""In the URN of a resource of a component of Isthmus."""
_IDS = re.compile(
    r"\b(?:vpc|subnet|rtb|tgw|sg|vpce|igw|eni|fs|dxcon|cgw)-[0-9a-f]{6,17}\b|\barn:aws[\w-]*:[^\s\"]+"
)
"""Ids and ARNs of AWS in a platform: of networks, links, keys that exist already."""
_SECRETS = re.compile(r"\barn:aws[\w-]*:secretsmanager:[^\s\"]+")
_SECRET_NAME = re.compile(r"^(arn:[^\s]+:secret:)(\S+?)(?:-(?=\w*[A-Z0-9])\w{6})?$")
"""Secrets Manager also takes a secret's name, and its ARN without the six characters that AWS adds."""
_KEYS = re.compile(r"\barn:aws[\w-]*:kms:[^\s\"$]+:key/[^\s\"$]+")
_PATTERNS = re.compile(r"arn:aws[\w-]*:[^\s\"']*[*?][^\s\"']*")
_LITERAL = re.compile(
    r"\b(?:vpc|subnet|rtb|tgw|tgw-attach|sg|vpce|eni|fs|fsap)-[0-9a-f]{6,17}\b|\barn:aws[\w-]*:kms:[^\s\"$]+:key/[^\s\"$]+"
)
"""Ids of networks, shares and keys. A rendering cannot tell whether such an id is one of the stack's own."""
_NAMES = ("bucket", "name", "clusterName")
"""Inputs that name a resource, by which others may refer to it."""
_NAMED_TYPES = (
    *("aws:s3/bucket:Bucket", "aws:cloudwatch/logGroup:LogGroup", "aws:iam/role:Role"),
    *("aws:eks/cluster:Cluster", "aws:ecs/cluster:Cluster", "aws:rds/cluster:Cluster"),
)
_GRANTS = (
    *("aws:iam/rolePolicy:RolePolicy", "aws:iam/rolePolicyAttachment:RolePolicyAttachment"),
    *("aws:iam/policyAttachment:PolicyAttachment", "aws:iam/rolePoliciesExclusive:RolePoliciesExclusive"),
    "aws:iam/rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive",
)
"""Types that give permissions to the role that they name (`role`, `roles`, `roleName`)."""
_ROLE = "aws:iam/role:Role"
_MANAGED = re.compile(
    r"arn:aws[\w-]*:iam::aws:policy/(?:aws-service-role/|service-role/|job-function/)?([\w+=,.@-]+)$"
)
_REACH: WeakKeyDictionary[Graph, tuple[Platform | None, dict[str, str]]] = WeakKeyDictionary()


def classified_reach(subject: Subject) -> dict[str, str]:
    """URN of each AWS resource that holds classified data or refers to one → the name of what it refers to.

    Resources of Isthmus's components hold it, except in networks of public work only. So does what is tagged with a
    class above public. A reference is followed through any number of resources.
    """
    cached = _REACH.get(subject.graph)
    if cached is None or cached[0] is not subject.platform:
        cached = _REACH[subject.graph] = (subject.platform, _find_reach(subject))
    return cached[1]


def is_of_component(resource: Resource) -> bool:
    """Whether a component of Isthmus made a resource. Own code can name its resources like those of a component."""
    return _OWN in resource.urn and getattr(resource, "own", "") != "added"


def is_literal(near: str) -> bool:
    """Whether what a resource refers to is an id that may be of the stack or not."""
    return _LITERAL.fullmatch(near) is not None


def resources_in_reach(subject: Subject) -> Iterator[tuple[Resource, str]]:
    """AWS resources in reach, with the name of the resource that they refer to (their own, if they hold data)."""
    reach = classified_reach(subject)
    for resource in subject.graph.resources:
        if resource.urn in reach:
            yield resource, reach[resource.urn]


def _find_reach(subject: Subject) -> dict[str, str]:
    graph = subject.graph
    aws = [resource for resource in graph.resources if resource.type.startswith("aws:")]
    references = {
        resource.urn: [
            other
            for other in (*graph.referred(resource.inputs), *_depended(graph, resource))
            if other.type.startswith("aws:") and other.urn != resource.urn
        ]
        for resource in aws
    }
    holders = _holders(subject, aws, references)
    reach = {resource.urn: resource.name for resource in holders}
    names = _Names(_tokens(subject.platform, holders), _generated_names(holders), _generated(holders))
    if not (reach or names.tokens):
        return reach
    passes = (names.in_, partial(_cluster_in, subject.platform), _managed_in, _literal_in)
    for name_of in passes:  # what surely refers to classified data comes first
        reach |= {
            resource.urn: named
            for resource in aws
            if resource.urn not in reach and (named := name_of(resource))
        }
        _follow(graph, aws, references, reach)
    return reach


def _depended(graph: Graph, resource: Resource) -> list[Resource]:
    """Resources whose outputs are in the inputs of one that no component makes, even if a text was taken apart."""
    if is_of_component(resource):
        return []
    urns = dependencies(resource)
    return [other for other in graph.resources if other.urn in urns] if urns else []


def _follow(
    graph: Graph, aws: list[Resource], references: Mapping[str, list[Resource]], reach: dict[str, str]
) -> None:
    """Adds what refers to something in reach, and the roles that a policy lets at it, through any number of resources.

    Whatever runs as such a role refers to the role.
    """
    is_changed = True
    while is_changed:
        is_changed = False
        for resource in aws:
            near = "" if resource.urn in reach else _near(references[resource.urn], reach)
            if near:
                reach[resource.urn], is_changed = near, True
            for role in _admitted(graph, resource) if resource.urn in reach else ():
                if role.urn not in reach:
                    reach[role.urn], is_changed = reach[resource.urn], True


def roles_of_grant(graph: Graph, resource: Resource) -> list[Resource]:
    """The roles of the graph to which a resource gives permissions; empty if it gives none."""
    if resource.type not in _GRANTS:
        return []
    inputs = resource.inputs
    named = [inputs.get("role"), inputs.get("roleName"), *(inputs.get("roles") or [])]
    referred = graph.referred([value for value in named if value], _ROLE)
    stated = {value for value in named if isinstance(value, str)}
    return [
        *referred,
        *(role for role in graph.of(_ROLE) if role.inputs.get("name") in stated and role not in referred),
    ]


def is_grant(resource: Resource) -> bool:
    """Whether a resource gives permissions to a role that it names."""
    return resource.type in _GRANTS


def _admitted(graph: Graph, resource: Resource) -> list[Resource]:
    """Roles of own code that get to what a resource reaches: by a policy of it, or because they may assume it."""
    if is_of_component(resource):
        return []
    roles = roles_of_grant(graph, resource)
    if resource.type == _ROLE:
        roles = graph.referred(resource.inputs.get("assumeRolePolicy") or "", _ROLE)
    return [role for role in roles if not is_of_component(role)]


def _near(others: list[Resource], reach: Mapping[str, str]) -> str:
    """The first of these that is in reach: its name, or the literal id by which it may be."""
    for other in others:
        if other.urn in reach:
            return reach[other.urn] if is_literal(reach[other.urn]) else other.name
    return ""


def _cluster_in(platform: Platform | None, resource: Resource) -> str:
    """The platform's own cluster (`eks_name`) that a resource of EKS names; a short name is found here only."""
    if platform is None or not platform_is_classified(platform) or not resource.type.startswith("aws:eks/"):
        return ""
    named = resource.inputs.get("clusterName")
    return named if named in {cluster.eks_name for cluster in platform.clusters if cluster.eks_name} else ""


def is_reaching_literal(resource: Resource) -> bool:
    """Whether a resource's inputs have an id that may be of the stack or not."""
    return bool(_literal_in(resource))


def _literal_in(resource: Resource) -> str:
    """An id in a resource's inputs that may be of the stack; empty if there is none."""
    return next((found[0] for text in _texts(resource.inputs) if (found := _LITERAL.search(text))), "")


def _holders(
    subject: Subject, aws: list[Resource], references: Mapping[str, list[Resource]]
) -> list[Resource]:
    platform = subject.platform
    networks = platform.networks if platform else []
    public_blocks = {network.cidr for network in networks if set(network.classes) == {"public"}}
    public = {
        resource.urn
        for resource in aws
        if resource.type == "aws:ec2/vpc:Vpc" and resource.inputs.get("cidrBlock") in public_blocks
    }
    for _ in range(3):  # subnets of the network, then what is in them, then what belongs to that
        public |= {
            resource.urn for resource in aws if any(other.urn in public for other in references[resource.urn])
        }
    is_classified = platform is None or platform_is_classified(platform)
    return [
        resource
        for resource in aws
        if tag(resource, CLASS) not in ("", "public")
        or (
            is_classified
            and is_of_component(resource)
            and resource.urn not in public
            and tag(resource, CLASS) != "public"
        )
    ]


def _tokens(platform: Platform | None, holders: list[Resource]) -> dict[str, str]:
    """Texts by which others may refer to classified resources → the name to show."""
    tokens: dict[str, str] = {}
    for holder in holders:
        if holder.type in _NAMED_TYPES:
            for key in _NAMES:
                name = holder.inputs.get(key)
                if isinstance(name, str) and len(name) > 5 and not is_unknown(name):
                    tokens[name] = holder.name
    if platform is not None and platform_is_classified(platform):
        for network in platform.networks:
            if set(network.classes) != {"public"}:
                text = json.dumps(network.model_dump(mode="json"))
                tokens |= {id_: id_ for id_ in _IDS.findall(text) if ":role/" not in id_}
        secrets = json.dumps([gateway.model_dump(mode="json") for gateway in platform.gateways])
        for arn in _SECRETS.findall(secrets):
            tokens[arn] = arn
            if stated := _SECRET_NAME.match(arn):
                tokens |= {f"{stated[1]}{stated[2]}": arn, stated[2]: arn}
        names = {cluster.eks_name for cluster in platform.clusters} - {None}
        tokens |= {name: name for name in names if name and len(name) > 5}
        tokens |= {arn: arn for arn in _KEYS.findall(json.dumps(platform.model_dump(mode="json")))}
        text = json.dumps([link.model_dump(mode="json") for link in platform.links])
        tokens |= {id_: id_ for id_ in _IDS.findall(text)}
    return tokens


def _generated_names(holders: list[Resource]) -> re.Pattern[str]:
    """Matches the names in AWS that the engine makes of the names of these resources."""
    names = "|".join(sorted(re.escape(holder.name) for holder in holders))
    return re.compile(rf"(?:^|[^\w-])((?:{names or 'x^'})-[0-9a-f]{{7,8}})(?:$|[^\w-])")


def _generated(holders: list[Resource]) -> dict[str, str]:
    """A name like those that AWS gives to these resources → the name to show. A pattern of own code may match it."""
    return {f"{holder.name}-0000000": holder.name for holder in holders if holder.type in _NAMED_TYPES}


@dataclass(frozen=True)
class _Names:
    """Texts by which own code may name classified resources."""

    tokens: Mapping[str, str]
    """Names, ids and ARNs → the name to show."""
    generated: re.Pattern[str]
    """Matches names that the engine makes."""
    examples: Mapping[str, str]
    """One such name of each kind → the name to show."""

    def in_(self, resource: Resource) -> str:
        """What a resource names by text that is classified, or could be; empty if it names nothing of the kind."""
        for text in _texts(resource.inputs):
            match = self.generated.search(text)
            if match:
                return match[1]
            if text in self.tokens:
                return self.tokens[text]
            for token, name in self.tokens.items():
                if token in text and re.search(rf"(^|[:/\"'\\]){re.escape(token)}([:/\"'\\]|$)", text):
                    return name
            named = self._by_pattern(text) if "*" in text or "?" in text else ""
            if named:
                return named
        return ""

    def _by_pattern(self, text: str) -> str:
        """What an ARN with wildcards in a policy can match, if it states the beginning of a name."""
        for pattern in _PATTERNS.findall(text):
            part = pattern.split(":", 5)[-1]
            kinds = {part, part.partition("/")[0], part.rpartition(":")[2], part.partition(":")[2]}
            for token, name in (*self.tokens.items(), *self.examples.items()):
                own = token.split(":", 6)[-1] if token.startswith("arn:") else token
                if any(
                    len(kind.rstrip("*")) > 2 and "*" in kind and fnmatchcase(own, kind) for kind in kinds
                ):
                    return name
        return ""


def _managed_in(resource: Resource) -> str:
    """A policy of AWS's own that own code gives to a role, and that may read data; empty if there is none."""
    if is_of_component(resource) or not resource.type.startswith("aws:iam/"):
        return ""
    arns = [resource.inputs.get("policyArn"), *(resource.inputs.get("managedPolicyArns") or [])]
    arns += resource.inputs.get("policyArns") or []
    matches = (_MANAGED.match(str(arn)) for arn in arns if arn)
    return next((match[0] for match in matches if match and match[1] not in READ_NO_DATA), "")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in ("tags", "tagsAll"):
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value
