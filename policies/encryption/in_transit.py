"""Encryption on the way: TLS everywhere, mutual from `internal` up, tunnels that hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.graph.resources.resources import Resource
from policies.encryption.at_rest import BUCKETS, attached
from policies.inputs.documents import actions, conditions, configurations, principals, resources, statements
from policies.inputs.links import referred
from policies.inputs.pods import KINDS, Pod, is_engine, not_known, of_box, pods, told
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
LISTENER = ("aws:lb/listener:Listener", "aws:alb/listener:Listener")
_WEAK = ("AES128", "AES256")
"""Of phase 1 and 2: without GCM, integrity hangs on the other list alone; AWS offers both by default."""


def _buckets_tls(subject: Subject) -> Iterator[Broken]:
    for bucket in subject.graph.of(*BUCKETS):
        policies = [each.inputs.get("policy") for each in attached(subject.graph, bucket, _POLICY)]
        policies += [bucket.inputs["policy"]] if bucket.inputs.get("policy") else []
        read = [statements(each) for each in policies]
        if any(_tls_only(each) for each in read if each is not None):
            continue
        if None in read:
            yield Broken(f"the policy of {bucket.name} is not known before the change", bucket, "undecided")
        else:
            yield Broken(f"{bucket.name} answers without TLS", bucket)


def _tls_only(document: list[dict[str, Any]]) -> bool:
    return any(
        each.get("Effect") == "Deny"
        and "*" in principals(each)
        and {"*", "s3:*"} & set(actions(each))
        and any(resource.endswith("/*") or resource == "*" for resource in resources(each))
        and list(conditions(each)) in ([("Bool", "aws:SecureTransport", "false")], [_FALSE], [_VERSION])
        for each in document
    )


_FALSE = ("Bool", "aws:SecureTransport", False)
_VERSION = ("NumericLessThan", "s3:TlsVersion", "1.2")


def _listeners(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.of(*LISTENER):
        protocol = each.inputs.get("protocol")
        if unknown(protocol):
            yield Broken(f"the protocol of {each.name} is not known yet", each, "undecided")
        elif protocol == "HTTP" and not _sends_on_to_tls(each.inputs.get("defaultActions")):
            yield Broken(f"{each.name} listens without TLS", each)
        elif protocol in ("HTTPS", "TLS") and _old(each.inputs.get("sslPolicy")):
            yield Broken(f"{each.name} still speaks TLS 1.0 and 1.1", each)
    for each in subject.graph.of("kubernetes:networking.k8s.io/v1:Ingress"):
        if not at(each.inputs, "spec.tls"):
            yield Broken(f"{each.name} listens without TLS", each)
    for each in subject.graph.of(":Gateway"):
        if each.type.startswith("kubernetes:gateway.networking.k8s.io/"):
            for one in at(each.inputs, "spec.listeners") or []:
                if at(one, "protocol") in ("HTTP", "TCP"):
                    yield Broken(f"listener {at(one, 'name')} of {each.name} is without TLS", each)


def listens(each: Resource) -> bool:
    """Whether it ends, or should end, TLS itself; what hands bytes on leaves that to who stands behind it."""
    if each.type.endswith(LISTENER):
        protocol = each.inputs.get("protocol")
        return unknown(protocol) or protocol in ("HTTP", "HTTPS", "TLS")
    return each.type.startswith(("kubernetes:networking.k8s.io/", "kubernetes:gateway.networking.k8s.io/"))


def _sends_on_to_tls(acts: Any) -> bool:
    found = acts if isinstance(acts, list) else []
    return bool(found) and all(at(each, "redirect.protocol") == "HTTPS" for each in found)


def _old(policy: Any) -> bool:
    """The policies that speak TLS 1.2 and later only bear it in their name."""
    return (
        policy is not None
        and not unknown(policy)
        and not any(v in str(policy) for v in ("1-2", "1-3", "TLS13"))
    )


def _mutual(subject: Subject) -> Iterator[Broken]:
    for resource, key, config in configurations(subject.graph):
        if config is None:
            yield Broken(
                f"{key} of {resource.name} is not known before the change is made", resource, "undecided"
            )
            continue
        if at(config, "mode") in (None, "sealer"):
            continue  # a sealer has no callers
        if at(config, "mode") == "detector":
            # It speaks no TLS, and is its own pod's alone.
            if at(config, "listen.host") not in _LOOPBACK:
                yield Broken(f"{resource.name} takes what nobody has redacted from beyond its pod", resource)
            continue
        class_ = at(config, "class")
        if not at(config, "listen.certificate") or not at(config, "listen.key"):
            yield Broken(f"{resource.name} answers without TLS", resource)
        if at(config, "mode") == "gateway" and class_ == "public":
            continue  # TLS is enough for public callers
        if not at(config, "listen.client_ca"):
            yield Broken(f"{resource.name} of class {class_} asks its callers for no certificate", resource)
    for resource, _, config in configurations(subject.graph):
        for route, way in _ways(config):
            url = str(at(way, "url"))
            if not url.startswith("https://"):
                yield Broken(f"{resource.name} sends {at(route, 'workload')} on without TLS", resource)


def _named_peers(subject: Subject) -> Iterator[Broken]:
    for resource, _, config in configurations(subject.graph):
        if at(config, "mode") in ("sidecar", "translator") and not at(config, "allowed_clients"):
            yield Broken(f"{resource.name} answers whoever has a certificate of the issuer's", resource)
        for route, way in _ways(config):
            if not at(way, "server_name"):
                yield Broken(f"{resource.name} takes any server for {at(route, 'workload')}'s", resource)


def _ways(config: Any) -> Iterator[tuple[Any, Any]]:
    """Each route of a gateway, with each place that its requests can reach."""
    for route in at(config, "routes") or []:
        also = at(route, "also")
        others = [at(route, "canary"), at(route, "overflow"), *(also if isinstance(also, list) else [])]
        yield from ((route, way) for way in (route, *(each for each in others if each is not None)))


def _certificates(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.of(":Certificate"):
        if not each.type.startswith("kubernetes:cert-manager.io/"):
            continue
        hours = _hours(at(each.inputs, "spec.duration"))
        if hours is not None and hours > 2160:
            yield Broken(f"{each.name} holds for more than 90 days", each)
        if at(each.inputs, "spec.privateKey.rotationPolicy") not in (None, "Always"):
            yield Broken(f"{each.name} is renewed with the old private key", each)


def _hours(text: Any) -> float | None:
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|m|s)", str(text))
    of = {"h": 1.0, "m": 1 / 60, "s": 1 / 3600}
    return sum(float(number) * of[unit] for number, unit in parts) if parts else None


def _tunnels(subject: Subject) -> Iterator[Broken]:
    for link in subject.graph.of("aws:ec2/vpnConnection:VpnConnection"):
        for number in (1, 2):
            versions = link.inputs.get(f"tunnel{number}IkeVersions")
            if versions != ["ikev2"] and not unknown(versions):
                yield Broken(f"tunnel {number} of {link.name} still speaks IKEv1", link)
            for phase in (1, 2):
                said = link.inputs.get(f"tunnel{number}Phase{phase}EncryptionAlgorithms")
                if unknown(said):
                    yield Broken(f"the ciphers of {link.name} are not known yet", link, "undecided")
                elif not said or set(said) & set(_WEAK):
                    yield Broken(f"tunnel {number} of {link.name} takes ciphers without GCM", link)
                groups = link.inputs.get(f"tunnel{number}Phase{phase}DhGroupNumbers")
                if not unknown(groups) and (not groups or min(groups) < 14):
                    yield Broken(f"tunnel {number} of {link.name} takes weak Diffie-Hellman groups", link)


def _link_secrets(subject: Subject) -> Iterator[Broken]:
    for link in subject.graph.of("aws:ec2/vpnConnection:VpnConnection"):
        written = any(link.inputs.get(f"tunnel{number}PresharedKey") for number in (1, 2))
        if written or link.inputs.get("presharedKeyStorage") != "SecretsManager":
            yield Broken(f"the pre-shared keys of {link.name} lie in the stack's state", link)


def _topics_tls(subject: Subject) -> Iterator[Broken]:
    for topic in subject.graph.of("aws:sns/topic:Topic"):
        policies = [
            each.inputs.get("policy")
            for each in subject.graph.of("aws:sns/topicPolicy:TopicPolicy")
            if topic in referred(subject.graph, each, "arn", ":Topic")
        ]
        policies += [topic.inputs["policy"]] if topic.inputs.get("policy") else []
        read = [statements(each) for each in policies]
        if any(_publish_tls_only(each) for each in read if each is not None):
            continue
        if None in read:
            yield Broken(f"the policy of {topic.name} is not known before the change", topic, "undecided")
        else:
            yield Broken(f"{topic.name} takes messages without TLS", topic)


def _publish_tls_only(document: list[dict[str, Any]]) -> bool:
    return any(
        each.get("Effect") == "Deny"
        and "*" in principals(each)
        and any(action.lower() in ("*", "sns:*", "sns:publish") for action in actions(each))
        and list(conditions(each)) in ([("Bool", "aws:SecureTransport", "false")], [_FALSE])
        for each in document
    )


def engines(subject: Subject) -> Iterator[tuple[Pod, Mapping[str, Any], str]]:
    """Containers of model servers, each with the address that it listens on; empty: every one."""
    for pod in pods(subject.graph):
        for box in filter(is_engine, pod.boxes):
            host = _flag(told(box), "--host")
            if host or "--headless" not in told(box):  # that one answers nobody, unless it is told where
                yield pod, box, host


def _engines_behind(subject: Subject) -> Iterator[Broken]:
    """Model servers that listen on their pod's addresses without a certificate of their own."""
    for pod, box, host in engines(subject):
        words = told(box)
        if unknown(host) or (not host and any(map(unknown, words))):
            yield not_known(pod, box, "the address that it listens on")
        elif host not in _LOOPBACK and not (_flag(words, "--ssl-certfile") and _flag(words, "--ssl-keyfile")):
            said = f"on {host}" if host else "on every address"
            yield of_box(
                pod, box, f"listens {said} without TLS, past what asks for certificates", _ON_LOOPBACK
            )


