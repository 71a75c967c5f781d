"""Sends a notification to a target, with Apprise. Blocking; call it in a thread."""

from __future__ import annotations

import logging
import os
import socket
from urllib.parse import quote, urlencode

from apprise import Apprise, AppriseAsset, PersistentStoreMode

from edge.config import ConfigError
from edge.config.base import is_address
from edge.config.notifier import MailTarget, NotifierConfig, Target
from edge.notifier.messages import Delivery, SendError, body_of, subject_of
from edge.notifier.on_call import read_calendar
from edge.notifier.webhooks import read_secrets, send_event

HEADER = "X-Isthmus-Notification"
"""Header of mails and webhooks: the id of the notification."""
SCHEMAS = {
    "slack": ("slack",),
    "teams": ("workflow", "workflows"),
    "pagerduty": ("pagerduty",),
    "webhook": ("jsons", "json"),
}
"""Schemas of Apprise URLs that each service accepts. `json` is plain HTTP and for loopback only."""


class Sender:
    """Sends to the targets of a configuration. Raises ConfigError at start."""

    def __init__(self, config: NotifierConfig) -> None:
        self._config = config
        self._targets = {target.name: target for target in config.targets}
        self._webhooks = {webhook.name: webhook for webhook in config.webhooks}
        # Apprise's messages name recipients and parts of URLs.
        logging.getLogger("apprise").disabled = True
        if config.relay_ca is not None:
            os.environ["SSL_CERT_FILE"] = str(config.relay_ca)
        self._asset = AppriseAsset(
            app_id="Isthmus", async_mode=False, storage_mode=PersistentStoreMode.MEMORY
        )
        for webhook in config.webhooks:
            read_secrets(webhook)
        for target in config.targets:
            if target.on_call is not None:
                self._check_calendar(target)
            elif Apprise.instantiate(self._url(target, "0"), asset=self._asset) is None:
                raise ConfigError(f"targets: {target.name!r} has no URL that Apprise accepts.")

    def send(self, delivery: Delivery) -> None:
        """Send to the delivery's target. Raises SendError."""
        if delivery.domain is None:
            if (webhook := self._webhooks.get(delivery.target)) is None:
                raise SendError("target-unknown")
            send_event(webhook, delivery)
            return
        try:
            target = self._resolve(delivery)
            if target.mail is not None:
                _check_address(target.mail)
            url = self._url(target, str(delivery.id))
        except (ConfigError, OSError):
            raise SendError("target-unusable") from None
        config = self._config
        apprise = Apprise(asset=self._asset)
        if not apprise.add(url):
            raise SendError("target-unusable")
        body = body_of(delivery, config.language, config.data_class, config.site, config.link)
        if not apprise.notify(body, title=subject_of(delivery, config.language)):
            raise SendError("not-accepted")

    def _resolve(self, delivery: Delivery) -> Target:
        """The target, or who is on call. Raises SendError, ConfigError."""
        target = self._targets.get(delivery.target)
        if target is not None and target.on_call is not None:
            name = read_calendar(target.on_call).at(delivery.asked_at)
            if name is None:
                raise SendError("nobody-on-call")
            target = self._targets.get(name)
        if target is None or target.on_call is not None:
            raise SendError("target-unknown")
        return target

    def _check_calendar(self, target: Target) -> None:
        assert target.on_call is not None
        for name in read_calendar(target.on_call).targets:
            if name not in self._targets or self._targets[name].on_call is not None:
                raise ConfigError(
                    f"{target.on_call}: {name!r} is no target of the notifier that takes messages."
                )

    def _url(self, target: Target, notification: str) -> str:
        """The target's Apprise URL with the notification's id. Raises ConfigError, OSError."""
        if target.mail is not None:
            return _mail_url(target.mail, notification)
        assert target.service is not None
        assert target.url is not None
        url = target.url.read_text().strip()
        schema, _, rest = url.partition("://")
        on_loopback = rest.startswith(("127.0.0.1:", "127.0.0.1/"))
        if schema not in SCHEMAS[target.service] or (schema == "json" and not on_loopback):
            raise ConfigError(
                f"targets: the URL of {target.name!r} must begin with {SCHEMAS[target.service][0]}://."
            )
        more = {"pagerduty": {"dedup": notification}, "webhook": {f"+{HEADER}": notification}}
        query = urlencode(more.get(target.service, {}))
        return url + ("&" if "?" in url else "?") + query if query else url


def _mail_url(mail: MailTarget, notification: str) -> str:
    user = ""
    if mail.user is not None and mail.password is not None:
        user = f"{quote(mail.user, safe='')}:{quote(mail.password.read_text().strip(), safe='')}@"
    mode = {"starttls": "starttls", "tls": "ssl", "none": "insecure"}[mail.tls]
    query = urlencode(
        {
            "smtp": mail.relay,
            "mode": mode,
            "from": mail.sender,
            "to": ",".join(mail.to),
            "format": "text",
            f"+{HEADER}": notification,
        }
    )
    host = f"[{mail.relay}]" if ":" in mail.relay else mail.relay
    return f"mailto{'' if mail.tls == 'none' else 's'}://{user}{host}:{mail.port}?{query}"


def _check_address(mail: MailTarget) -> None:
    """Raise SendError if the relay's name leads to another address than the stated one."""
    if mail.only_address is None or is_address(mail.relay):
        return
    addresses = {
        str(entry[4][0]) for entry in socket.getaddrinfo(mail.relay, mail.port, type=socket.SOCK_STREAM)
    }
    if addresses != {mail.only_address}:
        raise SendError("relay-elsewhere")
