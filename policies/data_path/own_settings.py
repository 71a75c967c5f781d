"""Rule for the settings of gateways, review services, notifiers and loaders: all as the platform states it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from edge.interface_names import STORING
from isthmus.contracts.platform.lookups.desk import DESK_PORT, desk_settings, domain_settings
from isthmus.contracts.platform.lookups.notifier import notifier_settings
from isthmus.contracts.platform.lookups.sign_on import desk_tokens_of, tokens_of
from isthmus.contracts.platform.lookups.usage import loader_settings
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.reference.admission import replicas_name
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
_SECTIONS_WITH_FILES = (
    *("listen", "upstream_tls", "database", "audit", "held", "reviews", "tokens"),
    *("file_store", "desk.listen"),
)


def _settings(subject: Subject) -> Iterator[tuple[Resource, str, Mapping[str, Any], list[Gateway]]]:
    """Settings of gateways, review services, notifiers and loaders above public, with the gateways stated for them."""
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
        if settings.get("mode") in ("gateway", "reviews", "notifier", "loader"):
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
        section = at(settings, part)
        for key, value in section.items() if isinstance(section, Mapping) else ():
            if key not in _FILES or not isinstance(value, str) or value.startswith(_FOLDERS):
                continue
            if key == "password":  # the report must not repeat it
                yield f"has {part}.{key} in plain text or from another place than a Secret of Isthmus"
            else:
                yield f"takes {part}.{key} from {value}, which no volume of Isthmus holds"
    if settings.get("mode") == "notifier":
        yield from _problems_of_notifier(subject.platform, settings, gateways)
        return
    if settings.get("mode") == "loader":
        yield from _problems_of_loader(subject.platform, settings, gateways)
        return
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
        yield from _problems_of_desk(subject.platform, settings, gateways)
        yield from _problems_of_deadlines(settings.get("domains"), gateways)
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
    yield from _problems_of_stored_requests(settings, gateways)
    yield from _problems_of_deadlines(at(settings, "reviews.domains"), gateways)
    yield from _problems_of_cases(at(settings, "reviews.cases"), gateways)
    yield from _problems_of_tokens(subject.platform, settings, gateways)
    if settings.get("traces") and not any(gateway.traces for gateway in gateways):
        yield "sends traces, and the platform states none"


def _problems_of_tokens(
    platform: Platform | None, settings: Mapping[str, Any], gateways: list[Gateway]
) -> Iterator[str]:
    """Whose access tokens a gateway accepts, and for which workloads."""
    if settings.get("tokens") is None or platform is None:
        return
    stated = [expected for gateway in gateways if (expected := tokens_of(platform, gateway)) is not None]
    yield from _other_tokens(settings["tokens"], stated, "users of its workloads")


def _other_tokens(tokens: Any, stated: list[dict[str, Any]], who: str) -> Iterator[str]:
    if not isinstance(tokens, Mapping) or not stated:
        yield f"accepts access tokens of people, and the platform states no {who}"
        return
    if keys := _other_keys(tokens, stated):
        yield f"accepts access tokens with {', '.join(keys)}, which the platform does not state"


def _other_keys(section: Mapping[str, Any], stated: list[dict[str, Any]]) -> list[str]:
    """Keys in which a section differs from each of those that the platform states; empty if it equals one."""
    if section in stated:
        return []
    keys = {
        str(key)
        for key in {*section, *stated[0]}
        if all(section.get(key) != expected.get(key) for expected in stated)
    }
    return sorted(keys) or ["settings"]


def _problems_of_desk(
    platform: Platform | None, settings: Mapping[str, Any], gateways: list[Gateway]
) -> Iterator[str]:
    """Who signs on at the desk of a review service, what they may do there and what they read."""
    desk = settings.get("desk")
    if platform is None or (desk is None and settings.get("tokens") is None):
        return
    stated = [
        (desk_settings(gateway.desk), desk_tokens_of(platform, gateway) or {})
        for gateway in gateways
        if gateway.desk is not None
    ]
    yield from _other_tokens(settings.get("tokens"), [tokens for _, tokens in stated], "review desk")
    if not isinstance(desk, Mapping) or not stated:
        yield "has a review desk, and the platform states none"
        return
    section = {key: value for key, value in desk.items() if key != "listen"}
    if at(desk, "listen.port") != DESK_PORT:
        yield f"serves its review desk at port {at(desk, 'listen.port')}, which no network policy is for"
    if keys := _other_keys(section, [expected for expected, _ in stated]):
        yield f"has a review desk with {', '.join(keys)}, which the platform does not state"


def _problems_of_deadlines(domains: Any, gateways: list[Gateway]) -> Iterator[str]:
    """Until when people decide on answers of a domain, and who is told."""
    configured = {str(at(domain, "name")): domain for domain in list_or_empty(domains)}
    stated = [
        {domain["name"]: domain for domain in domain_settings(gateway.reviews)}
        for gateway in gateways
        if gateway.reviews is not None
    ]
    for name in sorted({*configured, *(name for expected in stated for name in expected)}):
        if all(configured.get(name) != expected.get(name) for expected in stated):
            yield f"has deadlines of domain {name} that the platform does not state"


def _problems_of_cases(cases: Any, gateways: list[Gateway]) -> Iterator[str]:
    """On which basis reviewers read what people send, and until when people may appeal."""
    stated = [gateway.reviews.cases for gateway in gateways if gateway.reviews is not None]
    if stated and cases not in [case.model_dump(mode="json") if case else None for case in stated]:
        yield "has a legal basis, a notice or appeal_days of cases that the platform does not state"


def _problems_of_notifier(
    platform: Platform | None, settings: Mapping[str, Any], gateways: list[Gateway]
) -> Iterator[str]:
    """Whom a notifier tells, by which way, and where its secrets are."""
    for target in list_or_empty(settings.get("targets")):
        name = at(target, "name")
        for key in ("mail.password", "url"):
            value = at(target, key)
            if isinstance(value, str) and not value.startswith(_FOLDERS):
                yield f"has {key} of target {name} in plain text or from another place than a Secret of Isthmus"
        if settings.get("class") == "restricted" and at(target, "service") is not None:
            yield f"sends notifications to {at(target, 'service')} by target {name}"
    stated = [
        expected
        for gateway in gateways
        if platform is not None and (expected := notifier_settings(platform, gateway)) is not None
    ]
    section = {key: value for key, value in settings.items() if key != "health"}
    if not stated:
        yield "tells people of held answers, and the platform states no notifier"
    elif keys := _other_keys(section, stated):
        yield f"is a notifier with {', '.join(keys)}, which the platform does not state"


def _problems_of_loader(
    platform: Platform | None, settings: Mapping[str, Any], gateways: list[Gateway]
) -> Iterator[str]:
    """Which records a loader reads and verifies, where its sums go, and whom they name."""
    stated = [
        expected
        for gateway in gateways
        if platform is not None and (expected := loader_settings(platform, gateway)) is not None
    ]
    section = {key: value for key, value in settings.items() if key != "health"}
    if not stated:
        yield "loads a usage ledger, and the platform states none"
    elif keys := _other_keys(section, stated):
        yield f"is a loader with {', '.join(keys)}, which the platform does not state"


def _problems_of_stored_requests(settings: Mapping[str, Any], gateways: list[Gateway]) -> Iterator[str]:
    """Workloads whose requests and answers it keeps for a day."""
    stated = {
        (workload.name, interface)
        for gateway in gateways
        for workload in gateway.workloads
        for interface in workload.interfaces
    }
    for route in list_or_empty(settings.get("routes")):
        workload = at(route, "workload")
        storing = STORING.intersection(map(str, list_or_empty(at(route, "interfaces"))))
        for interface in sorted(storing):
            if (workload, interface) not in stated:
                yield f"keeps requests and answers of {workload} for {interface}, which the platform does not state"


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
        name, _, domain = str(server).partition(".")
        # A headless Service lists the replicas of a Service; their certificate has the Service's name.
        hosts = (server, f"{replicas_name(name)}.{domain}" if value.get("by_replica") is True else server)
        if isinstance(url, str) and server is not None and urlsplit(url).hostname not in hosts:
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
        "Gateways and review services have the callers, people, deadlines and databases of the platform",
        "critical",
        (*fw.nist("AC-3", "AC-4", "CM-5"), *fw.iso_27001("A.8.3", "A.8.12"), *fw.dora("Art. 9(4)(c)")),
        "Whoever is added to the settings of a gateway after its review reads a class's data with its approval",
        "Remove the change of the settings, and state callers, reviewers and databases in the platform",
        _check,
        (_CONFIG_MAP, _TASK),
        applies_to=_judged,
    ),
)
