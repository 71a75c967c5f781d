"""Rule for the settings of gateways and review services: callers, reviewers, databases as the platform states them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from isthmus.contracts.platform.lookups.sign_on import tokens_of
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.inputs.aws_reach import is_of_component
from policies.inputs.class_scope import class_above_public
from policies.inputs.declared import tag
from policies.inputs.documents import gateway_configurations
from policies.inputs.values import at, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
_TASK = "aws:ecs/taskDefinition:TaskDefinition"
_FOLDERS = ("/etc/isthmus/", "/var/lib/isthmus/")
_FILES = (
    *("certificate", "key", "client_ca", "ca", "password", "salt_key", "records", "seals", "seal_key"),
    *("site_key", "wrapping_key", "keys", "jwks_file"),
)
"""Keys of settings whose value is a file or a folder of a volume."""
_SECTIONS_WITH_FILES = ("listen", "upstream_tls", "database", "audit", "held", "reviews", "tokens")


def _settings(subject: Subject) -> Iterator[tuple[Resource, str, Mapping[str, Any], list[Gateway]]]:
    """Settings of gateways and review services above public, with the gateways that the platform states for them."""
    if subject.platform is None:
        return
    for resource, _, settings in gateway_configurations(subject.graph):
        if settings is None:
            continue  # settings that cannot be read are reported by the rules for redaction
        if resource.type == _CONFIG_MAP:
            class_ = class_above_public(subject.graph, name_and_namespace(resource)[1])
        else:
            class_ = tag(resource, CLASS) if is_of_component(resource) else ""
        if class_ in ("", "public"):
            continue
        if settings.get("mode") in ("gateway", "reviews"):
            gateways = [
                gateway
                for gateway in subject.platform.gateways
                if gateway.class_ == class_ and gateway.site == settings.get("site")
            ]
            yield resource, class_, settings, gateways


def _check(subject: Subject) -> Iterator[Violation]:
    for resource, class_, settings, gateways in _settings(subject):
        for problem in _problems(subject, settings, gateways, in_cluster=resource.type == _CONFIG_MAP):
            yield Violation(f"{resource.name} {problem}, for {class_} data", resource)


def _problems(
    subject: Subject, settings: Mapping[str, Any], gateways: list[Gateway], *, in_cluster: bool
) -> Iterator[str]:
    for part in _SECTIONS_WITH_FILES if in_cluster else ():
        section = settings.get(part)
        for key, value in section.items() if isinstance(section, Mapping) else ():
            if key in _FILES and isinstance(value, str) and not value.startswith(_FOLDERS):
                yield f"takes {part}.{key} from {value}, which no volume of Isthmus holds"
    if not gateways:
        return
    is_reviews = settings.get("mode") == "reviews"
    yield from _problems_of_database(settings, gateways, is_reviews=is_reviews)
    if in_cluster:  # a task calls a balancer by AWS's name, and believes a certificate of the gateway
        yield from _problems_of_servers(settings)
    if is_reviews:
        allowed = {
            (reviewer.name, reviewer.client, reviewer.senior)
            for gateway in gateways
            if gateway.reviews
            for reviewer in gateway.reviews.reviewers
        }
        for reviewer in list_or_empty(settings.get("reviewers")):
            if (at(reviewer, "name"), at(reviewer, "client"), bool(at(reviewer, "senior"))) not in allowed:
                yield f"lets {at(reviewer, 'name')} review held answers, whom the platform does not state like that"
        return
    clients = {
        workload.name: set(map(str, workload.clients))
        for gateway in gateways
        for workload in gateway.workloads
    }
    for workload in list_or_empty(settings.get("workloads")):
        name = at(workload, "name")
        for client in sorted(
            set(map(str, list_or_empty(at(workload, "clients")))) - clients.get(name, set())
        ):
            yield f"lets {client} call {name}, which the platform does not state"
    proxies = {str(gateway.proxy) for gateway in gateways if gateway.proxy}
    for route in list_or_empty(settings.get("routes")):
        proxy = at(route, "proxy")
        if proxy is not None and not proxies:
            yield f"sends requests of {at(route, 'workload')} through {proxy}, and the platform states no proxy"
    yield from _problems_of_tokens(subject.platform, settings, gateways)
    if settings.get("traces") and not any(gateway.traces for gateway in gateways):
        yield "sends traces, and the platform states none"


def _problems_of_tokens(
    platform: Platform | None, settings: Mapping[str, Any], gateways: list[Gateway]
) -> Iterator[str]:
    """Whose access tokens it accepts, and for which workloads."""
    tokens = settings.get("tokens")
    if tokens is None or platform is None:
        return
    stated = [expected for gateway in gateways if (expected := tokens_of(platform, gateway)) is not None]
    if not isinstance(tokens, Mapping) or not stated:
        yield "accepts access tokens of people, and the platform states no users of its workloads"
        return
    if tokens not in stated:
        keys = sorted(
            str(key)
            for key in {*tokens, *stated[0]}
            if all(tokens.get(key) != expected.get(key) for expected in stated)
        )
        yield f"accepts access tokens with {', '.join(keys) or 'settings'}, which the platform does not state"


def _problems_of_database(
    settings: Mapping[str, Any], gateways: list[Gateway], *, is_reviews: bool
) -> Iterator[str]:
    database = settings.get("database")
    if database is None:
        return
    stated = [
        {
            "host": gateway.database.host,
            "port": gateway.database.port,
            "name": gateway.database.name,
            "user": gateway.reviews.user if is_reviews and gateway.reviews else gateway.database.user,
        }
        for gateway in gateways
        if gateway.database
    ]
    used = {key: at(database, key) for key in ("host", "port", "name", "user")}
    if used in stated:
        return
    others = [key for key, value in used.items() if all(value != entry[key] for entry in stated)]
    shown = ", ".join(f"{key} {used[key]}" for key in others or used)
    yield f"keeps callers, use and held answers in a database with {shown}, which the platform does not state"


def _problems_of_servers(value: Any) -> Iterator[str]:
    """Servers whose certificate may bear another name than the host that is called."""
    if isinstance(value, Mapping):
        url, server = value.get("url"), value.get("server_name")
        if isinstance(url, str) and server is not None and urlsplit(url).hostname != server:
            yield f"calls {url} and believes a certificate of {server}"
        for child in value.values():
            yield from _problems_of_servers(child)
    elif isinstance(value, list):
        for child in value:
            yield from _problems_of_servers(child)


def _judged(subject: Subject) -> Iterator[Resource]:
    return (resource for resource, _, _, _ in _settings(subject))


RULES = (
    Rule(
        "data-path/own-settings",
        "Gateways and review services have the callers, people, reviewers and databases of the platform",
        "critical",
        (*fw.nist("AC-3", "AC-4", "CM-5"), *fw.iso_27001("A.8.3", "A.8.12"), *fw.dora("Art. 9(4)(c)")),
        "Whoever is added to the settings of a gateway after its review reads a class's data with its approval",
        "Remove the change of the settings, and state callers, reviewers and databases in the platform",
        _check,
        (_CONFIG_MAP, _TASK),
        applies_to=_judged,
    ),
)
