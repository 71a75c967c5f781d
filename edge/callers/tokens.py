"""Verifies access tokens: JWTs by RFC 9068, and the shapes of Keycloak and Microsoft Entra ID.

Signature algorithms are fixed, whatever a token or a key says. Each refusal names its cause.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.util import to_bytes, urlsafe_b64decode

from edge.config.tokens import AcceptedTokens
from edge.file_changes import Stamp, stamp
from edge.journal import write_line
from edge.openai_api import Refusal

ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "EdDSA"]
PUBLIC_KEYS = ("RSA", "EC", "OKP")
ACCESS_TYPES = ("at+jwt", "application/at+jwt")
REFRESH_S = 3600.0
"""Age at which keys of a URL are fetched again."""
RETRY_S = 10.0
"""Seconds between two fetches because of an unknown key, so that made-up tokens cause no flood."""
STALE_S = 86400.0
"""Age at which keys are no longer used if the issuer does not answer."""
FETCH_S = 5.0
MOST_BYTES = 16 * 1024
"""Length of a token at most."""


@dataclass(frozen=True)
class Person:
    """Who a token was issued for."""

    subject: str
    """Issuer and subject, which name the person for good."""
    name: str
    """The name by which reviewers know the person."""
    groups: frozenset[str]
    signed_on_at: float | None = None
    """When the person signed on (claim `auth_time`), in seconds since 1970."""
    until: float = field(default=0.0, compare=False)
    """When the token ends, in seconds since 1970."""


class IssuerSilent(Exception):
    """The issuer's keys cannot be read."""


def looks_like_token(value: str) -> bool:
    """Whether a bearer value is a JWT by its form. Keys of a gateway have no dots."""
    return value.count(".") == 2


