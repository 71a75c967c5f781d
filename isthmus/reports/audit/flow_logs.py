"""Reads egress from flow logs: VPC flow logs (version 2 and later, as text) and Cilium's Hubble (JSON lines).

The class of a flow is that of the source's namespace (`isthmus-CLASS`). Without a namespace, the source address
decides, by the networks of each class that the caller gives.
"""

from __future__ import annotations

import gzip
import ipaddress
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.core.errors import InputError

Net = ipaddress.IPv4Network | ipaddress.IPv6Network
NAMESPACE = "isthmus-"
_VERSION_2_FIELDS = [
    "version",
    "account-id",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log-status",
]
"""Fields of version 2, for a file without a header line."""


@dataclass(frozen=True)
class Flow:
    """A flow that starts at a gateway or pod of a class."""

    class_: str
    source: str
    destination: str
    port: int
    let_through: bool
    bytes: int
    time: datetime


@dataclass(frozen=True)
class Missing:
    """A gap that the log itself reports."""

    file: str
    what: str


def parse_networks(texts: Sequence[str], where: str) -> list[Net]:
    """Parse CIDRs. `where`: the option, for messages. Raises `InputError`."""
    try:
        return [ipaddress.ip_network(text) for text in texts]
    except ValueError as error:
        raise InputError(str(error), where=where, fix="Write it like 10.20.0.0/16") from None


def is_inside(address: str, nets: Sequence[Net]) -> bool:
    """Whether an address is in one of the networks. False for text that is not an address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in net for net in nets)


def read_flows(file: Path, class_networks: Mapping[str, Sequence[Net]]) -> Iterator[Flow | Missing]:
    """Yield the flows of a file (`.gz` is decompressed), and the gaps that it reports.

    `class_networks`: the networks of each class. Raises `InputError` with file and line.
    """
    opened = gzip.open if file.suffix == ".gz" else open
    fields: list[str] | None = None
    try:
        with opened(file, "rt", encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                text = line.strip()
                if not text:
                    continue
                try:
                    if text.startswith("{"):
                        flow = _hubble_flow(json.loads(text), class_networks, file)
                    elif fields is None and "srcaddr" in text.split():
                        fields = text.split()
                        continue
                    else:
                        flow = _vpc_flow(text.split(), fields or _VERSION_2_FIELDS, class_networks, file)
                except (ValueError, KeyError, TypeError, AttributeError):
                    raise InputError(
                        "this line is neither a record of a VPC flow log nor of Hubble",
                        where=f"{file}:{number}",
                        fix="Give VPC flow logs as text, or what `hubble observe -o jsonpb` writes",
                    ) from None
                if flow is not None:
                    yield flow
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise InputError(f"the flow log cannot be read: {error}", where=str(file)) from None


def _vpc_flow(
    values: list[str], fields: Sequence[str], class_networks: Mapping[str, Sequence[Net]], file: Path
) -> Flow | Missing | None:
    if len(values) != len(fields):
        raise ValueError
    record = dict(zip(fields, values, strict=True))
    status = record.get("log-status", "OK")
    if status == "SKIPDATA":
        return Missing(str(file), f"records of interface {record.get('interface-id', '?')} were skipped")
    if status == "NODATA" or record.get("flow-direction") == "ingress":
        return None
    # The address in the packet: `dstaddr` may be that of a NAT or a proxy in between.
    source = record.get("pkt-srcaddr", record["srcaddr"])
    destination = record.get("pkt-dstaddr", record["dstaddr"])
    sensitivity = _class_of(source, class_networks)
    if sensitivity is None:
        return None
    return Flow(
        sensitivity,
        source,
        destination,
        int(record.get("dstport", 0)),
        record["action"] == "ACCEPT",
        int(record.get("bytes", 0)),
        datetime.fromtimestamp(int(record["start"]), UTC),
    )


def _hubble_flow(
    record: dict[str, Any], class_networks: Mapping[str, Sequence[Net]], file: Path
) -> Flow | Missing | None:
    if "lost_events" in record:
        count = record["lost_events"].get("num_events_lost", "?")
        return Missing(str(file), f"{count} events were lost on {record.get('node_name', '?')}")
    flow = record.get("flow", record)
    if "verdict" not in flow:
        return None  # the status of a node, or an event of an agent
    if flow.get("is_reply") or flow.get("traffic_direction") == "INGRESS" or "IP" not in flow:
        return None
    namespace = flow.get("source", {}).get("namespace", "")
    sensitivity_name = namespace.removeprefix(NAMESPACE)
    source, destination = flow["IP"]["source"], flow["IP"]["destination"]
    sensitivity = (
        sensitivity_name
        if namespace.startswith(NAMESPACE) and sensitivity_name in SENSITIVITIES
        else _class_of(source, class_networks)
    )
    if sensitivity is None:
        return None
    protocol = next(iter(flow.get("l4", {}).values()), {})
    pod = flow.get("source", {}).get("pod_name", "")
    return Flow(
        sensitivity,
        f"{namespace}/{pod}" if pod else source,
        destination,
        int(protocol.get("destination_port", 0)) if isinstance(protocol, dict) else 0,
        # Other verdicts mean that the flow passed: FORWARDED, REDIRECTED, TRACED, TRANSLATED, AUDIT.
        flow["verdict"] not in ("DROPPED", "ERROR"),
        0,
        datetime.fromisoformat(flow["time"][:19] + "+00:00"),
    )


def _class_of(address: str, class_networks: Mapping[str, Sequence[Net]]) -> str | None:
    return next(
        (sensitivity for sensitivity, nets in class_networks.items() if is_inside(address, nets)), None
    )
