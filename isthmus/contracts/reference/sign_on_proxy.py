"""The arguments of oauth2-proxy, at which people sign on to a chat or a review desk."""

from __future__ import annotations

from isthmus.contracts.reference.open_webui import SESSION_S

ROLES = ("sign-on", "reviews-sign-on")
"""Roles of its pods: before a chat, and before a review desk."""
REPLICAS = 2
"""Replicas of a proxy."""
REFRESH_S = 240
"""Age of an access token at which a new one is fetched: of ten minutes, six are left for an answer."""


def sign_on_arguments(
    issuer: str, client: str, scope: str, url: str, upstream: str, session_s: int = SESSION_S
) -> list[str]:
    """It passes the person's access token on, and no other word about the person.

    `url`: where people open the chat or the desk. `upstream`: URL of the chat's own proxy or of the desk. It verifies
    the token and knows people by its subject. `session_s`: seconds after which people sign on anew.
    """
    return [
        "--provider=oidc",
        f"--oidc-issuer-url={issuer}",
        f"--client-id={client}",
        f"--redirect-url={url}/oauth2/callback",
        f"--scope={scope}",
        "--code-challenge-method=S256",
        "--skip-provider-button=true",
        "--email-domain=*",
        "--oidc-email-claim=sub",  # it demands a claim of each person, and all have this one
        f"--upstream={upstream}/",
        "--upstream-timeout=600s",
        "--pass-access-token=true",
        "--pass-user-headers=false",
        "--pass-basic-auth=false",
        "--pass-authorization-header=false",
        "--skip-auth-strip-headers=true",
        "--cookie-samesite=lax",
        f"--cookie-expire={session_s}s",
        f"--cookie-refresh={REFRESH_S}s",
        "--request-logging=false",
        "--auth-logging=false",
        "--silence-ping-logging=true",
    ]


def serving_arguments(port: int, metrics_port: int, *, has_issuer_ca: bool) -> list[str]:
    """Where it listens in a pod, and its files."""
    return [
        "--cookie-secure=true",
        f"--https-address=0.0.0.0:{port}",
        f"--tls-cert-file={TLS}/tls.crt",
        f"--tls-key-file={TLS}/tls.key",
        "--http-address=",
        f"--metrics-address=0.0.0.0:{metrics_port}",
        f"--client-secret-file={SECRETS}/client-secret",
        f"--cookie-secret-file={SECRETS}/cookie-secret",
        *([f"--provider-ca-file={ISSUER_CA}/ca.crt"] if has_issuer_ca else []),
    ]


SECRETS, TLS, ISSUER_CA = "/etc/isthmus/sign-on", "/etc/isthmus/tls", "/etc/isthmus/issuer"
"""Folders in its pod: its secrets, its certificate with the CA of its upstream's, and the CA of the issuer."""
