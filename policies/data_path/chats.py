"""Rule for chats: what they and their sign-on run, whom they reach and who reaches them, as the platform states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from isthmus.contracts.platform.lookups.chat import history_days_of
from isthmus.contracts.platform.lookups.sign_on import chat_tokens_of, client_of, tokens_of
from isthmus.contracts.platform.model.chat import GatewayChat
from isthmus.contracts.platform.model.platform import Gateway
from isthmus.contracts.reference.admission import chat_namespace, class_namespace, sign_on_namespace
from isthmus.contracts.reference.open_webui import OpenWebUi, database_variables, other_chat
from isthmus.contracts.reference.sign_on_proxy import serving_arguments, sign_on_arguments
from isthmus.graph.network.reachability import POLICY
from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.inputs.declared import namespace_sensitivities
from policies.inputs.documents import gateway_configurations
from policies.inputs.isolation import (
    IN_NAMESPACE,
    StatedPeers,
    intruders,
    namespaces_of,
    pods_with_role,
    problems_of_sign_on,
    unstated_peers,
)
from policies.inputs.pods import POD_KINDS, Pod, pods
from policies.inputs.values import at, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_CONFIG = "kubernetes:core/v1:ConfigMap"
_ROLES = ("chat", "sign-on")
_PORT, _HEALTH_PORT = 8443, 9090


def _stated(subject: Subject, sensitivity: str) -> list[tuple[Gateway, GatewayChat]]:
    platform = subject.platform
    return [
        (gateway, gateway.chat)
        for gateway in (platform.gateways if platform else [])
        if gateway.class_ == sensitivity and gateway.chat is not None
    ]


def _check(subject: Subject) -> Iterator[Violation]:
    yield from intruders(subject, "chat", "the chat", "its")
    yield from intruders(subject, "sign-on", "the chat's sign-on", "its")
    for resource, _, config in gateway_configurations(subject.graph):
        if isinstance(config, Mapping) and config.get("mode") == "chat":
            yield from _check_config(subject, resource, config)
    if subject.platform is None:
        return
    sensitivities = namespace_sensitivities(subject.graph)
    for role in _ROLES:
        for pod in pods_with_role(subject, role):
            stated = _stated(subject, sensitivities.get(pod.namespace, ""))
            for problem in _problems_of_pod(subject, pod, stated) if stated else ():
                yield Violation(f"{pod.resource.name} {problem}", pod.resource)
    for policy in subject.graph.of(POLICY):
        namespace = name_and_namespace(policy)[1]
        sensitivity = sensitivities.get(namespace, "")
        stated = _stated(subject, sensitivity)
        if stated and namespace in (chat_namespace(sensitivity), sign_on_namespace(sensitivity)):
            yield from _check_policy(subject, policy, namespace, sensitivity, stated)


# --- What the pods run


def _problems_of_pod(subject: Subject, pod: Pod, stated: list[tuple[Gateway, GatewayChat]]) -> Iterator[str]:
    for container in pod.containers:
        name = container.get("name")
        if pod.role == "chat" and name == "chat":
            expected = [_variables(subject, *entry) for entry in stated]
            actual = {
                str(at(variable, "name")): str(at(variable, "value"))
                for variable in list_or_empty(container.get("env"))
            }
            if actual not in expected:
                other = sorted(
                    key
                    for key in {*actual, *expected[0]}
                    if all(actual.get(key) != values.get(key) for values in expected)
                )
                yield f"sets {', '.join(other[:5]) or 'variables'} of the chat otherwise than Isthmus does"
    if pod.role == "sign-on":
        yield from problems_of_sign_on(pod, [_arguments(subject, *entry) for entry in stated])


def _variables(subject: Subject, gateway: Gateway, chat: GatewayChat) -> dict[str, str]:
    platform = subject.platform
    assert platform is not None, "the caller looked"
    tokens = tokens_of(platform, gateway) or {"workloads": []}
    names = [grant["workload"] for grant in tokens["workloads"]]
    keeps_history = history_days_of(gateway, chat) > 0
    values = (
        other_chat()
        if chat.image is not None
        else OpenWebUi(gateway.class_, chat.url, names, keeps_history=keeps_history).environment()
    )
    database = chat.database
    return {**values, **database_variables(database.host, database.port, database.name, database.user)}


def _arguments(subject: Subject, gateway: Gateway, chat: GatewayChat) -> list[str]:
    platform = subject.platform
    assert platform is not None, "the caller looked"
    sign_on = platform.people.sign_on if platform.people else None
    if sign_on is None:
        return []
    service = f"https://{gateway.class_}-chat.{chat_namespace(gateway.class_)}.svc:{_PORT}"
    client = client_of(platform, chat) or ""
    return [
        *sign_on_arguments(sign_on.issuer, client, sign_on.scope, chat.url, service),
        *serving_arguments(_PORT, _HEALTH_PORT, has_issuer_ca=sign_on.ca is not None),
    ]


# --- Whom they reach


def _check_policy(
    subject: Subject,
    policy: Resource,
    namespace: str,
    sensitivity: str,
    stated: list[tuple[Gateway, GatewayChat]],
) -> Iterator[Violation]:
    is_chat = namespace == chat_namespace(sensitivity)
    next_namespace = class_namespace(sensitivity) if is_chat else chat_namespace(sensitivity)
    addresses, sign_on = set[str](), None
    if subject.platform is not None and subject.platform.people is not None:
        sign_on = subject.platform.people.sign_on
    if is_chat:
        addresses = {chat.database.address for _, chat in stated}
        if sign_on is not None and sign_on.keys is not None and sign_on.keys.address is not None:
            addresses.add(sign_on.keys.address)
    elif sign_on is not None and sign_on.address is not None:
        addresses = {sign_on.address}
    assert subject.platform is not None, "the caller looked"
    cidrs = set[str]()
    namespaces = {subject.platform.monitoring.namespace or ""}
    if is_chat:
        namespaces.add(sign_on_namespace(sensitivity))
    else:
        cidrs = {cidr for _, chat in stated for cidr in chat.from_cidrs}
        namespaces |= {source for _, chat in stated for source in chat.from_namespaces}
    yield from unstated_peers(policy, namespace, StatedPeers(next_namespace, addresses, namespaces, cidrs))


# --- Its proxy


def _check_config(subject: Subject, resource: Resource, config: Mapping[str, Any]) -> Iterator[Violation]:
    sensitivity = str(config.get("class"))
    host = urlsplit(str(config.get("gateway"))).hostname or ""
    if host != f"{sensitivity}-gateway.{class_namespace(sensitivity)}.svc":
        yield Violation(
            f"{resource.name} asks {host}, which is not the gateway of class {sensitivity}", resource
        )
    stated = _stated(subject, sensitivity)
    if subject.platform is None or not stated:
        return
    expected = [chat_tokens_of(tokens_of(subject.platform, gateway) or {}) for gateway, _ in stated]
    if config.get("tokens") not in expected:
        yield Violation(f"{resource.name} accepts access tokens that the platform does not state", resource)
    days = at(config, "history.days")
    if not isinstance(days, int) or days > max(history_days_of(*entry) for entry in stated):
        yield Violation(f"{resource.name} keeps conversations for longer than the platform states", resource)


def _scope(subject: Subject) -> Iterator[Resource]:
    namespaces = namespaces_of(subject, *_ROLES)
    yield from (pod.resource for pod in pods(subject.graph) if pod.namespace in namespaces)
    for resource in subject.graph.of(*IN_NAMESPACE, POLICY, _CONFIG):
        if name_and_namespace(resource)[1] in namespaces:
            yield resource


RULES = (
    Rule(
        "data-path/chats",
        "Chats run, reach and keep only what the platform states",
        "critical",
        (*fw.nist("AC-4", "SC-7"), *fw.iso_27001("A.8.12", "A.8.22")),
        "A switch, a host or a caller more, and conversations leave their class or are kept for longer than allowed",
        "Let the component Chat make the chat and its sign-on, and change them by the platform's settings",
        _check,
        (*POD_KINDS, *IN_NAMESPACE, POLICY, _CONFIG),
        applies_to=_scope,
    ),
)
