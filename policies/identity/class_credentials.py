"""Checks of `identity/class-permissions` for power without a role: tokens, Secrets, service accounts, labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.resources import Resource, name_and_namespace
from isthmus.graph.workloads.servers import known_class
from policies.inputs.aws_reach import is_of_component
from policies.inputs.class_scope import (
    class_above_public,
    class_of_name,
    has_classified_work,
    is_standard_name,
)
from policies.inputs.neighbours import (
    certificate_namespaces,
    needed_secrets,
    neighbour_namespaces,
    neighbour_reason,
    secrets_of_pod,
)
from policies.inputs.pods import Pod, pods
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules.rule import Subject, Violation

_SECRET, _SECRET_PATCH = "kubernetes:core/v1:Secret", "kubernetes:core/v1:SecretPatch"
_ACCOUNT = "kubernetes:core/v1:ServiceAccount"
_NAMESPACE, _NAMESPACE_PATCH = "kubernetes:core/v1:Namespace", "kubernetes:core/v1:NamespacePatch"
_TOKENS = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token")
"""Types of Secrets that Kubernetes fills with a token, or believes as one."""
_OF_PATCHED = "of-the-patched-object"
"""Account of a patch that states none (`policies.inputs.pods`)."""
_ANNOTATIONS = ("pulumi.com/", "isthmus.dev/", "kubectl.kubernetes.io/last-applied-configuration")
"""Beginnings of annotations that no controller of a network, a scheduler or an injector reads."""
_WRITTEN_OUTSIDE = (
    "Remove it: only who runs the platform writes this Secret, outside the program (docs/stacks.md)"
)
_FIX_OF_NAMESPACE = (
    "Remove the label, or give the namespace a name without a class; an application of a class needs a reviewed"
    " namespace (docs/trust.md)"
)


def credential_objects(subject: Subject) -> Iterator[Resource]:
    """What the checks of this module judge."""
    if has_classified_work(subject):
        yield from (secret for secret, _ in _secrets(subject))
        yield from (pod.resource for pod in _pods_of_neighbours(subject))
        yield from _unlike_own_namespaces(subject)


def check_credentials(subject: Subject) -> Iterator[Violation]:
    if has_classified_work(subject):
        yield from _check_secrets(subject)
        yield from _check_pods(subject)
        yield from _check_namespaces(subject)


# --- Secrets


def _secrets(subject: Subject) -> Iterator[tuple[Resource, str]]:
    """Secrets in the namespaces of classes and neighbours, with the class (empty: a neighbour's)."""
    neighbours = neighbour_namespaces(subject)
    for secret in subject.graph.of(_SECRET, _SECRET_PATCH):
        namespace = name_and_namespace(secret)[1]
        class_ = class_above_public(subject.graph, namespace)
        if class_ or neighbour_reason(subject, namespace, neighbours):
            yield secret, class_


def _check_secrets(subject: Subject) -> Iterator[Violation]:
    needed = needed_secrets(subject)
    for secret, class_ in _secrets(subject):
        name, namespace = name_and_namespace(secret)
        where = (
            f"{namespace}, of class {class_}"
            if class_
            else f"{namespace} (" + (f"{neighbour_reason(subject, namespace)})")
        )
        type_ = secret.inputs.get("type")
        if type_ in _TOKENS:
            yield Violation(
                f"{secret.name} asks for a token in {where}: who reads it acts as the service account or node there",
                secret,
            )
        elif type_ is not None and is_unknown(type_):
            message = (
                f"the type of {secret.name} in {where} is not known before the change; it may hold a token"
            )
            yield Violation(message, secret, "undecided")
        elif class_ and secret.type == _SECRET and (name in needed or is_unknown(name)):
            yield Violation(
                f"{secret.name} overwrites the Secret {name} in {where}, which the platform names: whoever writes it"
                " sets the callers, keys or certificates that the class believes",
                secret,
                "undecided" if is_unknown(name) else "violated",
                fix=_WRITTEN_OUTSIDE,
            )
        elif not class_ and (secret.type == _SECRET_PATCH or _signs(subject, secret)):
            yield Violation(
                f"{secret.name} overwrites the Secret {name} in {where}, which controllers of every class believe",
                secret,
                fix=_WRITTEN_OUTSIDE,
            )


def _signs(subject: Subject, secret: Resource) -> bool:
    """Whether a Secret may be the key of a certificate authority that signs the classes' certificates."""
    name, namespace = name_and_namespace(secret)
    if namespace not in certificate_namespaces(subject):
        return False
    issuer = getattr(getattr(subject.platform, "issuer", None), "name", None)
    keys = {str(key) for part in ("data", "stringData") for key in secret.inputs.get(part) or {}}
    return name == issuer or secret.inputs.get("type") == "kubernetes.io/tls" or "tls.key" in keys


# --- Pods


def _pods_of_neighbours(subject: Subject) -> Iterator[Pod]:
    """Pods beside a control plane, and others outside the classes with an account that the stack does not make."""
    neighbours = neighbour_namespaces(subject)
    accounts = {name_and_namespace(account) for account in subject.graph.of(_ACCOUNT)}
    for pod in pods(subject.graph):
        account = str(pod.spec.get("serviceAccountName") or pod.spec.get("serviceAccount") or "default")
        is_strange = (
            account not in ("default", _OF_PATCHED)
            and (account, pod.namespace) not in accounts
            and not class_above_public(subject.graph, pod.namespace)
        )
        if is_strange or neighbour_reason(subject, pod.namespace, neighbours):
            yield pod


def _check_pods(subject: Subject) -> Iterator[Violation]:
    own_secrets = {name_and_namespace(secret) for secret in subject.graph.of(_SECRET)}
    for pod in _pods_of_neighbours(subject):
        is_patch = pod.resource.type.endswith("Patch")  # it runs as what the patched object states
        default = "${unknown}" if is_patch else "default"
        account = str(pod.spec.get("serviceAccountName") or pod.spec.get("serviceAccount") or default)
        principal = f"system:serviceaccount:{pod.namespace}:{account}"
        if subject.trusts("principals", principal):
            continue
        reason = neighbour_reason(subject, pod.namespace)
        where = f"in {pod.namespace} ({reason})" if reason else f"in {pod.namespace}"
        shown = "a service account that is not known" if is_unknown(principal) else principal
        if not _is_weak_account(subject, account, pod.namespace):
            yield Violation(
                f"pods of {pod.resource.name} {where} run as {shown}, and Isthmus does not know what it may do"
                " to a class",
                pod.resource,
                "undecided",
                entry=None if is_unknown(principal) else ("principals", principal),
            )
        mounted = dict.fromkeys(secrets_of_pod([pod.spec]))
        foreign = [name for name in mounted if (name, pod.namespace) not in own_secrets]
        if foreign and reason:
            yield Violation(
                f"pods of {pod.resource.name} {where} read the Secret {foreign[0]}, which this stack does not create",
                pod.resource,
                "undecided",
                entry=None if is_unknown(principal) else ("principals", principal),
            )


def _is_weak_account(subject: Subject, account: str, namespace: str) -> bool:
    """Whether a service account is the namespace's default, or one that the stack creates without permissions."""
    if account == "default":
        return True
    if (account, namespace) not in {name_and_namespace(made) for made in subject.graph.of(_ACCOUNT)}:
        return False
    names = (account, f"system:serviceaccount:{namespace}:{account}")
    return not any(
        at(entry, "name") in names
        for binding in subject.graph.of(":RoleBinding", ":ClusterRoleBinding", ":RoleBindingPatch")
        for entry in list_or_empty(binding.inputs.get("subjects"))
    )


# --- Labels and annotations of namespaces


def _unlike_own_namespaces(subject: Subject) -> Iterator[Resource]:
    for namespace in subject.graph.of(_NAMESPACE, _NAMESPACE_PATCH):
        if _claims_class(subject, namespace) or _odd_annotations(subject, namespace):
            yield namespace


def _claims_class(subject: Subject, namespace: Resource) -> str:
    """The class above public that a label or a name gives to a namespace beside those of the components; empty if none.

    A class's own name is judged like the class, whoever makes the namespace.
    """
    name = name_and_namespace(namespace)[0]
    labels = at(namespace.inputs, "metadata.labels")
    label = labels.get(CLASS) if isinstance(labels, Mapping) else None
    class_ = known_class(label) if label else class_of_name(name)
    if subject.platform is None or class_ in ("", "public") or is_of_component(namespace):
        return ""
    return "" if is_standard_name(name) and class_ == class_of_name(name) else class_


def _odd_annotations(subject: Subject, namespace: Resource) -> list[str]:
    """Annotations of a class's namespace that Isthmus does not know."""
    name = name_and_namespace(namespace)[0]
    notes = at(namespace.inputs, "metadata.annotations")
    if not notes or not class_above_public(subject.graph, name):
        return []
    if not isinstance(notes, Mapping):
        return ["all annotations"]
    return [str(key) for key in notes if not str(key).startswith(_ANNOTATIONS)]


def _check_namespaces(subject: Subject) -> Iterator[Violation]:
    for namespace in _unlike_own_namespaces(subject):
        name = name_and_namespace(namespace)[0]
        class_ = _claims_class(subject, namespace)
        if class_ and not subject.trusts("namespaces", name):
            yield Violation(
                f"{namespace.name} makes {name} a namespace of class {class_} by its label or name: its pods may then"
                f" call the {class_} gateway and models, and the platform does not name it",
                namespace,
                entry=None if is_unknown(name) else ("namespaces", name),
                fix=_FIX_OF_NAMESPACE,
            )
        odd = _odd_annotations(subject, namespace)
        if odd:
            yield Violation(
                f"{namespace.name} sets {odd[0]} on {name}, which a network or an injector may follow; no rule reads"
                f" what becomes of the data of its pods",
                namespace,
                "undecided",
            )
