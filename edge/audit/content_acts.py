"""Records acts on kept content (erase, hold, release). Each act is a chain of its own in the audit records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.audit.chain_files import Writer, new_name, now
from edge.audit.records import Broken, parse
from edge.audit.seal_format import LATEST

GATEWAY_NAME = "isthmus-audit"


class UnknownVolume(Exception):
    """Class and site of the volume are unknown."""


def record(volume: Path, kind: str, fields: dict[str, Any]) -> None:
    """Record one act durably in a chain. Raises UnknownVolume and OSError; then the act must not be done."""
    try:
        body = parse((volume / "seals" / LATEST).read_bytes().rstrip(b"\n"))["body"]
        opening = {"class": body["class"], "site": body["site"], "gateway": GATEWAY_NAME, "policy": ""}
    except (OSError, Broken, KeyError, TypeError):
        raise UnknownVolume("there is no seal in its folder `seals`") from None
    writer = Writer(volume / "records", new_name(GATEWAY_NAME), opening, 1 << 20)
    try:
        writer.commit([writer.chain.write(kind, now(), fields), writer.chain.write("close", now(), {})])
    finally:
        writer.give_up()
