"""Which DNS servers of a site AWS's resolvers can ask. Platform rules and the link's component use it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network

from isthmus.core.errors import FieldError

DNS_SERVERS = 6
"""Maximum addresses to which a resolver rule forwards (AWS's quota `Target IP addresses per rule`, as of
knowledge)."""


def wrong_dns_servers(servers: Sequence[str], sources: Sequence[IPv4Network]) -> Iterator[FieldError]:
    """What forbids to ask these servers. The path of an error is empty, or the index of a server.

    `sources`: networks of the site that may use the link.
    """
    if not servers:
        yield FieldError(
            "resolvers need the site's DNS servers, but none is set",
            fix="Set their addresses (`network.dns` of the site in the requirements), or set `resolvers: 'off'` of the "
            "link in the stack's overrides",
        )
    if len(servers) > DNS_SERVERS:
        yield FieldError(
            f"{len(servers)} DNS servers are listed, but an AWS resolver rule accepts at most {DNS_SERVERS}",
            fix=f"Keep {DNS_SERVERS} of them (`dns` of the site)",
        )
    for index, text in enumerate(servers):
        try:
            address = IPv4Address(text)
        except ValueError:
            yield FieldError(f"'{text}' is not an IPv4 address", index, fix="Set the address of a DNS server")
            continue
        if not any(address in source for source in sources):
            yield FieldError(
                f"the DNS server {address} is in none of the networks that may use the link, and it would get the names"
                " that work in the VPC asks for",
                index,
                fix="Name a DNS server of the site (`dns`) that is within `sources`",
            )
