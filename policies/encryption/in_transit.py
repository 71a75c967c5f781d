"""Rules for encryption in transit: TLS everywhere, mutual TLS from `internal` up, strong VPN tunnels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from isthmus.contracts.reference.gateway_routes import other_places
from isthmus.graph.resources.resources import Resource
from policies.encryption.at_rest import BUCKETS, attached
from policies.inputs.documents import (
    actions,
    conditions,
    gateway_configurations,
    principals,
    resources,
    statements,
)
from policies.inputs.links import referenced_resources
from policies.inputs.pods import (
    POD_KINDS,
    Pod,
    command_line,
    container_undecided,
    container_violation,
    is_vllm_container,
    pods,
)
from policies.inputs.selectors import configurations_where, first_of_rows, resources_where
from policies.inputs.values import at, is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
_LISTENER = ("aws:lb/listener:Listener", "aws:alb/listener:Listener")
_WEAK = ("AES128", "AES256")
"""Weak ciphers of phases 1 and 2: without GCM, integrity depends on the other list. AWS offers both by default."""


def _check_buckets_tls(subject: Subject) -> Iterator[Violation]:
    for bucket in subject.graph.of(*BUCKETS):
        policies = [policy.inputs.get("policy") for policy in attached(subject.graph, bucket, _POLICY)]
        policies += [bucket.inputs["policy"]] if bucket.inputs.get("policy") else []
        documents = [statements(policy) for policy in policies]
        if any(_tls_only(document) for document in documents if document is not None):
            continue
        if None in documents:
            yield Violation(
                f"the policy of {bucket.name} is not known before the change is made", bucket, "undecided"
            )
        else:
            yield Violation(f"{bucket.name} accepts requests without TLS", bucket)


def _tls_only(document: list[dict[str, Any]]) -> bool:
    return any(
        statement.get("Effect") == "Deny"
        and "*" in principals(statement)
        and {"*", "s3:*"} & set(actions(statement))
        and any(resource.endswith("/*") or resource == "*" for resource in resources(statement))
        and list(conditions(statement))
        in ([("Bool", "aws:SecureTransport", "false")], [_NOT_SECURE], [_OLD_TLS])
        for statement in document
    )


_NOT_SECURE = ("Bool", "aws:SecureTransport", False)
_OLD_TLS = ("NumericLessThan", "s3:TlsVersion", "1.2")


def _check_listeners(subject: Subject) -> Iterator[Violation]:
    for listener in subject.graph.of(*_LISTENER):
        protocol = listener.inputs.get("protocol")
        if is_unknown(protocol):
            yield Violation(f"the protocol of {listener.name} is not known yet", listener, "undecided")
        elif protocol == "HTTP" and not _redirects_to_tls(listener.inputs.get("defaultActions")):
            yield Violation(f"{listener.name} listens without TLS", listener)
        elif protocol in ("HTTPS", "TLS") and _allows_old_tls(listener.inputs.get("sslPolicy")):
            yield Violation(f"{listener.name} still accepts TLS 1.0 and 1.1", listener)
    for ingress in subject.graph.of("kubernetes:networking.k8s.io/v1:Ingress"):
        if not at(ingress.inputs, "spec.tls"):
            yield Violation(f"{ingress.name} listens without TLS", ingress)
    for gateway in subject.graph.of(":Gateway"):
        if gateway.type.startswith("kubernetes:gateway.networking.k8s.io/"):
            for port in at(gateway.inputs, "spec.listeners") or []:
                if at(port, "protocol") in ("HTTP", "TCP"):
                    yield Violation(
                        f"listener {at(port, 'name')} of {gateway.name} does not use TLS", gateway
                    )


def _terminates_tls(resource: Resource) -> bool:
    """Whether a listener terminates TLS, or should. A listener that forwards bytes leaves TLS to its targets."""
    if resource.type.endswith(_LISTENER):
        protocol = resource.inputs.get("protocol")
        return is_unknown(protocol) or protocol in ("HTTP", "HTTPS", "TLS")
    return resource.type.startswith(
        ("kubernetes:networking.k8s.io/", "kubernetes:gateway.networking.k8s.io/")
    )


def _redirects_to_tls(acts: Any) -> bool:
    action_list = acts if isinstance(acts, list) else []
    return bool(action_list) and all(at(action, "redirect.protocol") == "HTTPS" for action in action_list)


def _allows_old_tls(policy: Any) -> bool:
    """Whether a TLS policy allows TLS 1.0 or 1.1. Policies with only 1.2 and later have that in their name."""
    return (
        policy is not None
        and not is_unknown(policy)
        and not any(v in str(policy) for v in ("1-2", "1-3", "TLS13"))
    )


_WITHOUT_CALLERS = (None, "sealer", "notifier", "loader")
"""Modes of the edge that nobody calls."""


def _check_mutual_tls(subject: Subject) -> Iterator[Violation]:
    for resource, key, config in gateway_configurations(subject.graph):
        if config is None:
            yield Violation(
                f"{key} of {resource.name} is not known before the change is made", resource, "undecided"
            )
            continue
        if at(config, "mode") in _WITHOUT_CALLERS:
            continue
        if at(config, "mode") == "detector":
            # A detector uses no TLS; only its own pod may call it.
            if at(config, "listen.host") not in _LOOPBACK:
                yield Violation(
                    f"{resource.name} accepts unredacted text from outside its pod: listen.host is not loopback",
                    resource,
                )
            continue
        sensitivity = at(config, "class")
        if not at(config, "listen.certificate") or not at(config, "listen.key"):
            yield Violation(f"{resource.name} listens without TLS", resource)
        # Reviewers have tokens, which the desk verifies with each request; `audit/reviews-apart` says who reaches it.
        if at(config, "desk") and not (
            at(config, "desk.listen.certificate") and at(config, "desk.listen.key")
        ):
            yield Violation(f"{resource.name} has a desk that listens without TLS", resource)
        if at(config, "mode") == "gateway" and sensitivity == "public":
            continue  # TLS is enough for public callers
        if at(config, "mode") == "chat":
            continue  # people have tokens, which it verifies with each request; `data-path/chats` says who reaches it
        if not at(config, "listen.client_ca"):
            yield Violation(
                f"{resource.name} of class {sensitivity} does not require a client certificate", resource
            )
    for resource, _, config in gateway_configurations(subject.graph):
        for route, destination in _route_destinations(config):
            url = str(at(destination, "url"))
            if not url.startswith("https://"):
                yield Violation(f"{resource.name} forwards {at(route, 'workload')} without TLS", resource)


def _has_peers(config: Any) -> bool:
    """Whether a service has callers, or routes to other services."""
    return bool(at(config, "mode") not in _WITHOUT_CALLERS or any(_route_destinations(config)))


def _check_peers_named(subject: Subject) -> Iterator[Violation]:
    for resource, _, config in gateway_configurations(subject.graph):
        if at(config, "mode") in ("sidecar", "translator") and not at(config, "allowed_clients"):
            yield Violation(
                f"{resource.name} accepts every certificate of its issuer: allowed_clients is empty", resource
            )
        for route, destination in _route_destinations(config):
            if not at(destination, "server_name"):
                yield Violation(
                    f"{resource.name} accepts any server for {at(route, 'workload')}: server_name is not set",
                    resource,
                )


def _names_peers(config: Any) -> bool:
    """Whether a service must name its callers, or the servers that it calls."""
    return bool(at(config, "mode") in ("sidecar", "translator") or any(_route_destinations(config)))


def _route_destinations(config: Any) -> Iterator[tuple[Any, Any]]:
    """Each route of a gateway with each destination of its requests: its own place and the others."""
    # A notifier's routes are those of notifications, by the names of its targets.
    for route in [] if at(config, "mode") == "notifier" else at(config, "routes") or []:
        yield route, route
        yield from ((route, place) for _, place in other_places(partial(at, route)))


def _check_certificates(subject: Subject) -> Iterator[Violation]:
    for certificate in subject.graph.of(":Certificate"):
        if not certificate.type.startswith("kubernetes:cert-manager.io/"):
            continue
        hours = _to_hours(at(certificate.inputs, "spec.duration"))
        if hours is not None and hours > 2160:
            yield Violation(f"{certificate.name} is valid for more than 90 days", certificate)
        if at(certificate.inputs, "spec.privateKey.rotationPolicy") not in (None, "Always"):
            yield Violation(f"{certificate.name} keeps its private key when it is renewed", certificate)


def _to_hours(text: Any) -> float | None:
    durations = re.findall(r"(\d+(?:\.\d+)?)(h|m|s)", str(text))
    hours_per_unit = {"h": 1.0, "m": 1 / 60, "s": 1 / 3600}
    return sum(float(number) * hours_per_unit[unit] for number, unit in durations) if durations else None


def _check_tunnels(subject: Subject) -> Iterator[Violation]:
    for link in subject.graph.of("aws:ec2/vpnConnection:VpnConnection"):
        for number in (1, 2):
            versions = link.inputs.get(f"tunnel{number}IkeVersions")
            if versions != ["ikev2"] and not is_unknown(versions):
                yield Violation(f"tunnel {number} of {link.name} still accepts IKEv1", link)
            for phase in (1, 2):
                algorithms = link.inputs.get(f"tunnel{number}Phase{phase}EncryptionAlgorithms")
                if is_unknown(algorithms):
                    yield Violation(f"the ciphers of {link.name} are not known yet", link, "undecided")
                elif not algorithms or set(algorithms) & set(_WEAK):
                    yield Violation(f"tunnel {number} of {link.name} accepts ciphers without GCM", link)
                groups = link.inputs.get(f"tunnel{number}Phase{phase}DhGroupNumbers")
                if not is_unknown(groups) and (not groups or min(groups) < 14):
                    yield Violation(
                        f"tunnel {number} of {link.name} accepts weak Diffie-Hellman groups", link
                    )


def _check_tunnel_keys(subject: Subject) -> Iterator[Violation]:
    for link in subject.graph.of("aws:ec2/vpnConnection:VpnConnection"):
        has_key_in_state = any(link.inputs.get(f"tunnel{number}PresharedKey") for number in (1, 2))
        if has_key_in_state or link.inputs.get("presharedKeyStorage") != "SecretsManager":
            yield Violation(f"the pre-shared keys of {link.name} are in the stack's state", link)


def _check_topics_tls(subject: Subject) -> Iterator[Violation]:
    for topic in subject.graph.of("aws:sns/topic:Topic"):
        policies = [
            policy.inputs.get("policy")
            for policy in subject.graph.of("aws:sns/topicPolicy:TopicPolicy")
            if topic in referenced_resources(subject.graph, policy, "arn", ":Topic")
        ]
        policies += [topic.inputs["policy"]] if topic.inputs.get("policy") else []
        documents = [statements(policy) for policy in policies]
        if any(_publish_tls_only(document) for document in documents if document is not None):
            continue
        if None in documents:
            yield Violation(
                f"the policy of {topic.name} is not known before the change is made", topic, "undecided"
            )
        else:
            yield Violation(f"{topic.name} accepts messages without TLS", topic)


def _publish_tls_only(document: list[dict[str, Any]]) -> bool:
    return any(
        statement.get("Effect") == "Deny"
        and "*" in principals(statement)
        and any(action.lower() in ("*", "sns:*", "sns:publish") for action in actions(statement))
        and list(conditions(statement)) in ([("Bool", "aws:SecureTransport", "false")], [_NOT_SECURE])
        for statement in document
    )


def _vllm_listeners(subject: Subject) -> Iterator[tuple[Pod, Mapping[str, Any], str]]:
    """vLLM containers with the address that each listens on (empty: every address)."""
    for pod in pods(subject.graph):
        for container in filter(is_vllm_container, pod.containers):
            host = _flag_value(command_line(container), "--host")
            if host or "--headless" not in command_line(
                container
            ):  # a headless server listens only if --host is set
                yield pod, container, host


def _check_engines_behind_tls(subject: Subject) -> Iterator[Violation]:
    """Reports model servers that listen on their pod's addresses without a TLS certificate."""
    for pod, container, host in _vllm_listeners(subject):
        arguments = command_line(container)
        if is_unknown(host) or (not host and any(map(is_unknown, arguments))):
            yield container_undecided(pod, container, "the address that it listens on")
        elif host not in _LOOPBACK and not (
            _flag_value(arguments, "--ssl-certfile") and _flag_value(arguments, "--ssl-keyfile")
        ):
            address = f"on {host}" if host else "on every address"
            yield container_violation(
                pod,
                container,
                f"listens {address} without TLS, so callers can bypass the sidecar that requires certificates",
                _ON_LOOPBACK,
            )


