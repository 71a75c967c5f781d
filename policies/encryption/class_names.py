"""Rule for the names of a class's services: nobody outside the class gets a certificate or an address for them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.graph.resources.resources import Resource, name_and_namespace
from isthmus.graph.resources.sites import provider_of
from policies.inputs.declared import namespace_sensitivities
from policies.inputs.neighbours import cluster_domains, service_names, stated_addresses, stated_hosts
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
_CSI_DRIVER = "csi.cert-manager.io"
_HEX = re.compile(r"\\([0-9A-Fa-f]{2})")
"""A character of a subject by its hexadecimal number (RFC 4514)."""
_OWN_NAME = re.compile(rf"isthmus-({'|'.join(SENSITIVITIES)})(-sealer|-reviews)?")
_KNOWN_NOTES = ("pulumi.com/", "isthmus.dev/", "app.kubernetes.io/")
"""Beginnings of annotations that copy nothing."""


def normalised(name: str) -> str:
    """A DNS name in lower case without final dot."""
    return name.strip().lower().rstrip(".")


def _class_of(subject: Subject, namespace: str) -> str:
    own = _OWN_NAME.fullmatch(namespace)
    return namespace_sensitivities(subject.graph).get(namespace, "") or (own[1] if own else "")


def _class_namespaces(subject: Subject) -> dict[str, str]:
    """Class by namespace: those of the graph, and those that every platform may have."""
    by_name = {
        f"isthmus-{sensitivity}{suffix}": sensitivity
        for sensitivity in SENSITIVITIES
        for suffix in ("", "-sealer", "-reviews")
    }
    of_graph = {name: value for name, value in namespace_sensitivities(subject.graph).items() if value}
    return {**by_name, **of_graph}


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


def _requests(subject: Subject) -> Iterator[tuple[Resource, str, list[Any]]]:
    """Requests for certificates: resource, its namespace, and the requested names (unknown ones included)."""
    for certificate in subject.graph.of(_CERTIFICATE):
        spec = at(certificate.inputs, "spec")
        names = at(spec, "dnsNames")
        literal = _HEX.sub(lambda match: chr(int(match[1], 16)), str(at(spec, "literalSubject") or ""))
        subject_name = re.findall(r"=\s*([^,+]+)", literal)
        common = at(spec, "commonName")
        listed = [names] if is_unknown(names) else list_or_empty(names)
        yield (
            certificate,
            name_and_namespace(certificate)[1],
            [*listed, *([common] if common else []), *subject_name],
        )
    for route in subject.graph.of(*_ROUTES):
        notes = at(route.inputs, "metadata.annotations")
        if not isinstance(notes, Mapping) or not any(key in notes for key in _ISSUER_ANNOTATIONS):
            continue
        spec = at(route.inputs, "spec")
        hosts = [
            host for entry in list_or_empty(at(spec, "tls")) for host in list_or_empty(at(entry, "hosts"))
        ]
        hosts += [
            at(listener, "hostname")
            for listener in list_or_empty(at(spec, "listeners"))
            if at(listener, "hostname")
        ]
        common = notes.get("cert-manager.io/common-name")
        alternatives = str(notes.get("cert-manager.io/alt-names") or "").split(",")
        yield route, name_and_namespace(route)[1], [*hosts, *([common] if common else []), *alternatives]
    for pod in pods(subject.graph):
        for volume in list_or_empty(pod.spec.get("volumes")):
            if at(volume, "csi.driver") == _CSI_DRIVER:
                attributes = at(volume, "csi.volumeAttributes")
                attributes = attributes if isinstance(attributes, Mapping) else {}
                names = [
                    _filled(name, pod)
                    for key in ("dns-names", "common-name", "uri-sans", "ip-sans")
                    for name in str(attributes.get(f"{_CSI_DRIVER}/{key}") or "").split(",")
                ]
                # A URI counts by the names in it.
                names += [part for name in names if "://" in name for part in re.split(r"[/:]+", name)]
                yield pod.resource, pod.namespace, names


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
    for resource, namespace, names in _requests(subject):
        own = _class_of(subject, namespace)
        for name in names:
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
        yield from _check_copies(subject)
        yield from _check_shared_secrets(subject)
        for request in subject.graph.of(*_OPAQUE_REQUESTS):
            yield Violation(
                f"{request.name} is a signing request whose names no rule reads: it could ask for a name of a class",
                request,
                "undecided",
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
    for certificate in subject.graph.of(_CERTIFICATE):
        namespace, spec = name_and_namespace(certificate)[1], at(certificate.inputs, "spec")
        own = _class_of(subject, namespace)
        is_of_classes = str(at(spec, "issuerRef.name")) in issuers
        for key in ("uris", "ipAddresses", "emailAddresses", "otherNames"):
            values = at(spec, key)
            for value in [values] if is_unknown(values) else list_or_empty(values):
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
                        f"{certificate.name} in {namespace} asks for a certificate of {value}, an identity of {whose}:"
                        " who holds it can pose as it",
                        certificate,
                    )
                elif not own and is_of_classes and f"/ns/{namespace}/" not in text:
                    yield Violation(
                        f"{certificate.name} in {namespace} asks the classes' issuer for {key} {value}, and Isthmus"
                        " does not know whom a class believes by it",
                        certificate,
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
    for certificate in subject.graph.of(_CERTIFICATE):
        issuer = str(at(certificate.inputs, "spec.issuerRef.name"))
        usages = {str(usage).lower() for usage in list_or_empty(at(certificate.inputs, "spec.usages"))}
        if (at(certificate.inputs, "spec.isCA") or usages & {*_SIGNS}) and issuer in issuers:
            yield Violation(
                f"{certificate.name} is an authority under the issuer {issuer} of the classes' certificates: who holds"
                " it can sign a name of every class",
                certificate,
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
    yield from (resource for resource, _, _ in _requests(subject))
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
