"""What chats and review desks have in common: a client at the sign-on, people who reach them, and addresses of their
class."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from isthmus.contracts.platform.lookups.sign_on import client_of
from isthmus.contracts.platform.model.chat import GatewayChat
from isthmus.contracts.platform.model.desk import ReviewDesk
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.platform.rules.boundaries import site_networks
from isthmus.core.errors import FieldError

Path = tuple[str | int, ...]
Page = GatewayChat | ReviewDesk


def check_client(platform: Platform, path: Path, gateway: Gateway, page: Page) -> None:
    """Its client at the sign-on is clear, and the sign-on's tokens for it are accepted."""
    client = client_of(platform, page)
    if client is None:
        message = f"the client of gateway {gateway.name}'s {_kind(page)} at the sign-on is not clear"
        raise FieldError(message, *path, "client", fix="Set `client` to one of people.sign_on.clients")
    sign_on = platform.people.sign_on if platform.people else None
    if sign_on is not None and sign_on.clients and client not in sign_on.clients:
        raise FieldError(
            f"`{client}` is no application whose tokens are accepted",
            *(*path, "client"),
            fix=f"Use one of {', '.join(sign_on.clients)}, or add it to people.sign_on.clients",
        )


def check_can_be_reached(path: Path, gateway: Gateway, page: Page) -> None:
    """People reach it from a network or through a namespace."""
    if page.from_cidrs or page.from_namespaces:
        return
    kind = _kind(page)
    message = f"nobody can reach the {kind} of gateway {gateway.name}: it has neither from_cidrs nor from_namespaces"
    who = "people's" if kind == "chat" else "the reviewers'"
    fix = f"Set from_namespaces to that of your ingress controller, or from_cidrs to {who} networks"
    raise FieldError(message, *path, "from_namespaces", fix=fix)


def check_within_class(platform: Platform, gateway: Gateway, stated: Iterable[tuple[str, Path, str]]) -> None:
    """Stated addresses and networks are where the gateway's class may be. With each come its field and its effect."""
    if gateway.class_ == "public":
        return
    networks = site_networks(platform, on_prem_only=gateway.class_ == "restricted")
    for text, where, what in stated:
        try:
            network = ipaddress.IPv4Network(text)
        except ValueError:
            raise FieldError(f"`{text}` is not an address or a network", *where) from None
        if not any(network.subnet_of(allowed) for allowed in networks):
            listed = ", ".join(map(str, networks)) or "a network of a site (none has one)"
            raise FieldError(
                f"{what} {text}, which is outside the networks where class {gateway.class_} may be",
                *where,
                fix=f"Use one within {listed}",
                refused=True,
            )


def _kind(page: Page) -> str:
    return "chat" if isinstance(page, GatewayChat) else "desk"
