"""Rule for the names of a class's services: nobody outside the class gets a certificate or an address for them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.contracts.reference.admission import class_by_namespace
from isthmus.graph.resources.resources import Resource, name_and_namespace
from isthmus.graph.resources.sites import provider_of
from policies.inputs.declared import namespace_sensitivities
from policies.inputs.neighbours import (
    cluster_domains,
    service_names,
    stated_addresses,
    stated_clients,
    stated_hosts,
)
from policies.inputs.pods import Pod, pods
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_CERTIFICATE = "cert-manager.io/v1:Certificate"
_OPAQUE_REQUESTS = (
    "cert-manager.io/v1:CertificateRequest",
    "certificates.k8s.io/v1:CertificateSigningRequest",
)
"""Types whose names stand inside a signed request, which no rule reads."""
_ROUTES = ("networking.k8s.io/v1:Ingress", "gateway.networking.k8s.io/v1:Gateway")
"""Types for which cert-manager creates a Certificate if an annotation names an issuer."""
_ISSUER_ANNOTATIONS = ("cert-manager.io/issuer", "cert-manager.io/cluster-issuer", "kubernetes.io/tls-acme")
_SIGNS = ("cert sign", "crl sign")
"""Usages of an authority."""
_GROUP, _CSI_DRIVER = "cert-manager.io", "csi.cert-manager.io"
_OTHER_FIELDS = ("uris", "ipAddresses", "emailAddresses", "otherNames")
"""Fields of a Certificate with identities that are no DNS names."""
_NAME_KEYS = ("dns-names", "alt-names", "common-name")
_OTHER_KEYS = {"uri-sans": "uris", "ip-sans": "ipAddresses", "email-sans": "emailAddresses"}
_USAGE_KEYS = ("key-usages", "usages")
"""Ends of the annotations of a route, and of the driver's attributes, by what they state."""
_HEX = re.compile(r"\\([0-9A-Fa-f]{2})")
"""A character of a subject by its hexadecimal number (RFC 4514)."""
_KNOWN_NOTES = ("pulumi.com/", "isthmus.dev/", "app.kubernetes.io/")
"""Beginnings of annotations that copy nothing."""


def normalised(name: str) -> str:
    """A DNS name in lower case without final dot."""
    return name.strip().lower().rstrip(".")


def _class_of(subject: Subject, namespace: str) -> str:
    return _class_namespaces(subject).get(namespace, "")


def _class_namespaces(subject: Subject) -> dict[str, str]:
    """Class by namespace: those of the graph, and those that every platform may have."""
    of_graph = {name: value for name, value in namespace_sensitivities(subject.graph).items() if value}
    return {**class_by_namespace(), **of_graph}


def _covered(name: str, namespaces: Mapping[str, str], domains: frozenset[str]) -> list[tuple[str, str]]:
    """The namespaces, with class, whose Services or pods a name or wildcard covers.

    Such a name is `[POD.]SERVICE.NAMESPACE[.svc[.DOMAIN]]`, or with `pod` in place of `svc`.
    """
    labels = normalised(name).split(".")
    tails = [[]] + [
        [kind, *domain]
        for kind in ("svc", "pod")
        for domain in ([], *(d.split(".") for d in sorted(domains)))
    ]
    return [
        (namespace, sensitivity)
        for namespace, sensitivity in sorted(namespaces.items())
        for tail in tails
        if len(labels) > 1 + len(tail)
        and (len(labels) == 2 + len(tail) or "*" not in labels[0])
        and all(
            fnmatch.fnmatchcase(label, pattern)
            for label, pattern in zip([namespace, *tail], labels[-1 - len(tail) :], strict=True)
        )
    ]


def _covers(pattern: str, host: str) -> bool:
    """Whether a name of a certificate is a host, or a wildcard for it."""
    labels, parts = normalised(pattern).split("."), host.split(".")
    return len(labels) == len(parts) and all(
        fnmatch.fnmatchcase(part, label) for part, label in zip(parts, labels, strict=True)
    )


@dataclass(frozen=True)
class Request:
    """What a resource asks a certificate authority for, by a Certificate or in another way."""

    resource: Resource
    namespace: str
    names: Sequence[Any]
    """DNS names and common names, unknown ones included."""
    others: Sequence[tuple[str, Any]]
    """Addresses, URIs and other identities, each with its field."""
    issuer: str
    is_authority: bool


