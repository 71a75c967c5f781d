"""Rules for chats: people can sign on and reach them, and what they say stays where its class may be."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.contracts.platform.lookups.chat import history_days_of
from isthmus.contracts.platform.lookups.sign_on import tokens_of
from isthmus.contracts.platform.model.chat import GatewayChat
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.platform.rules.signed_on_pages import (
    Path,
    check_can_be_reached,
    check_client,
    check_within_class,
)
from isthmus.contracts.reference import handling
from isthmus.core.errors import FieldError, caught, raise_all


def chats_can_be_used(platform: Platform) -> None:
    """A chat has people who may use it, a sign-on, and images."""
    raise_all(
        error
        for index, gateway, chat in _chats(platform)
        for error in caught(_check_use, platform, index, gateway, chat)
    )


def chats_stay_in_their_class(platform: Platform) -> None:
    """A chat's database, people and sign-on are on networks where its class may be, and it keeps no history for longer
    than the class allows."""
    raise_all(
        error
        for index, gateway, chat in _chats(platform)
        for error in caught(_check_places, platform, index, gateway, chat)
    )


def _chats(platform: Platform) -> Iterator[tuple[int, Gateway, GatewayChat]]:
    for index, gateway in enumerate(platform.gateways):
        if gateway.chat is not None:
            yield index, gateway, gateway.chat


def _check_use(platform: Platform, index: int, gateway: Gateway, chat: GatewayChat) -> None:
    path = ("gateways", index, "chat")
    people = platform.people
    if gateway.runs_on != "kubernetes":
        message = f"gateway {gateway.name} runs on Fargate, and a chat runs in its gateway's cluster"
        fix = "Remove `chat`, or use a blueprint whose gateway runs in a cluster, such as cloud-private"
        raise FieldError(message, *path, fix=fix)
    if people is None or people.sign_on is None or tokens_of(platform, gateway) is None:
        message = f"nobody may use the chat of gateway {gateway.name}"
        fix = "State `people.sign_on`, and `people.users` with a workload of this gateway (docs/chat.md)"
        raise FieldError(message, *path, fix=fix)
    sign_on = people.sign_on
    check_client(platform, path, gateway, chat)
    if sign_on.address is None:
        message = (
            "a chat needs the address of the sign-on, because a network policy cannot hold a name to anything"
        )
        raise FieldError(
            message, *("people", "sign_on", "address"), fix="Set `address` to the issuer's IP address"
        )
    for name in ("sign_on", *(() if chat.image else ("chat",))):
        if getattr(platform.images, name) is None:
            raise FieldError(
                f"a chat needs the image `{name}`", *("images", name), fix=f"Set images.{name}, by digest"
            )
    check_can_be_reached(path, gateway, chat)
    database = gateway.database
    if database is not None and (database.host, database.name) == (chat.database.host, chat.database.name):
        message = f"the chat would keep conversations in the database of gateway {gateway.name}"
        raise FieldError(message, *path, "database", "name", fix="Use a database of its own", refused=True)


def _check_places(platform: Platform, index: int, gateway: Gateway, chat: GatewayChat) -> None:
    path = ("gateways", index, "chat")
    most = handling.handling_of(gateway.class_).chat_history_days
    if history_days_of(gateway, chat) > most:
        message = f"the chat keeps conversations for {chat.history_days} days, but class {gateway.class_} allows {most}"
        raise FieldError(
            message, *path, "history_days", fix=f"Set history_days to {most} or less", refused=True
        )
    sign_on = platform.people.sign_on if platform.people else None
    stated: list[tuple[str, Path, str]] = [
        (chat.database.address, (*path, "database", "address"), "conversations would be kept at")
    ]
    if sign_on is not None and sign_on.address is not None:
        stated.append((sign_on.address, ("people", "sign_on", "address"), "people would sign on at"))
    stated += [
        (cidr, (*path, "from_cidrs", number), f"{gateway.class_} conversations could be read from")
        for number, cidr in enumerate(chat.from_cidrs)
    ]
    check_within_class(platform, gateway, stated)


CHECKS = (chats_can_be_used, chats_stay_in_their_class)
