"""TLS contexts, and their renewal when cert-manager has written new files."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from cryptography import x509

from edge.config import ConfigError, Listen, MutualListen, UpstreamTls
from edge.file_changes import Stamp, stamp

# Cipher suites of TLS 1.2 with forward secrecy and AEAD. All suites of TLS 1.3 have both.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def server_context(listen: Listen | MutualListen) -> ssl.SSLContext:
    """The TLS context of a listener. It requires a client certificate if `client_ca` is set. Raises ConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    # No session tickets, because a resumed session skips the check of the client's certificate.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    _load_chain(context, listen.certificate, listen.key, "listen")
    if listen.client_ca is not None:
        _load_ca(context, listen.client_ca, "listen.client_ca")
        for bundle in listen.client_ca_bundles:
            _load_ca(context, bundle, "listen.client_ca_bundles")
        context.verify_mode = ssl.CERT_REQUIRED
    if listen.crl is not None:
        revoked_in(listen.crl)  # OpenSSL accepts a file without any list, and then refuses every client
        _load_ca(context, listen.crl, "listen.crl")
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def revoked_in(path: Path) -> frozenset[tuple[bytes, int]]:
    """Issuer and serial number of each revoked certificate in the file. Raises ConfigError."""
    _require_readable(path, "listen.crl")
    try:
        revocation_lists = [
            x509.load_pem_x509_crl(b"-----BEGIN X509 CRL-----" + part)
            for part in path.read_bytes().split(b"-----BEGIN X509 CRL-----")[1:]
        ]
        if not revocation_lists:
            raise ValueError
        return frozenset(
            (revocation_list.issuer.public_bytes(), revoked.serial_number)
            for revocation_list in revocation_lists
            for revoked in revocation_list
        )
    except ValueError:
        raise ConfigError(f"listen.crl: {path} holds no PEM revocation list.") from None


def client_context(files: UpstreamTls) -> ssl.SSLContext:
    """The TLS context for upstreams: the gateway's client certificate, and the CAs that it trusts. Raises
    ConfigError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    _load_chain(context, files.certificate, files.key, "upstream_tls")
    _load_ca(context, files.ca, "upstream_tls.ca")
    for bundle in files.ca_bundles:
        _load_ca(context, bundle, "upstream_tls.ca_bundles")
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])


def _load_chain(context: ssl.SSLContext, certificate: Path, key: Path, where: str) -> None:
    for path, name in ((certificate, "certificate"), (key, "key")):
        _require_readable(path, f"{where}.{name}")
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError):
        raise ConfigError(
            f"{where}.certificate: {certificate} and {key} are not a PEM certificate and its key."
        ) from None


def _load_ca(context: ssl.SSLContext, path: Path, where: str) -> None:
    _require_readable(path, where)
    try:
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError):
        raise ConfigError(f"{where}: {path} holds no PEM certificate.") from None


def _require_readable(path: Path, where: str) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{where}: {path} cannot be read: {error.strerror}.") from None


class Watch:
    """Calls `renew` when one of the files has changed. If the renewal fails, the previous files stay in use."""

    def __init__(self, files: list[Path], renew: Callable[[], None]) -> None:
        self._files, self._renew = files, renew
        self._seen = self._signature()

    def poll(self) -> str | None:
        """None if nothing changed; otherwise `renewed`, or the reason why the renewal failed."""
        signature = self._signature()
        if signature == self._seen:
            return None
        self._seen = signature
        try:
            self._renew()
        except ConfigError as error:
            return str(error)
        return "renewed"

    def _signature(self) -> list[Stamp | None]:
        stamps: list[Stamp | None] = []
        for path in self._files:
            try:
                stamps.append(stamp(path))
            except OSError:
                stamps.append(None)
        return stamps


class RenewableServerContext:
    """The TLS context of a listener, whose certificate and client CA can be replaced while it runs.

    A renewal builds a complete new context, which applies from the next handshake. So an incomplete pair of files
    does no harm, and open connections continue.
    """

    def __init__(self, listen: Listen | MutualListen) -> None:
        self._listen = listen
        authorities = [listen.client_ca, *listen.client_ca_bundles] if listen.client_ca else []
        files = [listen.certificate, listen.key, *authorities, *([listen.crl] if listen.crl else [])]
        self.watch = Watch(files, self._renew)  # before the first read, so that no change is missed
        self.context = server_context(listen)
        self._current = self.context
        self._revoked = revoked_in(listen.crl) if listen.crl else frozenset()
        self.context.sni_callback = self._swap

    def is_revoked(self, certificate: bytes | None) -> bool:
        """Whether a client's certificate (DER) is revoked now. Its connection may be older than the revocation."""
        if not self._revoked or certificate is None:
            return False
        parsed = x509.load_der_x509_certificate(certificate)
        return (parsed.issuer.public_bytes(), parsed.serial_number) in self._revoked

    def _renew(self) -> None:
        self._current = server_context(self._listen)
        self._revoked = revoked_in(self._listen.crl) if self._listen.crl else frozenset()

    def _swap(
        self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, context: ssl.SSLContext
    ) -> None:
        if self._current is not self.context:
            connection.context = self._current
