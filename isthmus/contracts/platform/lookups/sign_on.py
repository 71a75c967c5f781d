"""What gateways, chats and desks accept of the organisation's sign-on: their settings `tokens`, as the platform states
them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.contracts.platform.model.chat import GatewayChat
from isthmus.contracts.platform.model.desk import ReviewDesk
from isthmus.contracts.platform.model.people import Owners, SignOn, Users
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.reference.admission import chat_client_name

KEYS_VARIABLE = "EDGE_SIGN_ON_KEYS"
"""Variable with the issuer's keys, for tasks on Fargate, which mount no files."""
KEYS_FOLDER, CA_FOLDER = "/etc/isthmus/sign-on", "/etc/isthmus/sign-on-ca"
_OF_GATEWAYS_ALONE = ("through", "owners")
"""Keys of a gateway's `tokens` that its chat does not have."""


def tokens_of(platform: Platform, gateway: Gateway) -> dict[str, Any] | None:
    """The section `tokens` of a gateway's configuration; None if nobody may use its workloads by token."""
    people = platform.people
    if people is None or people.sign_on is None:
        return None
    served, sign_on = {workload.name for workload in gateway.workloads}, people.sign_on
    groups = _groups_by_workload(people.users, served)
    if not groups:
        return None
    owners = _groups_by_workload(people.owners, served)
    return {
        **_accepted(
            gateway, sign_on, {"clients": list(sign_on.clients), "through": _through(gateway, sign_on)}
        ),
        "workloads": groups,
        **({"owners": owners} if owners else {}),
    }


def chat_tokens_of(tokens: Mapping[str, Any]) -> dict[str, Any]:
    """The section `tokens` of a chat's proxy: that of its gateway without what the gateway alone reads."""
    return {key: value for key, value in tokens.items() if key not in _OF_GATEWAYS_ALONE}


def _groups_by_workload(entries: Iterable[Users | Owners], served: set[str]) -> list[dict[str, Any]]:
    """The groups of each workload that a gateway serves."""
    groups: dict[str, set[str]] = {}
    for entry in entries:
        for workload in served.intersection(entry.workloads):
            groups.setdefault(workload, set()).update(entry.groups)
    return [{"workload": workload, "groups": sorted(names)} for workload, names in sorted(groups.items())]


def client_of(platform: Platform, part: GatewayChat | ReviewDesk) -> str | None:
    """The client of a chat or a desk at the sign-on; None if it is not clear."""
    sign_on = platform.people.sign_on if platform.people else None
    if part.client is not None or sign_on is None:
        return part.client
    return sign_on.clients[0] if len(sign_on.clients) == 1 else None


def desk_tokens_of(platform: Platform, gateway: Gateway) -> dict[str, Any] | None:
    """The section `tokens` of a review service with a desk, which takes those of its own client alone; None without a
    desk or a sign-on."""
    sign_on = platform.people.sign_on if platform.people else None
    client = client_of(platform, gateway.desk) if gateway.desk is not None else None
    return None if sign_on is None or client is None else _accepted(gateway, sign_on, {"clients": [client]})


def _accepted(gateway: Gateway, sign_on: SignOn, presented: dict[str, list[str]]) -> dict[str, Any]:
    """Whose tokens are accepted, and with which claims. `presented`: of which clients, through whose certificates."""
    keys: dict[str, Any] = {"jwks_file": f"{KEYS_FOLDER}/jwks.json"}
    if gateway.runs_on == "fargate":
        keys = {"jwks_file": f"env:{KEYS_VARIABLE}"}
    elif sign_on.keys is not None and sign_on.keys.url is not None:
        keys = {"jwks_url": sign_on.keys.url}
        if sign_on.keys.ca is not None:
            keys["ca"] = f"{CA_FOLDER}/ca.crt"
    return {
        "issuer": sign_on.issuer,
        "audiences": [sign_on.audience],
        **presented,
        **keys,
        "groups_claim": sign_on.groups_claim,
        "subject_claim": sign_on.subject_claim,
        "name_claim": sign_on.name_claim,
        "max_lifetime_s": sign_on.max_lifetime_s,
    }


def _through(gateway: Gateway, sign_on: SignOn) -> list[str]:
    """Whose certificates may present tokens: those stated, and that of the gateway's chat."""
    if gateway.class_ == "public":
        return []  # no client shows a certificate to a public gateway
    chat = [chat_client_name(gateway.class_)] if gateway.chat is not None else []
    return list(dict.fromkeys([*sign_on.through, *chat]))
