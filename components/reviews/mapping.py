"""Builds the arguments of Reviews from the platform's contract."""

from typing import Any

from components.base.platform_lookups import shared_arguments
from components.gateway.mapping import sign_on_arguments
from components.gateway.sealing import Sealed
from components.reviews.service import ReviewsArgs
from components.serving.mapping import spread_arguments
from isthmus.contracts.platform.lookups.desk import desk_settings, domain_settings
from isthmus.contracts.platform.lookups.notifier import calendar_file, exits_of, notifier_settings
from isthmus.contracts.platform.lookups.sign_on import client_of, desk_tokens_of
from isthmus.contracts.platform.model.desk import ReviewDesk
from isthmus.contracts.platform.model.platform import Gateway, Platform

_SHARED = {"secret", "reviewers_ca", "records_volume", "keys_volume", "from_cidrs", "from_namespaces"}


def reviews_args(
    platform: Platform, gateway: Gateway, site_cidrs: list[str], sealed: Sealed | None = None
) -> ReviewsArgs | None:
    """Arguments of a gateway's review service. None if it holds no answers. `sealed`: where its records go, at an
    AWS site.
    """
    reviews, database, audit = gateway.reviews, gateway.database, gateway.audit
    if reviews is None or database is None or audit is None:
        return None
    arguments: dict[str, Any] = {
        **shared_arguments(platform, reviews.certificate_secret),
        **spread_arguments(platform, gateway.site),
        **reviews.model_dump(include=_SHARED, exclude_none=True),
        **audit.model_dump(include={"policy", "max_unsealed_s"}, exclude_none=True),
        "sensitivity": gateway.class_,
        "site": gateway.site,
        "image": platform.images.edge,
        "database": {**database.model_dump(), "user": reviews.user},
        "reviewers": [reviewer.model_dump(exclude_none=True) for reviewer in reviews.reviewers],
        "claim_s": reviews.claim_s,
        "replicas": reviews.replicas,
        "site_cidrs": site_cidrs,
    }
    if reviews.domains:
        arguments["domains"] = domain_settings(reviews)
    desk = _desk_arguments(platform, gateway, reviews.desk) if reviews.desk is not None else None
    if desk is not None:
        arguments["desk"] = desk
    notifier = _notifier_arguments(platform, gateway)
    if notifier is not None:
        arguments["notifier"] = notifier
    if sealed is not None and sealed.share is not None:
        # The same share as the gateway's, because the review service is another writer of the same records.
        arguments["folders"] = sealed.folders("gateway")
    return arguments  # type: ignore[return-value]


def _notifier_arguments(platform: Platform, gateway: Gateway) -> dict[str, Any] | None:
    """Of `ReviewsArgs`: what tells people that answers wait."""
    notifier, settings = gateway.notifier, notifier_settings(platform, gateway)
    if notifier is None or settings is None:
        return None
    target_secrets: dict[str, str] = {}
    calendars: dict[str, str] = {}
    calendar_config_maps: dict[str, str] = {}
    for target in notifier.targets:
        secret = target.mail.secret if target.mail else target.service.secret if target.service else None
        if secret is not None:
            target_secrets[target.name] = secret
        if target.on_call is not None and target.on_call.text is not None:
            calendars[calendar_file(target.name)] = target.on_call.text
        elif target.on_call is not None and target.on_call.config_map is not None:
            calendar_config_maps[target.name] = target.on_call.config_map
    webhook_secrets = {webhook.name: webhook.secret for webhook in notifier.webhooks}
    webhook_authorities = {
        webhook.name: webhook.ca for webhook in notifier.webhooks if webhook.ca is not None
    }
    return {
        "image": platform.images.notifier,
        "settings": settings,
        "exits": [place._asdict() for place in exits_of(gateway)],
        "secret": notifier.secret,
        **({"target_secrets": target_secrets} if target_secrets else {}),
        **({"calendars": calendars} if calendars else {}),
        **({"calendar_config_maps": calendar_config_maps} if calendar_config_maps else {}),
        **({"webhook_secrets": webhook_secrets} if webhook_secrets else {}),
        **({"webhook_authorities": webhook_authorities} if webhook_authorities else {}),
        **({"relay_ca": notifier.relay_ca} if notifier.relay_ca is not None else {}),
    }


def _desk_arguments(platform: Platform, gateway: Gateway, desk: ReviewDesk) -> dict[str, Any] | None:
    """Of `ReviewsArgs`: the pages for people who sign on."""
    people = platform.people
    sign_on = sign_on_arguments(platform, desk_tokens_of(platform, gateway))
    if people is None or people.sign_on is None or not sign_on:
        return None
    arguments: dict[str, Any] = {
        **sign_on,
        **desk.model_dump(include={"url", "sign_on_secret", "from_cidrs", "from_namespaces"}),
        "settings": desk_settings(desk),
        "sign_on_image": platform.images.sign_on,
        "client": client_of(platform, desk),
        "scope": people.sign_on.scope,
        "issuer_address": people.sign_on.address,
    }
    if people.sign_on.ca is not None:
        arguments["issuer_ca"] = people.sign_on.ca
    return arguments