def requests(subject: Subject) -> Iterator[Request]:
    """Every request for a certificate: Certificates, annotated routes, and volumes of cert-manager's driver."""
    yield from map(_request_of_certificate, subject.graph.of(_CERTIFICATE))
    for route in subject.graph.of(*_ROUTES):
        notes = at(route.inputs, "metadata.annotations")
        if isinstance(notes, Mapping) and any(key in notes for key in _ISSUER_ANNOTATIONS):
            yield _request_of_route(route, notes)
    for pod in pods(subject.graph):
        for volume in list_or_empty(pod.spec.get("volumes")):
            if at(volume, "csi.driver") == _CSI_DRIVER:
                attributes = at(volume, "csi.volumeAttributes")
                yield _request_of_volume(pod, attributes if isinstance(attributes, Mapping) else {})


def _request_of_certificate(certificate: Resource) -> Request:
    spec = at(certificate.inputs, "spec")
    literal = _HEX.sub(lambda match: chr(int(match[1], 16)), str(at(spec, "literalSubject") or ""))
    common = at(spec, "commonName")
    usages = {str(usage).lower() for usage in list_or_empty(at(spec, "usages"))}
    return Request(
        certificate,
        name_and_namespace(certificate)[1],
        [
            *_listed(at(spec, "dnsNames")),
            *([common] if common else []),
            *re.findall(r"=\s*([^,+]+)", literal),
        ],
        [(key, value) for key in _OTHER_FIELDS for value in _listed(at(spec, key))],
        str(at(spec, "issuerRef.name")),
        bool(at(spec, "isCA")) or bool(usages & {*_SIGNS}),
    )


def _request_of_route(route: Resource, notes: Mapping[str, Any]) -> Request:
    spec = at(route.inputs, "spec")
    hosts = [host for entry in list_or_empty(at(spec, "tls")) for host in list_or_empty(at(entry, "hosts"))]
    listeners = [at(listener, "hostname") for listener in list_or_empty(at(spec, "listeners"))]
    issuers = [str(notes[key]) for key in _ISSUER_ANNOTATIONS if notes.get(key)]
    return _request_of_texts(
        route,
        name_and_namespace(route)[1],
        {key.removeprefix(f"{_GROUP}/"): notes[key] for key in notes if str(key).startswith(f"{_GROUP}/")},
        [*hosts, *filter(None, listeners)],
        issuers[0] if issuers else "",
    )


def _request_of_volume(pod: Pod, attributes: Mapping[str, Any]) -> Request:
    texts = {
        str(key).removeprefix(f"{_CSI_DRIVER}/"): _filled(str(value), pod)
        for key, value in attributes.items()
    }
    return _request_of_texts(pod.resource, pod.namespace, texts, [], str(texts.get("issuer-name", "")))


def _request_of_texts(
    resource: Resource, namespace: str, texts: Mapping[str, Any], names: Sequence[Any], issuer: str
) -> Request:
    """A request that stands in annotations or attributes: lists with commas."""
    usages = {usage.lower() for key in _USAGE_KEYS for usage in _parts(texts.get(key))}
    return Request(
        resource,
        namespace,
        [*names, *(name for key in _NAME_KEYS for name in _parts(texts.get(key)))],
        [(field, value) for key, field in _OTHER_KEYS.items() for value in _parts(texts.get(key))],
        issuer,
        str(texts.get("is-ca", "")).lower() in ("true", "1") or bool(usages & {*_SIGNS}),
    )


def _listed(values: Any) -> list[Any]:
    """A list; one unknown entry if it is not known."""
    return [values] if is_unknown(values) else list_or_empty(values)


def _parts(text: Any) -> list[str]:
    return [part.strip() for part in str(text or "").split(",") if part.strip()]


def _filled(name: str, pod: Pod) -> str:
    """A name with the pod's variables filled in, as the driver does it."""
    own = {
        "POD_NAMESPACE": pod.namespace,
        "SERVICE_ACCOUNT_NAME": str(pod.spec.get("serviceAccountName") or ""),
    }
    return re.sub(r"\$\{(\w+)\}", lambda match: own.get(match[1], "pod"), name)


