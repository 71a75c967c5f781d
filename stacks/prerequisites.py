"""Checks the addresses that a stack's providers would use, before the providers exist.

A sandbox stack must not reach a real account or cluster, whatever the shell's environment is: every address must be a
loopback address, or the program stops.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from isthmus.contracts.platform.lookups.aws import sites_with_known_api_server
from isthmus.core import ip_addresses
from isthmus.core.errors import EnvironmentFault, InputError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform

_FIX = 'Run `isthmus sandbox up`, then `eval "$(isthmus sandbox env)"` in this shell'
_IGNORE_SWITCH = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"


def check(
    platform: Platform,
    *,
    sandbox: bool,
    kubeconfig: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Raise `EnvironmentFault` if a kubeconfig context is missing, or an address of a sandbox is not this machine's."""
    contexts = [site.kube_context for site in sites_with_known_api_server(platform)]
    if contexts:
        _check_clusters(contexts, kubeconfig or kubeconfig_path(environment), sandbox)
    if sandbox and any(site.kind == "aws" for site in platform.sites):
        _check_aws(environment)


def check_link_addresses(platform: Platform) -> None:
    """Raise `InputError` if a link has an address that is reserved for documentation."""
    for link in platform.links:
        if (
            link.mode == "manage"
            and link.peer_ip
            and (documentation_network := ip_addresses.documented(link.peer_ip))
        ):
            raise InputError(
                f"the peer `{link.peer_ip}` is an example: {documentation_network} is for documentation, and "
                "nobody answers there",
                where=f"links[{link.name}].peer_ip",
                fix="Set the public address of the site's VPN device: `vpn_peer_ip` in the requirements",
            )


def kubeconfig_path(environment: Mapping[str, str] = os.environ) -> str:
    """The path in KUBECONFIG. Raises `EnvironmentFault` if it is not set or names several files."""
    path = environment.get("KUBECONFIG", "")
    if not path:
        raise EnvironmentFault(
            "KUBECONFIG is not set, so there is no cluster to reach",
            fix=f"{_FIX}, or set KUBECONFIG or the setting `isthmus:kubeconfig`",
        )
    if os.pathsep in path:
        raise EnvironmentFault(
            "KUBECONFIG names several files, and the provider takes one",
            where=path,
            fix="Merge them with `kubectl config view --flatten`",
        )
    return path


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine: 127.0.0.0/8, ::1 or `localhost`."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_clusters(contexts: list[str | None], path: str, sandbox: bool) -> None:
    from isthmus.core import yaml_files

    try:
        data = yaml_files.load(path).data
    except InputError as error:
        fix = (
            _FIX if sandbox else "Correct the file, or set KUBECONFIG or `isthmus:kubeconfig` to another one"
        )
        raise EnvironmentFault(f"the kubeconfig cannot be used: {error.what}", where=path, fix=fix) from None
    servers = {
        _name(entry): _mapping(entry, "cluster").get("server", "") for entry in _mappings(data, "clusters")
    }
    server_by_context = {
        _name(entry): servers.get(_mapping(entry, "context").get("cluster"), "")
        for entry in _mappings(data, "contexts")
    }
    for context in contexts:
        if context not in server_by_context:
            fix = (
                _FIX if sandbox else "Correct the site's `kube_context`, or add the context to the kubeconfig"
            )
            raise EnvironmentFault(
                f"the kubeconfig has no context `{context}`",
                where=path,
                fix=f"{fix}. Known contexts: {', '.join(sorted(map(str, server_by_context))) or 'none'}",
            )
        if sandbox and not is_loopback(server_by_context[context]):
            raise EnvironmentFault(
                f"this is a sandbox stack, and context `{context}` leads to {server_by_context[context] or 'nowhere'}, "
                "which is not this machine",
                where=path,
                fix=_FIX,
            )


def _check_aws(environment: Mapping[str, str]) -> None:
    if environment.get(_IGNORE_SWITCH, "").lower() == "true":
        raise EnvironmentFault(
            f"{_IGNORE_SWITCH} is set, which would lead to the real AWS", fix=f"Unset it. {_FIX}"
        )
    if not environment.get("AWS_ENDPOINT_URL"):
        raise EnvironmentFault(
            "this is a sandbox stack, and AWS_ENDPOINT_URL is not set: there is no AWS to reach", fix=_FIX
        )
    # AWS_ENDPOINT_URL_S3 and similar variables override AWS_ENDPOINT_URL.
    for name in sorted(environment):
        if (name == "AWS_ENDPOINT_URL" or name.startswith("AWS_ENDPOINT_URL_")) and environment[name]:
            url = environment[name]
            if not is_loopback(url):
                raise EnvironmentFault(
                    f"this is a sandbox stack, and {name} leads to {urlsplit(url).hostname or 'nowhere'}, "
                    "which is not this machine",
                    fix=_FIX,
                )


def _mappings(data: dict[str, Any], key: str) -> list[dict[str, Any]]:
    values = data.get(key)
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _mapping(entry: dict[str, Any], key: str) -> dict[str, Any]:
    value = entry.get(key)
    return value if isinstance(value, dict) else {}


def _name(entry: dict[str, Any]) -> Any:
    return entry.get("name")
