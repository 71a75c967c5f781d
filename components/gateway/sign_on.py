"""People's access tokens at a gateway: the section of its configuration, the issuer's keys and the egress to them."""

from typing import Any, NotRequired, TypedDict
from urllib.parse import urlsplit

from components.gateway.translator.translator import address_egress
from isthmus.contracts.platform.lookups.sign_on import CA_FOLDER, KEYS_FOLDER


class GatewaySignOn(TypedDict):
    """The organisation's sign-on, whose access tokens the gateway accepts."""

    tokens: dict[str, Any]
    """Section `tokens` of the edge's configuration (docs/sign-on.md)."""
    keys_config_map: NotRequired[str]
    """ConfigMap in the namespace with `jwks.json`, the issuer's public keys. Absent: they are read at `jwks_url`."""
    keys_address: NotRequired[str]
    """IP address of `jwks_url`."""
    keys_ca: NotRequired[str]
    """ConfigMap in the namespace with `ca.crt`: the CA of `jwks_url`. Absent: the public CAs."""


def tokens_section(sign_on: GatewaySignOn | None) -> dict[str, Any]:
    """The section `tokens` of the edge's configuration; empty without a sign-on."""
    return {} if sign_on is None else {"tokens": dict(sign_on["tokens"])}


def mounts_and_volumes(sign_on: GatewaySignOn | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Mounts and volumes of the issuer's keys and CA."""
    mounts, volumes = [], []
    for name, key, folder in (
        ("sign-on-keys", "keys_config_map", KEYS_FOLDER),
        ("sign-on-ca", "keys_ca", CA_FOLDER),
    ):
        config_map = (sign_on or {}).get(key)
        if config_map is not None:
            mounts.append({"name": name, "mountPath": folder, "readOnly": True})
            volumes.append({"name": name, "configMap": {"name": config_map, "defaultMode": 0o440}})
    return mounts, volumes


def issuer_egress(
    sign_on: GatewaySignOn | None, sensitivity: str, site_cidrs: list[str], service: str
) -> list[dict[str, Any]]:
    """Egress to the issuer's keys. For a restricted gateway their address must be inside the site's networks."""
    if sign_on is None or "keys_address" not in sign_on:
        return []
    port = urlsplit(sign_on["tokens"]["jwks_url"]).port or 443
    place = sensitivity, site_cidrs, service
    return address_egress("sign-on", sign_on["keys_address"], port, *place, "sign_on.keys_address")


def host_of(sign_on: GatewaySignOn) -> str:
    """Host name of the issuer's keys."""
    return urlsplit(sign_on["tokens"].get("jwks_url", "")).hostname or ""
