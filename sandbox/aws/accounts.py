"""Determines the account of a request: that of the session or user whose key signed it, else the sandbox's own.

`Accounts` runs before all other handlers. It passes the account to moto by moto's header, and to the operations
beside moto by `account_of_request`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_ACCOUNT_KEY = "isthmus.account"
_MOTO_HEADER = "HTTP_X_MOTO_ACCOUNT_ID"
_SIGNED_BY = re.compile(r"Credential=([^/]+)/")


class Accounts:
    """A WSGI application that adds the account to each request and passes it to `next_app`."""

    def __init__(self, next_app: Any, account: str) -> None:
        self._behind = next_app
        self._account = account

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # A header that the client sends has no effect.
        environ[_ACCOUNT_KEY] = environ[_MOTO_HEADER] = account_of(access_key(environ), self._account)
        return self._behind(environ, start_response)


def account_of_request(environ: Mapping[str, Any], default: str) -> str:
    """Return the account of a request that passed `Accounts`, else `default`."""
    return str(environ.get(_ACCOUNT_KEY, default))


def access_key(environ: Mapping[str, Any]) -> str:
    """Return the id of the key that signed the request. Empty: the request is not signed."""
    match = _SIGNED_BY.search(environ.get("HTTP_AUTHORIZATION", ""))
    return match[1] if match else ""


def account_of(key: str, default: str) -> str:
    """Return the account in which moto stores the access key. A made-up key gives `default`."""
    if not key:
        return default
    from moto.iam.models import iam_backends

    for account, partitions in list(iam_backends.items()):
        if any(key in backend.access_keys for backend in list(partitions.values())):
            return account
    return default