class Verifier:
    """Verifies tokens of one issuer. Raises Refusal 401, or 503 if the issuer's keys cannot be read."""

    def __init__(self, settings: AcceptedTokens) -> None:
        self._settings = settings
        self._keys = _FileKeys(settings.jwks_file) if settings.jwks_file else _FetchedKeys(settings)

    async def person(self, token: str) -> Person:
        """The person of a token."""
        if len(token) > MOST_BYTES:
            raise _refusal("invalid_token", "The token is too long.")
        header = _unverified_header(token)
        if header.get("alg") not in ALGORITHMS:
            raise _refusal(
                "token_algorithm",
                f"The token is signed with {str(header.get('alg'))[:20]!r}; {', '.join(ALGORITHMS)} are accepted.",
            )
        claims = await self._verified(token, header.get("kid"))
        self._check_kind(header, claims)
        self._check_claims(claims)
        return self._of(claims)

    async def _verified(self, token: str, kid: Any) -> dict[str, Any]:
        try:
            keys = await self._keys.get(kid if isinstance(kid, str) else None)
        except IssuerSilent:
            raise Refusal(
                503,
                "issuer_unavailable",
                "The gateway cannot read the keys of the sign-on; ask its operators.",
            ) from None
        if isinstance(kid, str) and kid not in {key.kid for key in keys.keys}:
            raise _refusal(
                "unknown_token_key", "The token is signed with a key that its issuer does not publish."
            )
        try:
            return dict(jwt.decode(token, keys, algorithms=ALGORITHMS).claims)
        except (JoseError, ValueError, TypeError, KeyError):
            raise _refusal("invalid_token", "The token's signature is not valid.") from None

    def _check_kind(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
        """Raise Refusal for an ID token or a refresh token."""
        kind, own = str(header.get("typ", "")).lower(), claims.get("typ")
        is_access = kind in ACCESS_TYPES or own == "Bearer" or "scp" in claims or "scope" in claims
        is_access = is_access or ("roles" in claims and "nonce" not in claims)
        if own == "ID" or not is_access or "at_hash" in claims:
            raise _refusal(
                "not_an_access_token",
                "This is not an access token but, for example, an ID token. Request an access token for "
                f"{self._settings.audiences[0]!r} and send that.",
            )

    def _check_claims(self, claims: Mapping[str, Any]) -> None:
        settings, now = self._settings, time.time()
        if claims.get("iss") != settings.issuer:
            raise _refusal("wrong_issuer", "The token is from another issuer than this gateway's sign-on.")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if not set(map(str, audiences)) & set(settings.audiences):
            raise _refusal(
                "wrong_audience",
                f"The token is for another audience; request one for {settings.audiences[0]!r}.",
            )
        client = next((claims[key] for key in ("azp", "client_id", "appid") if key in claims), None)
        if settings.clients and client not in settings.clients:
            raise _refusal(
                "wrong_application", "The token was issued to an application that may not call here."
            )
        expires, issued = _number(claims, "exp"), _number(claims, "iat")
        if expires + settings.skew_s <= now:
            raise _refusal("expired_token", "The token has expired; get a new one.")
        if max(issued, _number(claims, "nbf", issued)) - settings.skew_s > now:
            raise _refusal("token_of_the_future", "The token is not valid yet; check the clocks.")
        if expires - issued > settings.max_lifetime_s:
            raise _refusal(
                "long_lived_token",
                f"The token lives {expires - issued:.0f} s, and at most {settings.max_lifetime_s} s are accepted, so "
                "that who leaves a group is out soon. Shorten access tokens at the sign-on.",
            )

    def _of(self, claims: Mapping[str, Any]) -> Person:
        settings = self._settings
        subject = claims.get(settings.subject_claim)
        if not isinstance(subject, str) or not subject:
            raise _refusal("invalid_token", f"The token has no claim {settings.subject_claim!r}.")
        groups = claims.get(settings.groups_claim)
        sources = claims.get("_claim_names")
        if groups is None and (
            claims.get("hasgroups") or (isinstance(sources, dict) and settings.groups_claim in sources)
        ):
            raise _refusal(
                "groups_left_out",
                "The sign-on left the groups out of the token, because the person has too many. Let it send only "
                "groups that are assigned to the application, or application roles.",
            )
        listed = groups if isinstance(groups, list) else []
        name = claims.get(settings.name_claim)
        return Person(
            f"{settings.issuer}#{subject}",
            name if isinstance(name, str) and name else subject,
            frozenset(group.removeprefix("/") for group in listed if isinstance(group, str)),
            _number(claims, "auth_time") if "auth_time" in claims else None,
            _number(claims, "exp") + settings.skew_s,
        )


class _FileKeys:
    """Keys in a file, which is read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[Stamp, KeySet] | None = None

    async def get(self, kid: str | None) -> KeySet:
        try:
            current = stamp(self._path)
            if self._read is None or self._read[0] != current:
                self._read = current, _parse(self._path.read_bytes())
        except (OSError, ValueError) as error:
            raise IssuerSilent(f"{self._path}: {error}") from None
        return self._read[1]


class _FetchedKeys:
    """Keys that the issuer publishes. They are kept while it does not answer, for a day."""

    def __init__(self, settings: AcceptedTokens) -> None:
        self._url, self._ca = str(settings.jwks_url), settings.ca
        self._keys: KeySet | None = None
        self._fetched_at = self._tried_at = -STALE_S
        self._fetching = asyncio.Lock()

    async def get(self, kid: str | None) -> KeySet:
        # Who needs a key that is not here waits for a fetch that goes on; the others go on with what they know.
        if self._wants(kid) and not (self._knows(kid) and self._fetching.locked()):
            async with self._fetching:
                if self._wants(kid):
                    await self._fetch()
                    self._tried_at = time.monotonic()
        if self._keys is None or time.monotonic() - self._fetched_at > STALE_S:
            raise IssuerSilent(f"{self._url} does not answer")
        return self._keys

    def _wants(self, kid: str | None) -> bool:
        now = time.monotonic()
        if now - self._tried_at < RETRY_S:
            return False
        return not self._knows(kid) or now - self._fetched_at > REFRESH_S

    def _knows(self, kid: str | None) -> bool:
        return self._keys is not None and (kid is None or kid in {key.kid for key in self._keys.keys})

    async def _fetch(self) -> None:
        tls: ssl.SSLContext | bool = True
        try:
            if self._ca is not None:
                tls = await asyncio.to_thread(ssl.create_default_context, cafile=str(self._ca))
            async with httpx.AsyncClient(verify=tls, timeout=FETCH_S, trust_env=False) as client:
                response = await client.get(self._url)
            response.raise_for_status()
            self._keys = _parse(response.content)
        except (httpx.HTTPError, ValueError, OSError) as error:
            write_line("issuer_failed", url=self._url, error=type(error).__name__)
            return
        self._fetched_at = time.monotonic()


def _parse(raw: bytes) -> KeySet:
    """The public signature keys of a JWKS. Raises ValueError."""
    value = json.loads(raw)
    entries = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it has no `keys`")
    usable = []
    for entry in entries:
        if isinstance(entry, dict) and entry.get("kty") in PUBLIC_KEYS and entry.get("use") != "enc":
            public = {
                key: text
                for key, text in entry.items()
                if key not in ("d", "p", "q", "dp", "dq", "qi", "oth")
            }
            with contextlib.suppress(JoseError, ValueError, TypeError, KeyError):
                usable += KeySet.import_key_set({"keys": [public]}).keys
    if not usable:
        raise ValueError("it has no public key for signatures")
    return KeySet(usable)


def _unverified_header(token: str) -> dict[str, Any]:
    """The header of a token. Raises Refusal 401."""
    try:
        header = json.loads(urlsafe_b64decode(to_bytes(token.split(".")[0])))
        if not isinstance(header, dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise _refusal("invalid_token", "The token cannot be read.") from None
    return header


def _number(claims: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) > 1e12:
        raise _refusal("invalid_token", f"The token has no valid claim {name!r}.")
    return float(value)


def _refusal(code: str, message: str) -> Refusal:
    return Refusal(401, code, message)
