"""Builds the arguments of Chat from the platform's contract."""

from typing import Any

from components.base.platform_lookups import shared_arguments
from components.chat.service import ChatArgs
from components.cluster.objects import SERVING_PORT, class_namespace, dns_name
from components.gateway.mapping import sign_on_arguments
from components.serving.mapping import spread_arguments
from isthmus.contracts.platform.lookups.chat import help_of, history_days_of, places_of
from isthmus.contracts.platform.lookups.sign_on import client_of, tokens_of
from isthmus.contracts.platform.model.platform import Gateway, Platform

_SHARED = {"url", "secret", "sign_on_secret", "from_cidrs", "from_namespaces", "cpu", "memory"}


def chat_args(
    platform: Platform, gateway: Gateway, gateway_ip: Any, site_cidrs: list[str]
) -> ChatArgs | None:
    """Arguments of a gateway's chat; None if it has none. `gateway_ip`: address of the gateway's Service."""
    chat, people = gateway.chat, platform.people
    sign_on = sign_on_arguments(platform, tokens_of(platform, gateway)).get("sign_on")
    if chat is None or sign_on is None or people is None or people.sign_on is None:
        return None
    models = {endpoint.id: endpoint.model for endpoint in platform.endpoints}
    endpoints = {workload.name: workload.endpoint for workload in gateway.workloads}
    names = [grant["workload"] for grant in sign_on["tokens"]["workloads"]]
    host = dns_name(f"{gateway.class_}-gateway", class_namespace(gateway.class_))
    arguments: dict[str, Any] = {
        **shared_arguments(platform, None),
        **spread_arguments(platform, gateway.site),
        **chat.model_dump(include=_SHARED, exclude_none=True),
        "sensitivity": gateway.class_,
        "site": gateway.site,
        "image": platform.images.edge,
        "chat_image": chat.image or platform.images.chat,
        "sign_on_image": platform.images.sign_on,
        "gateway": f"https://{host}:{SERVING_PORT}",
        "gateway_ip": gateway_ip,
        "workloads": [{"name": name, "model": models[endpoints[name]]} for name in names],
        "sign_on": sign_on,
        "client": client_of(platform, chat),
        "scope": people.sign_on.scope,
        "issuer_address": people.sign_on.address,
        "database": chat.database.model_dump(),
        "history_days": history_days_of(gateway, chat),
        "site_cidrs": site_cidrs,
    }
    if entries := help_of(platform, gateway):
        arguments["help"] = entries
    if places := places_of(platform, gateway):
        arguments["places"] = places
    if chat.image is not None:
        arguments["other_chat"] = True
    if people.sign_on.ca is not None:
        arguments["issuer_ca"] = people.sign_on.ca
    return arguments  # type: ignore[return-value]
