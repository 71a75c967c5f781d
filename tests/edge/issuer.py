"""An issuer of access tokens, as tests need it: keys that rotate, and tokens of every shape."""

from __future__ import annotations

import json
import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

ISSUER, AUDIENCE, CHAT = "https://sso.bank.example/realms/bank", "isthmus", "chat"


class Issuer:
    """Signs tokens with its newest key."""

    def __init__(self) -> None:
        self.keys: list[RSAKey] = []
        self.rotate()

    def rotate(self, *, forget: bool = False) -> None:
        """Sign with a new key from now on; forget the earlier ones if asked."""
        key = RSAKey.generate_key(2048, {"kid": f"key-{len(self.keys)}-{time.monotonic_ns()}", "use": "sig"})
        self.keys = [key] if forget else [*self.keys, key]

    def published(self) -> str:
        """The public keys, as a JWKS."""
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]})

    def token(
        self, groups: list[str] | None = None, header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """An access token of Keycloak's shape. A claim that is None is left out."""
        now = int(time.time())
        all_claims: dict[str, Any] = {
            **{"iss": ISSUER, "aud": [AUDIENCE, "account"], "azp": CHAT, "typ": "Bearer"},
            **{"sub": "5c0c", "email": "clara@bank.example", "iat": now, "exp": now + 300},
            "groups": groups,
            **claims,
        }
        kept = {name: value for name, value in all_claims.items() if value is not None}
        key = self.keys[-1]
        return jwt.encode({"alg": "RS256", "kid": key.kid, "typ": "JWT", **(header or {})}, kept, key)
