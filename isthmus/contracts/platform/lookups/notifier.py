"""What follows from the notifier of a gateway's reviews: its settings, its files, and what it reaches."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlsplit

from isthmus.contracts.platform.model.notifier import NotifierTarget, NotifierWebhook
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.reference.admission import class_namespace

SECRET_FOLDER, TARGETS_FOLDER = "/etc/isthmus/notifier", "/etc/isthmus/targets"
ON_CALL_FOLDER, RELAY_FOLDER = "/etc/isthmus/on-call", "/etc/isthmus/relay"
WEBHOOKS_FOLDER, WEBHOOK_CA_FOLDER = "/etc/isthmus/webhooks", "/etc/isthmus/webhook-ca"
CONFIG_FOLDER = "/etc/isthmus/config"
ON_CALL_FILE = "on-call.yaml"


class Exit(NamedTuple):
    """One place outside the cluster that the notifier reaches."""

    host: str
    address: str
    port: int


def exits_of(gateway: Gateway) -> list[Exit]:
    """The relays and services that a gateway's notifier reaches, each once."""
    targets = gateway.notifier.targets if gateway.notifier is not None else []
    webhooks = gateway.notifier.webhooks if gateway.notifier is not None else []
    exits = [
        *(Exit(mail.relay, mail.address, mail.port) for target in targets if (mail := target.mail)),
        *(Exit(at.host, at.address, at.port) for target in targets if (at := target.service)),
        *(_exit_of_webhook(webhook) for webhook in webhooks),
    ]
    return list(dict.fromkeys(exits))


def _exit_of_webhook(webhook: NotifierWebhook) -> Exit:
    url = urlsplit(webhook.url)
    return Exit(url.hostname or "", webhook.address, url.port or 443)


def webhook_of(gateway: Gateway, workload: str) -> str | None:
    """The webhook that is told of a workload's answers; None: there is none."""
    webhooks = gateway.notifier.webhooks if gateway.notifier is not None else []
    return next((webhook.name for webhook in webhooks if workload in webhook.workloads), None)


def link_of(gateway: Gateway) -> str | None:
    """Where people decide; None if neither the notifier nor a desk says so."""
    notifier = gateway.notifier
    if notifier is not None and notifier.link is not None:
        return notifier.link
    return gateway.desk.url if gateway.desk is not None else None


def calendar_file(target: str) -> str:
    """Key in the notifier's ConfigMap of a calendar that the platform states as text."""
    return f"on-call-{target}"


def notifier_settings(platform: Platform, gateway: Gateway) -> dict[str, Any] | None:
    """The notifier's configuration without `health`; None if the gateway has none, or no database or link."""
    notifier, database, link = gateway.notifier, gateway.database, link_of(gateway)
    if notifier is None or database is None or link is None:
        return None
    is_restricted = gateway.class_ == "restricted"
    sites = [site for site in platform.sites if site.kind == "on-prem" or not is_restricted]
    networks = [cidr for site in sites for cidr in site.cidrs]
    webhooks = [_webhook(gateway, webhook) for webhook in notifier.webhooks]
    return {
        "mode": "notifier",
        "class": gateway.class_,
        "site": gateway.site,
        "database": {
            "host": database.host,
            "port": database.port,
            "name": database.name,
            "user": notifier.user,
            "password": f"{SECRET_FOLDER}/password",
            "ca": f"{SECRET_FOLDER}/ca.crt",
        },
        "link": link,
        "targets": [_target(target) for target in notifier.targets],
        "routes": [route.model_dump(exclude_none=True) for route in notifier.routes],
        "default": list(notifier.default),
        **({"networks": networks} if is_restricted or webhooks else {}),
        **({"webhooks": webhooks} if webhooks else {}),
        **({"relay_ca": f"{RELAY_FOLDER}/ca.crt"} if notifier.relay_ca is not None else {}),
        "language": notifier.language,
        "gather_s": notifier.gather_s,
        "give_up_h": notifier.give_up_h,
    }


def _webhook(gateway: Gateway, webhook: NotifierWebhook) -> dict[str, Any]:
    folder = f"{WEBHOOKS_FOLDER}/{webhook.name}"
    return {
        **webhook.model_dump(include={"name", "url", "address"}),
        "secret": f"{folder}/secret",
        **({"ca": f"{WEBHOOK_CA_FOLDER}/{webhook.name}/ca.crt"} if webhook.ca is not None else {}),
        "gateway": f"https://{gateway.class_}-gateway.{class_namespace(gateway.class_)}.svc:8443",
    }


def _target(target: NotifierTarget) -> dict[str, Any]:
    settings: dict[str, Any] = {"name": target.name}
    if target.mail is not None:
        mail = target.mail.model_dump(exclude={"secret"}, exclude_none=True)
        if target.mail.secret is not None:
            mail["password"] = f"{TARGETS_FOLDER}/{target.name}/password"
        settings["mail"] = mail
    elif target.service is not None:
        settings |= {"service": target.service.kind, "url": f"{TARGETS_FOLDER}/{target.name}/url"}
    elif target.on_call is not None and target.on_call.text is not None:
        settings["on_call"] = f"{CONFIG_FOLDER}/{calendar_file(target.name)}"
    else:
        settings["on_call"] = f"{ON_CALL_FOLDER}/{target.name}/{ON_CALL_FILE}"
    return settings
