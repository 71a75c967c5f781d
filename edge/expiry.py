"""How long keys and certificates are still valid, for metrics that warn before they expire."""

from __future__ import annotations

import time
from pathlib import Path

from cryptography import x509

from edge.file_changes import Stamp, stamp

LOOK_S = 60.0
"""Seconds between two looks at the store of keys."""


class CertificateExpiry:
    """The end of a certificate file, which is read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: Stamp | None = None
        self._ends = float("nan")

    def left_s(self) -> float:
        """Seconds until the certificate expires. NaN: the file cannot be read."""
        try:
            if (now := stamp(self._path)) != self._stamp:
                certificate = x509.load_pem_x509_certificates(self._path.read_bytes())[0]
                self._ends, self._stamp = certificate.not_valid_after_utc.timestamp(), now
        except (OSError, ValueError, IndexError):
            return float("nan")
        return self._ends - time.time()