def _check_certificates(subject: Subject) -> Iterator[Violation]:
    namespaces, domains = _class_namespaces(subject), cluster_domains(subject)
    in_scope = any(namespace_sensitivities(subject.graph).values())
    hosts, services = stated_hosts(subject), service_names(subject)
    for request in requests(subject):
        resource, namespace = request.resource, request.namespace
        own = _class_of(subject, namespace)
        for name in request.names:
            if is_unknown(name):
                if in_scope and not own:
                    message = f"the names of the certificate {resource.name} are not known before the change"
                    yield Violation(message, resource, "undecided")
                continue
            if not own and in_scope and (reason := _other_reason(str(name), hosts, services)):
                yield Violation(
                    f"{resource.name} in {namespace} asks for a certificate of {name}, {reason}: who holds it can pose"
                    " as that server and read what is sent to it",
                    resource,
                )
                continue
            others = [pair for pair in _covered(str(name), namespaces, domains) if pair[1] != own]
            if others:
                yield Violation(
                    f"{resource.name} in {namespace} asks for a certificate of {name}, a name of {others[0][0]}: who"
                    f" holds it can pose as a server of class {others[0][1]} and read what is sent to it",
                    resource,
                )
    if in_scope:
        yield from _check_authorities(subject)
        yield from _check_other_identities(subject)
        yield from _check_clients(subject)
        yield from _check_copies(subject)
        yield from _check_shared_secrets(subject)
        for request in subject.graph.of(*_OPAQUE_REQUESTS):
            yield Violation(
                f"{request.name} is a signing request whose names no rule reads: it could ask for a name of a class",
                request,
                "undecided",
            )


def _check_clients(subject: Subject) -> Iterator[Violation]:
    """Reports certificates of a caller's or reviewer's name that another namespace than the caller's own asks for."""
    clients, domains = stated_clients(subject), cluster_domains(subject)
    for request in requests(subject):
        name = f"{request.namespace}/{name_and_namespace(request.resource)[0]}"
        if _class_of(subject, request.namespace) or subject.trusts("objects", name):
            continue
        requested = [str(value) for value in (*request.names, *(value for _, value in request.others))]
        for client, what in sorted(clients.items()):
            is_asked = any(normalised(value) == client or _covers(value, client) for value in requested)
            is_own = bool(_covered(client, {request.namespace: "own"}, domains)) or (
                f"/ns/{request.namespace}/" in client
            )
            if is_asked and not is_own:
                yield Violation(
                    f"{request.resource.name} in {request.namespace} asks for a certificate of {client}, the name of"
                    f" {what}: who holds it gets the class's answers in that name",
                    request.resource,
                    "undecided",
                    entry=("objects", name),
                    fix="Ask for it in the namespace of that name, or have who answers for the class's data add it to"
                    " trust.yaml (objects)",
                )


def _other_reason(name: str, hosts: frozenset[str], services: frozenset[str]) -> str:
    """Why a name belongs to a class although no namespace is in it; empty if it does not."""
    if normalised(name) in services:
        return "the short name of a class's service"
    if any(_covers(name, host) for host in hosts):
        return "a database, store or gateway that the platform names"
    return ""


def _class_issuers(subject: Subject) -> set[str]:
    """Names of the issuers of the classes' certificates."""
    stated = getattr(getattr(subject.platform, "issuer", None), "name", None)
    return {str(stated)} - {"None"} | {
        str(at(certificate.inputs, "spec.issuerRef.name"))
        for certificate in subject.graph.of(_CERTIFICATE)
        if _class_of(subject, name_and_namespace(certificate)[1])
    }


def _check_other_identities(subject: Subject) -> Iterator[Violation]:
    """Reports URIs, addresses and other names in certificates outside the classes."""
    namespaces, issuers = _class_namespaces(subject), _class_issuers(subject)
    domains = cluster_domains(subject)
    addresses = stated_addresses(subject) | _service_addresses(subject)
    for request in requests(subject):
        namespace, resource = request.namespace, request.resource
        own = _class_of(subject, namespace)
        for key, value in request.others:
            text = normalised(str(value))
            parts = re.split(r"[/:]+", text)
            others = [
                class_
                for name, class_ in namespaces.items()
                if class_ != own
                and (name in parts or any(_covered(part, {name: class_}, domains) for part in parts))
            ]
            if others or (not own and text in addresses):
                whose = f"class {others[0]}" if others else "a class's service, database or store"
                yield Violation(
                    f"{resource.name} in {namespace} asks for a certificate of {value}, an identity of {whose}:"
                    " who holds it can pose as it",
                    resource,
                )
            elif not own and request.issuer in issuers and f"/ns/{namespace}/" not in text:
                yield Violation(
                    f"{resource.name} in {namespace} asks the classes' issuer for {key} {value}, and Isthmus"
                    " does not know whom a class believes by it",
                    resource,
                    "undecided",
                )


