"""What a rule of nftables is made of, as the kernel's own bytecode: load a value, compare it, decide.

`pyroute2` sends it over netlink; no `nft` program is needed. Each function gives a list of expressions, and a rule is
lists put together.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Any

from pyroute2.netlink.nfnetlink.nftsocket import Cmp, Meta, Regs
from pyroute2.nftables.expressions import genex

Expressions = list[dict[str, Any]]

# linux/netfilter/nf_tables.h and nf_conntrack_common.h
NETWORK_HEADER, TRANSPORT_HEADER = 1, 2
SOURCE, TARGET = 12, 16
"""Where an IPv4 header has the addresses."""
TARGET_PORT = 2
CT_STATE, CT_ESTABLISHED, CT_RELATED = 0, 2, 4
REJECT_ICMPX, ADMIN_PROHIBITED = 2, 3
ACCEPT, RETURN, JUMP = 1, -5, -3
PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}
INTERFACE_BYTES = 16
IN, OUT = Meta.NFT_META_IIFNAME, Meta.NFT_META_OIFNAME


def _data(value: bytes) -> dict[str, Any]:
    return {"attrs": [("NFTA_DATA_VALUE", value)]}


def _compare(value: bytes, how: int = Cmp.NFT_CMP_EQ) -> dict[str, Any]:
    return genex("cmp", {"sreg": Regs.NFT_REG_1, "op": how, "data": _data(value)})


def _masked(mask: bytes) -> dict[str, Any]:
    register = {"sreg": Regs.NFT_REG_1, "dreg": Regs.NFT_REG_1}
    return genex(
        "bitwise", {**register, "len": len(mask), "mask": _data(mask), "xor": _data(bytes(len(mask)))}
    )


def _loaded(base: int, offset: int, length: int) -> dict[str, Any]:
    return genex("payload", {"dreg": Regs.NFT_REG_1, "base": base, "offset": offset, "len": length})


def interface(meta_key: int, name: str) -> Expressions:
    """The packet came in (`IN`) or goes out (`OUT`) by this interface."""
    load = genex("meta", {"key": meta_key, "dreg": Regs.NFT_REG_1})
    return [load, _compare(name.encode().ljust(INTERFACE_BYTES, b"\0"))]


def address(where: int, cidr: str, *, within: bool = True) -> Expressions:
    """The packet's `SOURCE` or `TARGET` is, or is not, within the range."""
    net = ipaddress.IPv4Network(cidr)
    how = Cmp.NFT_CMP_EQ if within else Cmp.NFT_CMP_NEQ
    loaded = _loaded(NETWORK_HEADER, where, 4)
    return [loaded, _masked(net.netmask.packed), _compare(net.network_address.packed, how)]


def protocol(name: str) -> Expressions:
    load = genex("meta", {"key": Meta.NFT_META_L4PROTO, "dreg": Regs.NFT_REG_1})
    return [load, _compare(bytes([PROTOCOLS[name]]))]


def ports(first: int, last: int) -> Expressions:
    """The packet's target port is one of these. Only after `protocol`: other packets have no ports."""
    load = _loaded(TRANSPORT_HEADER, TARGET_PORT, 2)
    return [
        load,
        _compare(struct.pack(">H", first), Cmp.NFT_CMP_GTE),
        _compare(struct.pack(">H", last), Cmp.NFT_CMP_LTE),
    ]


def answers() -> Expressions:
    """The packet belongs to a connection that was let through, or tells of its failure."""
    load = genex("ct", {"key": CT_STATE, "dreg": Regs.NFT_REG_1})
    states = struct.pack("=I", CT_ESTABLISHED | CT_RELATED)
    return [load, _masked(states), _compare(bytes(4), Cmp.NFT_CMP_NEQ)]


def count() -> Expressions:
    return [genex("counter", {"bytes": 0, "packets": 0})]


def verdict(code: int, chain: str | None = None) -> Expressions:
    """`ACCEPT`, `RETURN`, or `JUMP` to a chain."""
    attributes: list[tuple[str, Any]] = [("NFTA_VERDICT_CODE", code)]
    if chain is not None:
        attributes.append(("NFTA_VERDICT_CHAIN", chain))
    data = {"attrs": [("NFTA_DATA_VERDICT", {"attrs": attributes})]}
    return [genex("immediate", {"dreg": Regs.NFT_REG_VERDICT, "data": data})]


def refuse() -> Expressions:
    """Refused, and told so: a forbidden connection fails at once and by another error than a closed port's."""
    return [genex("reject", {"type": REJECT_ICMPX, "icmp_code": ADMIN_PROHIBITED})]
