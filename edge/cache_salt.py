"""Computes salts for prefix caches, so that cached prefixes are shared within one team or workload only.

vLLM caches the computed beginning of a prompt. Without a salt, a fast answer reveals that somebody else sent the
same text.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from edge.config import ConfigError, GatewayConfig, Route

_KEY = re.compile(r"[0-9a-fA-F]{64,}")


class Salts:
    """HMACs of the sharing team or workload, under the site's key. Without a key, the salts are the plain names."""

    def __init__(self, config: GatewayConfig) -> None:
        self._class, self._key = config.data_class, b""
        if config.salt_key is not None:
            try:
                text = config.salt_key.read_text().strip()
            except (OSError, UnicodeDecodeError):
                raise ConfigError(f"salt_key: {config.salt_key} cannot be read.") from None
            if not _KEY.fullmatch(text) or len(text) % 2:
                raise ConfigError(f"salt_key: {config.salt_key} does not hold 64 hexadecimal digits.")
            self._key = bytes.fromhex(text)

    def of(self, route: Route) -> str:
        """The salt of a route. It names the team or workload that shares the cache."""
        assert route.cache_salt is not None
        if not self._key:
            return route.cache_salt
        about = f"isthmus cache salt\0{self._class}\0{route.cache_salt}".encode()
        return base64.urlsafe_b64encode(hmac.digest(self._key, about, hashlib.sha256)).decode().rstrip("=")