_ON_LOOPBACK = "--host=127.0.0.1"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _flag_value(arguments: list[str], name: str) -> str:
    """The last value of a flag, given as `--flag=value` or `--flag value`; empty if it is not given."""
    value = ""
    for index, argument in enumerate(arguments):
        if argument.startswith(f"{name}="):
            value = argument.partition("=")[2]
        elif argument == name and index + 1 < len(arguments):
            value = arguments[index + 1]
    return value


_IN_TRANSIT = (*fw.nist("SC-8(1)"), *fw.iso_27001("A.8.24"), *fw.dora("Art. 9(3)(a)"))
_OVER_OPEN_NETWORKS = (*fw.pci("4.2.1"), *_IN_TRANSIT)
"""Controls for traffic over open networks, which is all that PCI DSS covers here."""
RULES = (
    Rule(
        "encryption/engines-behind-tls",
        "Model servers listen on loopback only, or with a TLS certificate",
        "critical",
        (*_IN_TRANSIT, *fw.hipaa("164.312(e)(1)")),
        "Prompts would travel unencrypted, and callers would need no certificate",
        "Set --host=127.0.0.1, behind the sidecar that requires client certificates",
        _check_engines_behind_tls,
        POD_KINDS,
        applies_to=first_of_rows(_vllm_listeners),
    ),
    Rule(
        "encryption/topics-tls-only",
        "Topics accept messages over TLS only",
        "medium",
        _OVER_OPEN_NETWORKS,
        "An alarm message could be read or changed on the way",
        "Deny sns:Publish to everybody where aws:SecureTransport is false",
        _check_topics_tls,
        ("aws:sns/topic:Topic",),
    ),
    Rule(
        "encryption/buckets-tls-only",
        "Buckets answer over TLS only",
        "high",
        (*fw.fsbp("S3.5"), *fw.cis_aws("3.1.1"), *fw.hipaa("164.312(e)(1)"), *_OVER_OPEN_NETWORKS),
        "Without this denial, records and weights can travel unencrypted",
        "Deny s3:* to everybody where aws:SecureTransport is false, on the bucket and its objects",
        _check_buckets_tls,
        BUCKETS,
    ),
    Rule(
        "encryption/listeners-tls",
        "Listeners for callers use TLS 1.2 or later",
        "critical",
        (*_OVER_OPEN_NETWORKS, *fw.hipaa("164.312(e)(1)")),
        "Prompts would travel unencrypted",
        "Use HTTPS or TLS, or pass TLS through to the gateway",
        _check_listeners,
        (*_LISTENER, "kubernetes:networking.k8s.io/v1:Ingress"),
        applies_to=resources_where(_terminates_tls, *_LISTENER, ":Ingress", ":Gateway"),
    ),
    Rule(
        "encryption/mutual-tls",
        "From `internal` up both sides present a certificate",
        "critical",
        (*_IN_TRANSIT, *fw.nist("IA-9")),
        "A caller's class comes from its certificate; without one, anyone who reaches the port gets that class",
        "Set listen.client_ca, listen.certificate and listen.key in the gateway's configuration, and "
        "use https:// routes",
        _check_mutual_tls,
        applies_to=configurations_where(_has_peers, unread=True),
    ),
    Rule(
        "encryption/peers-named",
        "Gateways, translators and model servers check each other's names",
        "high",
        (*fw.nist("IA-9", "AC-3"), *fw.iso_27001("A.8.5"), *fw.dora("Art. 9(4)(d)")),
        "Without names, any certificate of the issuer is accepted, so one class's gateway could call "
        "another class's model",
        "Set allowed_clients, and server_name of each route",
        _check_peers_named,
        applies_to=configurations_where(_names_peers),
    ),
    Rule(
        "encryption/certificates-renew",
        "Certificates are short-lived and each has a new key",
        "low",
        (*fw.nist("SC-12", "SC-17"), *fw.iso_27001("A.8.24")),
        "A stolen key stays useful if it is used again in the next certificate",
        "Set duration to at most 2160h and privateKey.rotationPolicy: Always",
        _check_certificates,
        ("kubernetes:cert-manager.io/v1:Certificate",),
    ),
    Rule(
        "encryption/tunnels-strong",
        "VPN tunnels use strong ciphers only",
        "high",
        (*_OVER_OPEN_NETWORKS, *fw.nist("SC-13")),
        "Everything that a class sends to AWS goes through the tunnel",
        "Allow only IKEv2, AES-GCM and Diffie-Hellman groups from 14 up, in both phases of both tunnels",
        _check_tunnels,
        ("aws:ec2/vpnConnection:VpnConnection",),
    ),
    Rule(
        "encryption/tunnel-keys-kept",
        "Pre-shared keys of VPN tunnels are in Secrets Manager",
        "high",
        (*fw.nist("SC-12", "IA-5(7)"), *fw.iso_27001("A.5.17"), *fw.dora("Art. 9(4)(d)")),
        "Whoever reads the stack's state could open the tunnel",
        "Set presharedKeyStorage: SecretsManager, and remove keys from the program",
        _check_tunnel_keys,
        ("aws:ec2/vpnConnection:VpnConnection",),
    ),
)
