"""Whose a request is: the account of the session or user whose key signed it, else the sandbox's own.

Said once, in front of everything that answers: to moto by the header that it takes for it, to what is served
beside it by `of`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_KEY = "isthmus.account"
_MOTO_S = "HTTP_X_MOTO_ACCOUNT_ID"
_SIGNED_BY = re.compile(r"Credential=([^/]+)/")


class Accounts:
    """A WSGI application: `behind`, told whose each request is."""

    def __init__(self, behind: Any, account: str) -> None:
        self._behind = behind
        self._account = account

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # Whoever sends moto's header decides nothing here.
        environ[_KEY] = environ[_MOTO_S] = account_of(access_key(environ), self._account)
        return self._behind(environ, start_response)


def of(environ: Mapping[str, Any], default: str) -> str:
    """The account of a request that came through `Accounts`; `default` for one that did not."""
    return str(environ.get(_KEY, default))


def access_key(environ: Mapping[str, Any]) -> str:
    """The id of the key that signed the request; empty where none did."""
    found = _SIGNED_BY.search(environ.get("HTTP_AUTHORIZATION", ""))
    return found[1] if found else ""


def account_of(key: str, default: str) -> str:
    """The account in which moto keeps that access key; `default` for a made-up one."""
    if not key:
        return default
    from moto.iam.models import iam_backends

    for account, partitions in list(iam_backends.items()):
        if any(key in backend.access_keys for backend in list(partitions.values())):
            return account
    return default