def _service_addresses(subject: Subject) -> frozenset[str]:
    """Addresses of the classes' services, as the stack states them."""
    addresses: set[str] = set()
    for service in subject.graph.of("kubernetes:core/v1:Service"):
        if _class_of(subject, name_and_namespace(service)[1]):
            addresses.add(str(at(service.inputs, "spec.clusterIP")))
    for pod in _class_pods(subject):
        addresses |= {str(at(alias, "ip")) for alias in list_or_empty(pod.spec.get("hostAliases"))}
    return frozenset(addresses - {"None", ""})


def _check_shared_secrets(subject: Subject) -> Iterator[Violation]:
    """Reports a second certificate of a class's namespace that writes the Secret of another one."""
    seen: dict[tuple[str, str, str], str] = {}
    for certificate in subject.graph.of(_CERTIFICATE):
        name, namespace = name_and_namespace(certificate)
        secret = at(certificate.inputs, "spec.secretName")
        if not secret or is_unknown(secret) or _class_of(subject, namespace) in ("", "public"):
            continue
        key = (provider_of(certificate), namespace, str(secret))
        if seen.setdefault(key, name) != name:
            yield Violation(
                f"{certificate.name} writes the Secret {secret} in {namespace}, of the certificate {seen[key]}:"
                " servers of the class would show another certificate",
                certificate,
            )


def _check_copies(subject: Subject) -> Iterator[Violation]:
    """Reports certificates of a class whose Secret a controller may copy elsewhere."""
    for certificate in subject.graph.of(_CERTIFICATE):
        namespace = name_and_namespace(certificate)[1]
        class_ = _class_of(subject, namespace)
        notes = at(certificate.inputs, "spec.secretTemplate.annotations")
        if not class_ or class_ == "public" or not notes:
            continue
        keys = list(notes) if isinstance(notes, Mapping) else [str(notes)]
        unknown = [key for key in keys if not str(key).startswith(_KNOWN_NOTES)]
        if unknown:
            yield Violation(
                f"{certificate.name} sets {unknown[0]} on the Secret of its key in {namespace}: a controller that"
                f" follows it copies the key of class {class_} elsewhere",
                certificate,
            )


def _check_authorities(subject: Subject) -> Iterator[Violation]:
    """Reports certificate authorities under an issuer of a class: their holder can sign every name."""
    issuers = _class_issuers(subject)
    for request in requests(subject):
        if request.is_authority and request.issuer in issuers:
            yield Violation(
                f"{request.resource.name} is an authority under the issuer {request.issuer} of the classes'"
                " certificates: who holds it can sign a name of every class",
                request.resource,
            )


def _class_pods(subject: Subject) -> Iterator[Pod]:
    for pod in pods(subject.graph):
        if _class_of(subject, pod.namespace) and pod.spec.get("hostAliases"):
            yield pod


def _check_aliases(subject: Subject) -> Iterator[Violation]:
    namespaces, domains = _class_namespaces(subject), cluster_domains(subject)
    for pod in _class_pods(subject):
        addresses: dict[str, set[str]] = {}
        for alias in list_or_empty(pod.spec.get("hostAliases")):
            for name in list_or_empty(at(alias, "hostnames")):
                host = normalised(str(name))
                for domain in sorted(domains):
                    host = host.removesuffix(f".{domain}")
                addresses.setdefault(host, set()).add(str(at(alias, "ip")))
        for host, ips in sorted(addresses.items()):
            if len(ips) > 1 and _covered(host, namespaces, domains):
                yield Violation(
                    f"pods of {pod.resource.name} know {host} by {len(ips)} addresses ({', '.join(sorted(ips))}): what"
                    " they send to it may go to another server",
                    pod.resource,
                )


def _check(subject: Subject) -> Iterator[Violation]:
    yield from _check_certificates(subject)
    yield from _check_aliases(subject)


def _objects(subject: Subject) -> Iterator[Resource]:
    yield from (request.resource for request in requests(subject))
    yield from (pod.resource for pod in _class_pods(subject))
    if any(namespace_sensitivities(subject.graph).values()):
        yield from subject.graph.of(*_OPAQUE_REQUESTS)


RULES = (
    Rule(
        "encryption/class-names-stay",
        "Only a class itself has certificates and addresses for the names of its services",
        "critical",
        (*fw.nist("SC-8", "SC-12", "IA-3"), *fw.iso_27001("A.8.24")),
        "A server with another class's certificate gets its prompts, and its callers cannot tell",
        "Request names of the own namespace only, and give each host one address",
        _check,
        applies_to=_objects,
    ),
)
