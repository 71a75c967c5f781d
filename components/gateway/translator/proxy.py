"""Egress of a translator through a forward proxy, or with the site's own certificate authorities.

Further CAs increase the number of servers that a pod trusts, so no class with restricted destinations may have
them. A proxy bypasses private endpoints, so it is for the public class only. TLS goes through it to AWS itself
(CONNECT), and the network policy allows its address only.
"""

import re
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

from components.base.argument_checks import parse_network
from isthmus.contracts.platform.rules.boundaries import NAMED_DESTINATIONS_ONLY
from isthmus.core.errors import InputError, Refused

AUTHORITIES = "/etc/isthmus/authorities"
_PROXY = re.compile(r"http://([0-9.]+):([0-9]{1,5})")


class TranslatorProxy(TypedDict):
    """A forward proxy between a site and AWS."""

    url: str
    """`http://ADDRESS:PORT`. An IP address, because a network policy cannot match a host name."""
    no_proxy: NotRequired[list[str]]
    """Names, domains and addresses that are reached without the proxy."""


@dataclass(frozen=True)
class Outbound:
    """The changes to a translator's pods."""

    config: dict[str, Any] | None = None
    """Section `outbound` of the translator's configuration."""
    egress: list[dict[str, Any]] = field(default_factory=list)
    variables: list[dict[str, str]] = field(default_factory=list)
    """Variables of the credential helper. The translator itself reads its configuration only."""
    arguments: list[str] = field(default_factory=list)
    """Arguments of the credential helper."""
    mounts: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)


NO_PROXY = Outbound()


def outbound_way(
    sensitivity: str, proxy: TranslatorProxy | None, ca_bundle: str | None, where: str
) -> Outbound:
    """The changes for a proxy or CA bundle. Raises `Refused` for a class that may have neither, `InputError` for a
    proxy without an address.
    """
    if proxy is None and ca_bundle is None:
        return NO_PROXY
    if sensitivity in NAMED_DESTINATIONS_ONLY:
        raise Refused(
            f"the {sensitivity} class may not have a proxy or a CA bundle",
            where=where,
            fix="Remove `proxy` and `ca_bundle`: its egress is limited to named addresses",
        )
    if proxy is not None and sensitivity != "public":
        raise Refused(
            f"the {sensitivity} class may not have a proxy: it must reach AWS by private endpoints",
            where=f"{where}.proxy",
            fix="Remove `proxy`: only public work may use AWS's public names",
        )
    config: dict[str, Any] = {}
    egress: list[dict[str, Any]] = []
    variables: dict[str, str] = {}
    arguments: list[str] = []
    if proxy is not None:
        match = _PROXY.fullmatch(proxy["url"])
        if match is None:
            fix = "Write http://ADDRESS:PORT, without host name, user or password"
            raise InputError("the proxy is not a plain address", where=f"{where}.proxy.url", fix=fix)
        block = {"ipBlock": {"cidr": str(parse_network(f"{match[1]}/32", f"{where}.proxy.url"))}}
        egress = [{"to": [block], "ports": [{"protocol": "TCP", "port": int(match[2])}]}]
        exceptions = list(proxy.get("no_proxy", []))
        config |= {"proxy": proxy["url"], "no_proxy": exceptions}
        variables |= {"HTTPS_PROXY": proxy["url"], "NO_PROXY": ",".join(exceptions)}
        arguments = ["--with-proxy"]
    if ca_bundle is not None:
        config["ca"] = f"{AUTHORITIES}/ca.crt"
        # The folder too, because Go would otherwise still trust the image's own CAs.
        variables |= {"SSL_CERT_FILE": f"{AUTHORITIES}/ca.crt", "SSL_CERT_DIR": AUTHORITIES}
    return Outbound(
        config,
        egress,
        [{"name": key, "value": value} for key, value in variables.items() if value],
        arguments,
        [{"name": "authorities", "mountPath": AUTHORITIES, "readOnly": True}] if ca_bundle else [],
        [{"name": "authorities", "configMap": {"name": ca_bundle, "defaultMode": 0o440}}]
        if ca_bundle
        else [],
    )
