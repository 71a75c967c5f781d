"""Namespaces beside the classes whose powers reach them, and what the platform names in and around a class.

Controllers there sign the classes' certificates, read their metrics, run on their nodes or show held answers. Whoever
may change or read Secrets there has power over a class, without a permission in its namespace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from isthmus.contracts.reference import sign_on_proxy
from policies.inputs.class_scope import class_of, classified_namespaces, has_classified_work
from policies.inputs.own_workloads import is_own, pods_in_classes
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules.rule import Subject

_CONTROL_PLANE = "controllers of every class's namespace run there"
_SYSTEM = ("kube-system", "kube-public", "kube-node-lease")
_OPERATORS = {
    "cert-manager": "keys of certificate authorities are there",
    "keda": "its controller scales the classes' models",
    "kueue-system": "its controller admits the classes' pods",
}
_SECRET_KEYS = (
    "callers_secret",
    "cases_secret",
    "certificate_secret",
    "credentials_secret",
    "sealer_secret",
    "secret",
    "signing_secret",
    "store_secret",
)
_HOST_KEYS = ("host", "endpoint", "url", "prometheus_url")


def neighbour_namespaces(subject: Subject) -> dict[str, str]:
    """Namespace → what its powers reach, for namespaces that are no class's own. Empty without classified work."""
    if not has_classified_work(subject):
        return {}
    reasons = {**dict.fromkeys(_SYSTEM, _CONTROL_PLANE), **_OPERATORS, **dict(_stated(subject))}
    return {name: reason for name, reason in reasons.items() if not class_of(subject.graph, name)}


def neighbour_reason(subject: Subject, namespace: str, known: Mapping[str, str] | None = None) -> str:
    """What the powers of a namespace reach; empty if they reach no class."""
    reasons = neighbour_namespaces(subject) if known is None else known
    if not reasons:
        return ""
    return reasons.get(namespace, "") or (_CONTROL_PLANE if namespace.startswith("kube-") else "")


def certificate_namespaces(subject: Subject) -> frozenset[str]:
    """Namespaces with the keys of ClusterIssuers."""
    return frozenset({"cert-manager"} & set(neighbour_namespaces(subject)))


def _stated(subject: Subject) -> Iterator[tuple[str, str]]:
    """Neighbours that the platform names."""
    platform = subject.platform
    if platform is None:
        yield "gpu-operator", "its pods run on the nodes of the classes' models"
        return
    operators = getattr(platform, "operators", None)
    yield (
        str(getattr(operators, "gpu_operator_namespace", "") or "gpu-operator"),
        "its pods run on the nodes of the classes' models",
    )
    monitoring = getattr(platform.monitoring, "namespace", None)
    if monitoring:
        yield str(monitoring), "its pods reach every class's pods"
    for site in _parts(platform, "sites"):
        for key, value in _leaves(at(site, "cluster_dns")):
            if key == "namespace" or value == "openshift":
                name = "openshift-dns" if key == "presets" else value
                yield name, "it answers the names that the classes' pods look up"
    for part in (*_parts(platform, "gateways"), *_parts(platform, "endpoints")):
        for key, value in _leaves(part):
            if key == "control_namespace":
                yield value, "its control plane directs a class's router"
            elif key == "from_namespaces":
                yield value, "its pods may read held answers of a class"


