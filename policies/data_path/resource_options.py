"""Rules for options of resources: where their plugin comes from, and which changes the engine does not apply."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.contracts.trust import Kind
from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.data_path.known_kinds import is_trusted_type
from policies.inputs.class_scope import class_above_public, has_classified_work
from policies.inputs.values import list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

PLUGIN_ADDRESS = "pluginDownloadURL"
"""Option of a resource and input of a provider: where its plugin is downloaded."""
_PLUGIN_TYPE = "pulumi:providers:"
_IGNORE = "ignoreChanges"
_GUARDS = (
    *("kubernetes:networking.k8s.io/", "kubernetes:admissionregistration.k8s.io/"),
    *("kubernetes:rbac.authorization.k8s.io/", "kubernetes:core/v1:Namespace"),
    *("kubernetes:cilium.io/", "kubernetes:policy.networking.k8s.io/"),
    *("aws:iam/", "aws:kms/", "aws:s3/bucketPolicy:", "aws:s3/bucketPublicAccessBlock:"),
    *("aws:ec2/vpcEndpoint", "aws:ec2/securityGroup", "aws:vpc/securityGroup", "aws:ec2/route"),
)
"""Beginnings of the types of guards."""
_CLASS_OBJECTS = (
    *("kubernetes:apps/v1:", "kubernetes:core/v1:ConfigMap", "kubernetes:core/v1:Service"),
    "kubernetes:leaderworkerset.x-k8s.io/",
)
"""Beginnings of types whose content is judged in a class's namespace."""
_HARMLESS = ("spec.replicas", "metadata.annotations", "tags", "tagsAll", "lastUpdated", "description")
"""Properties that decide about no data; a guard's labels may be what other guards select by."""


def _resources_with_options(subject: Subject) -> Iterator[Resource]:
    """Resources with one of these options, in a stack with data of a class above public."""
    if not has_classified_work(subject):
        return
    for resource in (*subject.graph.resources, *subject.graph.not_made):
        if _plugin_address(resource) or _ignored(resource):
            yield resource


def _plugin_address(resource: Resource) -> str:
    options = getattr(resource, "options", {})
    is_provider = resource.type.startswith(_PLUGIN_TYPE)
    return str(options.get(PLUGIN_ADDRESS) or (is_provider and resource.inputs.get(PLUGIN_ADDRESS)) or "")


def _ignored(resource: Resource) -> list[str]:
    """Paths whose changes are ignored and that may decide about data."""
    paths = [str(path) for path in list_or_empty(getattr(resource, "options", {}).get(_IGNORE))]
    return [
        path
        for path in paths
        if not any(path == known or path.startswith(f"{known}.") for known in _HARMLESS)
    ]


def _check_options(subject: Subject) -> Iterator[Violation]:
    for plugin in subject.settings.plugins if has_classified_work(subject) else ():
        entry: tuple[Kind, str] = ("resource_types", f"{_PLUGIN_TYPE}{plugin.partition(' ')[0]}")
        if not subject.trusts(*entry):
            yield Violation(
                f"`plugins` of Pulumi.yaml runs {plugin} in place of Pulumi's own plugin: it gets every value of its"
                " resources, and runs with the rights of whoever deploys",
                verdict="undecided",
                entry=entry,
            )
    for resource in _resources_with_options(subject):
        address, ignored = _plugin_address(resource), _ignored(resource)
        if address and not is_trusted_type(subject, resource.type):
            yield Violation(
                f"the plugin of {resource.name} ({resource.type}) is downloaded from {address}: it gets every value of"
                " its resources, and runs with the rights of whoever deploys",
                resource,
                "undecided",
                entry=("resource_types", resource.type),
            )
        if ignored and _is_guard(subject, resource):
            yield Violation(
                f"changes of {', '.join(ignored)} of {resource.name} are ignored: if somebody weakens this guard of"
                " classified work in the cluster or account, no run sets it back",
                resource,
            )


def _is_guard(subject: Subject, resource: Resource) -> bool:
    if resource.type.startswith(_GUARDS):
        return True
    namespace = name_and_namespace(resource)[1]
    in_class = bool(class_above_public(subject.graph, namespace))
    return in_class and resource.type.startswith(_CLASS_OBJECTS)


RULES = (
    Rule(
        "data-path/known-options",
        "Plugins come from Pulumi, and the engine applies each change of a guard",
        "critical",
        (*fw.nist("CM-3", "CM-14", "SR-3"), *fw.iso_27001("A.5.21", "A.8.9"), *fw.dora("Art. 9(4)(e)")),
        "A foreign plugin can send the data elsewhere, and an ignored change leaves a weaker guard in place",
        "Remove the option; about a plugin, the owner of `trust.yaml` decides",
        _check_options,
        applies_to=_resources_with_options,
    ),
)
