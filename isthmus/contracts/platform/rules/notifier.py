"""Rules for notifiers of human review: they stay in their class, and the edge accepts their settings."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from edge.config import ConfigError, NotifierConfig
from edge.notifier.on_call import as_calendar
from isthmus.contracts.platform.lookups.desk import domains_of
from isthmus.contracts.platform.lookups.notifier import link_of, notifier_settings
from isthmus.contracts.platform.model.notifier import ReviewNotifier
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.platform.rules.names import check_known, check_once
from isthmus.contracts.platform.rules.signed_on_pages import Path, check_within_class
from isthmus.core.errors import FieldError, caught, raise_all, what_and_fix

_SPARE_HEALTH = {"host": "127.0.0.1", "port": 9090}
"""Stands for the settings that a component adds."""


def notifiers_can_work(platform: Platform) -> None:
    """A notifier has an image, a database user of its own, targets of its class, and settings that the edge accepts."""
    raise_all(
        error
        for path, gateway, notifier in _notifiers(platform)
        for check in (_check_needs, _check_class, _check_webhooks, _check_calendars, _check_settings)
        for error in caught(check, platform, path, gateway, notifier)
    )


def _notifiers(platform: Platform) -> Iterator[tuple[Path, Gateway, ReviewNotifier]]:
    for index, gateway in enumerate(platform.gateways):
        if gateway.notifier is not None:
            yield ("gateways", index, "reviews", "notifier"), gateway, gateway.notifier


def _check_needs(platform: Platform, path: Path, gateway: Gateway, notifier: ReviewNotifier) -> None:
    if platform.images.notifier is None:
        raise FieldError(
            "a notifier needs the image `notifier`",
            *("images", "notifier"),
            fix="Set images.notifier, by digest",
        )
    if link_of(gateway) is None:
        raise FieldError(
            f"the notifier of gateway {gateway.name} does not know where people decide",
            *(*path, "link"),
            fix="Set `link`, or state a desk",
        )
    users = {"gateway": gateway.database.user} if gateway.database is not None else {}
    users |= {"review service": gateway.reviews.user} if gateway.reviews is not None else {}
    for who, user in users.items():
        if notifier.user == user:
            raise FieldError(
                f"the notifier and the {who} of gateway {gateway.name} have the same database user {user}",
                *(*path, "user"),
                fix="Set `user` to another user; `edge.keys migrate --notifier-user` grants its rights",
                refused=True,
            )
    stated = [route.domain for route in notifier.routes]
    check_known(gateway, "domain", stated, domains_of(gateway), (*path, "routes"))
    check_once("target", [target.name for target in notifier.targets], (*path, "targets"))


def _check_class(platform: Platform, path: Path, gateway: Gateway, notifier: ReviewNotifier) -> None:
    """Notifications of restricted work go to mail relays on-prem only."""
    if gateway.class_ != "restricted":
        return
    stated: list[tuple[str, Path, str]] = []
    for number, target in enumerate(notifier.targets):
        where = (*path, "targets", number)
        if target.service is not None:
            raise FieldError(
                f"target {target.name} is a service ({target.service.kind}), and class restricted has mail only",
                *(*where, "service"),
                fix="Use `mail` with a relay on-prem",
                refused=True,
            )
        if target.mail is not None:
            stated.append((target.mail.address, (*where, "mail", "address"), "restricted mail would go to"))
    check_within_class(platform, gateway, stated)


def _check_webhooks(platform: Platform, path: Path, gateway: Gateway, notifier: ReviewNotifier) -> None:
    """Webhooks are for workloads of the gateway, and where its class may be."""
    workloads = [workload.name for workload in gateway.workloads]
    stated = [workload for webhook in notifier.webhooks for workload in webhook.workloads]
    check_known(gateway, "workload", stated, workloads, (*path, "webhooks"))
    check_once("workload", stated, (*path, "webhooks"))
    addresses: list[tuple[str, Path, str]] = [
        (webhook.address, (*path, "webhooks", number, "address"), f"{gateway.class_} events would go to")
        for number, webhook in enumerate(notifier.webhooks)
    ]
    check_within_class(platform, gateway, addresses)


def _check_calendars(_: Platform, path: Path, __: Gateway, notifier: ReviewNotifier) -> None:
    """A calendar that is stated as text is one, and names targets that take messages."""
    takers = [target.name for target in notifier.targets if target.on_call is None]
    for number, target in enumerate(notifier.targets):
        text = target.on_call.text if target.on_call is not None else None
        if text is None:
            continue
        where = (*path, "targets", number, "on_call", "text")
        try:
            calendar = as_calendar(YAML(typ="safe", pure=True).load(text), f"calendar {target.name}")
        except (ConfigError, YAMLError) as error:
            problem = "it is not YAML 1.2" if isinstance(error, YAMLError) else str(error).rstrip(".")
            raise FieldError(
                f"nobody can be on call by {target.name}: {problem}",
                *where,
                fix="Write it as docs/deadlines.md shows",
            ) from None
        unknown = sorted(calendar.targets - {*takers})
        if unknown:
            raise FieldError(
                f"calendar {target.name} names `{unknown[0]}`, which is no target that takes messages",
                *where,
                fix=f"Use {', '.join(takers) or 'targets with mail or service'}",
            )


def _check_settings(platform: Platform, path: Path, gateway: Gateway, _: ReviewNotifier) -> None:
    """The edge accepts the rest."""
    settings = notifier_settings(platform, gateway)
    if settings is None:
        return  # other rules report a missing database or link
    try:
        NotifierConfig.model_validate({**settings, "health": _SPARE_HEALTH})
    except ValidationError as error:
        what, fix = what_and_fix(error.errors()[0]["msg"].removeprefix("Value error, "))
        raise FieldError(f"the notifier of gateway {gateway.name}: {what}", *path, fix=fix) from None


CHECKS = (notifiers_can_work,)
