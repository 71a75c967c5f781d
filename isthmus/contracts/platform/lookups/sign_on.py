"""What a gateway accepts of the organisation's sign-on: its settings `tokens`, as the platform states them."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.platform.model.platform import Gateway, Platform

KEYS_FOLDER, CA_FOLDER = "/etc/isthmus/sign-on", "/etc/isthmus/sign-on-ca"


def tokens_of(platform: Platform, gateway: Gateway) -> dict[str, Any] | None:
    """The section `tokens` of a gateway's configuration; None if nobody may use its workloads by token."""
    people = platform.people
    if people is None or people.sign_on is None or gateway.runs_on != "kubernetes":
        return None
    served, sign_on = {workload.name for workload in gateway.workloads}, people.sign_on
    groups: dict[str, list[str]] = {}
    for users in people.users:
        for workload in users.workloads:
            if workload in served:
                groups.setdefault(workload, []).extend(users.groups)
    if not groups:
        return None
    keys: dict[str, Any] = {"jwks_file": f"{KEYS_FOLDER}/jwks.json"}
    if sign_on.keys.url is not None:
        keys = {"jwks_url": sign_on.keys.url}
        if sign_on.keys.ca is not None:
            keys["ca"] = f"{CA_FOLDER}/ca.crt"
    return {
        "issuer": sign_on.issuer,
        "audiences": [sign_on.audience],
        "clients": list(sign_on.clients),
        # No client shows a certificate to a public gateway.
        "through": [] if gateway.class_ == "public" else list(sign_on.through),
        **keys,
        "groups_claim": sign_on.groups_claim,
        "subject_claim": sign_on.subject_claim,
        "name_claim": sign_on.name_claim,
        "max_lifetime_s": sign_on.max_lifetime_s,
        "workloads": [
            {"workload": workload, "groups": sorted(set(names))} for workload, names in sorted(groups.items())
        ],
    }
