"""What opens a gateway to callers outside its cluster: the Service, its ranges, and the entries that trust them.

Components create the Service, the API server admits only it, and the policy pack compares it with this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.reference.admission import (
    CLASS_LABEL,
    LOAD_BALANCER_PREFIX,
    OutsideService,
    class_namespace,
)
from isthmus.core.ip_addresses import INSIDE, UNUSABLE, is_within, parse_range

OUTSIDE_PORT = 8444
"""Port of the gateway's pods for callers outside the cluster. Callers inside use another one, so that neither needs the
network policy of the other."""
EVERYWHERE = "0.0.0.0/0"
NLB_CLASS = "service.k8s.aws/nlb"
"""Load balancer class of the AWS Load Balancer Controller (its guide, "Network Load Balancer")."""
_AWS = f"{LOAD_BALANCER_PREFIX}aws-load-balancer-"
_AWS_KEYS_OF_PEOPLE = ("name", "subnets", "additional-resource-tags")
"""Ends of the controller's annotations that decide neither about callers nor about TLS."""
_DECIDING = ("source-ranges", "ssl", "tls", "backend-protocol", "proxy-protocol", "inbound", "security-group")
"""Parts of annotations of any load balancer that decide about callers or TLS."""
_ENTRY = re.compile(r"(public|internal|confidential|restricted) at ([a-z0-9][a-z0-9-]*) from (\S+)")


@dataclass(frozen=True)
class Access:
    """Who outside the cluster may call a gateway, and how."""

    sensitivity: str
    host: str
    source_ranges: Sequence[str]
    port: int = 443
    load_balancer_class: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    address: str | None = None
    """Absent: the load balancer chooses one."""
    in_aws: bool = False
    """Whether a Network Load Balancer of the AWS Load Balancer Controller does it."""
    internet_facing: bool = False
    """AWS: whether the load balancer has addresses of the internet."""

    @property
    def service(self) -> str:
        """Name of the Service."""
        return service_name(self.sensitivity)

    @property
    def all_annotations(self) -> dict[str, str]:
        """Annotations of the Service. Isthmus's own ones win."""
        return {
            **self.annotations,
            **(_aws_annotations(internet_facing=self.internet_facing) if self.in_aws else {}),
        }

    def spec(self) -> dict[str, Any]:
        """The spec of the Service. It passes TLS through, keeps the callers' addresses and opens no port of a node."""
        load_balancer_class = NLB_CLASS if self.in_aws else self.load_balancer_class
        return {
            "type": "LoadBalancer",
            "selector": selector(self.sensitivity),
            "ports": [{"name": "https", "port": self.port, "targetPort": OUTSIDE_PORT, "protocol": "TCP"}],
            "loadBalancerSourceRanges": sorted(self.source_ranges),
            "externalTrafficPolicy": "Local",
            "allocateLoadBalancerNodePorts": False,
            **({"loadBalancerClass": load_balancer_class} if load_balancer_class else {}),
            **({"loadBalancerIP": self.address} if self.address else {}),
        }

    def admitted(self) -> OutsideService:
        """What the API server may admit of it."""
        return OutsideService(
            class_namespace(self.sensitivity),
            self.service,
            tuple(sorted(self.source_ranges)),
            selector(self.sensitivity),
            {
                key: value
                for key, value in self.all_annotations.items()
                if key.startswith(LOAD_BALANCER_PREFIX)
            },
        )


def service_name(sensitivity: str) -> str:
    """Name of the Service that opens a class's gateway."""
    return f"{sensitivity}-gateway-outside"


def selector(sensitivity: str) -> dict[str, str]:
    """Labels of the gateway's pods."""
    return {"app.kubernetes.io/name": f"{sensitivity}-gateway", CLASS_LABEL: sensitivity}


def _aws_annotations(*, internet_facing: bool) -> dict[str, str]:
    """Annotations of a Network Load Balancer with TCP listeners, pods as targets and the callers' own addresses (AWS
    Load Balancer Controller, "Service annotations").
    """
    values = {
        "nlb-target-type": "ip",
        "scheme": "internet-facing" if internet_facing else "internal",
        "backend-protocol": "tcp",
        "target-group-attributes": "preserve_client_ip.enabled=true,deregistration_delay.timeout_seconds=300",
        "healthcheck-protocol": "tcp",
        "healthcheck-port": "traffic-port",
    }
    return {f"{_AWS}{key}": value for key, value in values.items()}


def wrong_annotation(key: str) -> bool:
    """Whether Isthmus decides what an annotation says: who may call, and that nobody opens TLS on the way."""
    if key.startswith(_AWS):
        return key.removeprefix(_AWS) not in _AWS_KEYS_OF_PEOPLE
    return key.startswith("pulumi.com/") or any(part in key for part in _DECIDING)


@dataclass(frozen=True)
class Problem:
    """Why a class must not be called from a range."""

    what: str
    fix: str
    refused: bool = True
    """Whether it breaks a boundary. Otherwise it is wrong input."""


def range_problem(sensitivity: str, text: str, site_cidrs: Iterable[str]) -> Problem | None:
    """Why callers of a class must not come from a range; None if they may, with an entry of the trust file.

    `site_cidrs`: networks of the gateway's own site, from which alone restricted gateways are called.
    """
    network = parse_range(text)
    if network is None or str(network) != text:
        example = network or "10.40.0.0/16"
        return Problem(f"`{text}` is not an address range", f"Write it like {example}", refused=False)
    if network.version != 4:
        return Problem(
            f"`{text}` is an IPv6 range, and gateways have IPv4 addresses", "Use IPv4 ranges", refused=False
        )
    if sensitivity == "public" and text == EVERYWHERE:
        return None
    overlapping = next((unusable for unusable in UNUSABLE if network.overlaps(parse_range(unusable))), None)  # type: ignore[arg-type]
    if network.prefixlen < 8:
        fix = "List the networks of the callers one by one, like 10.60.0.0/16"
        return Problem(f"`{text}` is too wide for callers of class {sensitivity}", fix)
    if overlapping:
        return Problem(
            f"`{text}` overlaps {overlapping}, from which no caller comes", "Name the callers' networks"
        )
    if sensitivity == "restricted" and not (is_within(text, site_cidrs) and is_within(text, INSIDE)):
        listed = ", ".join(site_cidrs) or "none are listed"
        fix = f"Use a private range within the networks of the gateway's site ({listed})"
        return Problem(f"restricted work would be called from {text}, outside its site", fix)
    return None


def entry_value(sensitivity: str, site: str, source_range: str) -> str:
    """The value of the trust file that lets callers of a range reach a class's gateway at a site."""
    return f"{sensitivity} at {site} from {source_range}"


def entry_problem(value: str) -> str:
    """What is wrong with such a value; empty if nothing is."""
    match = _ENTRY.fullmatch(value)
    if match is None:
        return f"`{value}` does not name class, site and range"
    problem = range_problem(match[1], match[3], [match[3]])
    return problem.what if problem else ""


def covers_entry(trusted: str, value: str) -> bool:
    """Whether a trusted value covers another one: the same class and site, and a range within its range."""
    outer, inner = _ENTRY.fullmatch(trusted), _ENTRY.fullmatch(value)
    if outer is None or inner is None or outer.groups()[:2] != inner.groups()[:2]:
        return False
    return is_within(inner[3], [outer[3]])
