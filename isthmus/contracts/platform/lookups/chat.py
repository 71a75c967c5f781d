"""What follows from a gateway's chat: how long it keeps conversations, and what is on people's start page."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from edge.config.desk import BOARD_ROLES, SEEING_ROLES
from isthmus.contracts.platform.lookups.sign_on import tokens_of
from isthmus.contracts.platform.model.chat import GatewayChat
from isthmus.contracts.platform.model.desk import ReviewDesk
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.reference import handling


def history_days_of(gateway: Gateway, chat: GatewayChat) -> int:
    """Days for which a chat keeps conversations."""
    most = handling.handling_of(gateway.class_).chat_history_days
    return most if chat.history_days is None else chat.history_days


def help_of(platform: Platform, gateway: Gateway) -> list[dict[str, Any]]:
    """Whom people of a chat ask."""
    served = {workload.name for workload in gateway.workloads}
    entries = platform.people.help if platform.people else []
    return [
        {"name": contact.title, **contact.model_dump(exclude={"name", "title"}, exclude_defaults=True)}
        | ({"workloads": sorted(served.intersection(contact.workloads))} if contact.workloads else {})
        for contact in entries
        if not contact.workloads or served.intersection(contact.workloads)
    ]


def places_of(platform: Platform, gateway: Gateway) -> list[dict[str, Any]]:
    """The other chats, desks and boards that people of a chat may use, with the groups that may."""
    places: list[tuple[str, str, str, set[str]]] = []
    for other in platform.gateways:
        if other.chat is not None and other.name != gateway.name:
            tokens = tokens_of(platform, other) or {"workloads": []}
            groups = {group for grant in tokens["workloads"] for group in grant["groups"]}
            places.append(("chat", other.class_, other.chat.url, groups))
        if other.desk is not None:
            at_desk = _groups_of(other.desk, SEEING_ROLES)
            at_board = _groups_of(other.desk, BOARD_ROLES)
            places.append(("desk", other.class_, other.desk.url, at_desk))
            places.append(("board", other.class_, f"{other.desk.url}/board", at_board))
    return [
        {"kind": kind, "sensitivity": sensitivity, "url": url, "groups": sorted(groups)}
        for kind, sensitivity, url, groups in places
        if groups
    ]


def _groups_of(desk: ReviewDesk, roles: Collection[str]) -> set[str]:
    """The groups that have one of the roles at a desk."""
    return {group for entry in desk.groups if entry.role in roles for group in entry.groups}