_ON_LOOPBACK = "--host=127.0.0.1"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _flag(words: list[str], name: str) -> str:
    """What a flag is last set to, as `--flag=value` or `--flag value`; empty where it is not given."""
    found = ""
    for at_, word in enumerate(words):
        if word.startswith(f"{name}="):
            found = word.partition("=")[2]
        elif word == name and at_ + 1 < len(words):
            found = words[at_ + 1]
    return found


_way = (*fw.nist("SC-8(1)"), *fw.iso_27001("A.8.24"), *fw.dora("Art. 9(3)(a)"))
_open_way = (*fw.pci("4.2.1"), *_way)
"""Of what can be reached over open networks, of which alone PCI DSS speaks here."""
RULES = (
    Rule(
        "encryption/engines-behind-tls",
        "Model servers listen on their pod's loopback, or with a certificate",
        "critical",
        (*_way, *fw.hipaa("164.312(e)(1)")),
        "Prompts would travel in the clear, and whoever reaches the port needs no certificate",
        "Listen on 127.0.0.1 behind the sidecar that asks for certificates",
        _engines_behind,
        KINDS,
    ),
    Rule(
        "encryption/topics-tls-only",
        "Topics take messages over TLS only",
        "medium",
        _open_way,
        "What an alarm tells of would travel in the clear, and could be changed on the way",
        "Deny sns:Publish to everybody where aws:SecureTransport is false",
        _topics_tls,
        ("aws:sns/topic:Topic",),
    ),
    Rule(
        "encryption/buckets-tls-only",
        "Buckets answer over TLS only",
        "high",
        (*fw.fsbp("S3.5"), *fw.cis_aws("3.1.1"), *fw.hipaa("164.312(e)(1)"), *_open_way),
        "Without it records and weights may travel in the clear",
        "Deny s3:* to everybody where aws:SecureTransport is false, on the bucket and its objects",
        _buckets_tls,
        BUCKETS,
    ),
    Rule(
        "encryption/listeners-tls",
        "What listens for callers speaks TLS 1.2 or later",
        "critical",
        (*_open_way, *fw.hipaa("164.312(e)(1)")),
        "Prompts would travel in the clear",
        "Listen with HTTPS or TLS, or pass TLS through to the gateway",
        _listeners,
        (*LISTENER, "kubernetes:networking.k8s.io/v1:Ingress"),
    ),
    Rule(
        "encryption/mutual-tls",
        "From `internal` up both sides show a certificate",
        "critical",
        (*_way, *fw.nist("IA-9")),
        "A caller's class comes from who it is; whoever reaches the port would be it",
        "State listen.client_ca, certificate and key in the gateway's configuration, and https:// routes",
        _mutual,
    ),
    Rule(
        "encryption/peers-named",
        "Gateways, translators and model servers know each other by name",
        "high",
        (*fw.nist("IA-9", "AC-3"), *fw.iso_27001("A.8.5"), *fw.dora("Art. 9(4)(d)")),
        "With any certificate of the issuer's, one class's gateway could ask another class's model",
        "State allowed_clients, and server_name of each route",
        _named_peers,
    ),
    Rule(
        "encryption/certificates-renew",
        "Certificates are short-lived, each with a new key",
        "low",
        (*fw.nist("SC-12", "SC-17"), *fw.iso_27001("A.8.24")),
        "A key that outlives its certificate is stolen once for good",
        "Set duration to at most 2160h and privateKey.rotationPolicy: Always",
        _certificates,
        ("kubernetes:cert-manager.io/v1:Certificate",),
    ),
    Rule(
        "encryption/tunnels-strong",
        "Private links take strong ciphers only",
        "high",
        (*_open_way, *fw.nist("SC-13")),
        "Whatever a class sends to AWS goes through the tunnel",
        "Allow IKEv2 alone, AES-GCM and Diffie-Hellman groups from 14 up, in both phases of both tunnels",
        _tunnels,
        ("aws:ec2/vpnConnection:VpnConnection",),
    ),
    Rule(
        "encryption/tunnel-keys-kept",
        "Pre-shared keys of private links lie in Secrets Manager",
        "high",
        (*fw.nist("SC-12", "IA-5(7)"), *fw.iso_27001("A.5.17"), *fw.dora("Art. 9(4)(d)")),
        "Whoever reads the stack's state could open the link",
        "Set presharedKeyStorage: SecretsManager and no key in the program",
        _link_secrets,
        ("aws:ec2/vpnConnection:VpnConnection",),
    ),
)