def _parts(platform: Any, key: str) -> list[Any]:
    """Parts of a platform as plain data."""
    value: Any = getattr(platform, key, None) or ()
    return [
        part.model_dump(mode="json", by_alias=True, warnings=False) if hasattr(part, "model_dump") else part
        for part in ([value] if hasattr(value, "model_dump") else value)
    ]


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a value, with the key of the map that it is in."""
    if isinstance(value, Mapping):
        for name, child in value.items():
            yield from _leaves(child, str(name))
    elif isinstance(value, list):
        for child in value:
            yield from _leaves(child, key)
    elif isinstance(value, str) and value:
        yield key, value


def cluster_domains(subject: Subject) -> frozenset[str]:
    """Domains of the clusters' own names, in lower case: Kubernetes' default, and those that the platform states."""
    stated = {
        value.lower().strip(".")
        for site in _parts(subject.platform, "sites")
        for key, value in _leaves(at(site, "cluster_dns"))
        if key == "domain"
    }
    return frozenset({"cluster.local", *stated})


# --- Secrets and hosts that the platform names


def needed_secrets(subject: Subject) -> frozenset[str]:
    """Names of Secrets that hold the classes' callers, keys and certificates.

    The platform names them, or a pod of the class's own mounts them.
    """
    names: set[str] = set()
    if subject.platform is not None:
        for part in (
            *_parts(subject.platform, "gateways"),
            *_parts(subject.platform, "endpoints"),
            *_parts(subject.platform, "audit"),
        ):
            names |= {value for key, value in _leaves(part) if key in _SECRET_KEYS}
    pulled: set[str] = set()
    for pod, class_ in pods_in_classes(subject):
        if is_own(subject, pod, class_):
            names |= set(secrets_of_pod(pod.spec))
            pulled |= {str(at(entry, "name")) for entry in list_or_empty(pod.spec.get("imagePullSecrets"))}
    return frozenset(names - pulled)


def secrets_of_pod(value: Any) -> Iterator[str]:
    """Names of the Secrets that a pod mounts, or gets as variables."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            if key == "secret" and isinstance(child, Mapping):
                yield from (str(child[name]) for name in ("secretName", "name") if child.get(name))
            elif key in ("secretKeyRef", "secretRef", "nodePublishSecretRef") and isinstance(child, Mapping):
                yield str(child.get("name") or "")
            else:
                yield from secrets_of_pod(child)
    elif isinstance(value, list):
        for child in value:
            yield from secrets_of_pod(child)


def stated_hosts(subject: Subject) -> frozenset[str]:
    """Hosts of the databases and stores that the platform names, in lower case."""
    if subject.platform is None:
        return frozenset()
    texts = [
        value
        for key in ("gateways", "audit", "endpoints", "people")
        for part in _parts(subject.platform, key)
        for name, value in _leaves(part)
        if name in _HOST_KEYS
    ]
    hosts = {(urlsplit(text).hostname or "") if "://" in text else text.partition(":")[0] for text in texts}
    return frozenset(host.lower().rstrip(".") for host in hosts if "." in host and not is_unknown(host))


def stated_addresses(subject: Subject) -> frozenset[str]:
    """Addresses of the databases and stores that the platform names."""
    if subject.platform is None:
        return frozenset()
    return frozenset(
        value
        for key in ("gateways", "audit", "endpoints", "people")
        for part in _parts(subject.platform, key)
        for name, value in _leaves(part)
        if name == "address"
    )


def stated_clients(subject: Subject) -> dict[str, str]:
    """Name of a client certificate, in lower case → whom a gateway or review service above public takes for it."""
    clients: dict[str, str] = {}
    for gateway in subject.platform.gateways if subject.platform is not None else []:
        if gateway.class_ == "public":
            continue
        for workload in gateway.workloads:
            clients |= {
                client.lower(): f"a caller of workload {workload.name}" for client in workload.clients
            }
        for reviewer in gateway.reviews.reviewers if gateway.reviews else []:
            clients[reviewer.client.lower()] = f"the reviewer {reviewer.name}"
    return clients


def service_names(subject: Subject) -> frozenset[str]:
    """Short names of the classes' services: gateways, models and their parts."""
    classes = classified_namespaces(subject.graph)
    names = {
        f"{class_}-{part}"
        for class_ in {*classes.values()} - {""}
        for part in ("gateway", "translator", "resolver", "sealer", "reviews", "chat", *sign_on_proxy.ROLES)
    }
    if subject.platform is not None:
        names |= {
            str(endpoint.id)
            for endpoint in subject.platform.endpoints
            if endpoint.class_ != "public" and getattr(endpoint, "id", None)
        }
    return frozenset(names)
