"""Ask a registry for the digest that a tag has now, by the OCI distribution API: two small requests, nothing pulled.

What a registry says is not believed: the manifest is fetched by its digest and its bytes are hashed.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from isthmus.core.errors import EnvironmentFault, InputError
from isthmus.engine.images.registry_logins import Logins, is_loopback

if TYPE_CHECKING:
    import httpx

    from isthmus.core.image_references import Reference

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""Indexes first: one digest for all architectures. The oldest form (schema 1) has no digest that holds."""
_API_HOSTS = {"docker.io": "registry-1.docker.io"}
"""Where a registry answers, if not under its own name."""
_MAX_REDIRECTS = 5
_MAX_MANIFEST_BYTES = 4 * 1024 * 1024
"""Of a manifest, bytes (what the specification asks a registry to take)."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PARAMETER = re.compile(r'([a-zA-Z]+)="([^"]*)"')
_ASK_OPERATOR = "Ask who runs the registry; what is resolved already stays"


def parse_mirror(url: str) -> tuple[str, frozenset[str]]:
    """`https://registry.bank.example/path`, or without the scheme: the registry, and it again if it speaks TLS here.

    Raises `InputError` for plain HTTP to another machine.
    """
    scheme, _, address = url.rpartition("://")
    host = address.partition("/")[0]
    if scheme not in ("", "https") and not (scheme == "http" and is_loopback(host)):
        raise InputError(
            f"`{url}` is no registry over TLS",
            where="--registry",
            fix="Give https://, or http://localhost:PORT",
        )
    return address.rstrip("/"), frozenset({host} if scheme == "https" else ())


@dataclass
class Registries:
    """Registries over HTTPS, or plain HTTP where one is on this machine; one token for each name asked for."""

    logins: Logins
    over_tls: frozenset[str] = frozenset()
    """Registries on this machine that speak TLS all the same."""
    timeout_s: float = 20
    _tokens: dict[tuple[str, str], str] = field(default_factory=dict)
    _kept: httpx.Client | None = None

    def digest(self, reference: Reference) -> str:
        """The digest of the manifest that the reference's tag names. Raises `EnvironmentFault`."""
        where = str(reference)
        head_response = self._asked("HEAD", reference, str(reference.tag))
        announced = head_response.headers.get("docker-content-digest", "")
        # Without a digest in the answer, or with one of another kind, the body must say.
        name = announced if _DIGEST.fullmatch(announced) else str(reference.tag)
        manifest = self._asked("GET", reference, name)
        kind = manifest.headers.get("content-type", "").partition(";")[0].strip()
        if kind not in MANIFESTS:
            raise EnvironmentFault(
                f"the registry answered with `{kind}`, no manifest", where=where, fix=_ASK_OPERATOR
            )
        computed = f"sha256:{hashlib.sha256(manifest.content).hexdigest()}"
        for claimed in (announced, manifest.headers.get("docker-content-digest", "")):
            if claimed.startswith("sha256:") and claimed != computed:
                raise EnvironmentFault(
                    f"the registry calls the manifest {claimed}, and its bytes are {computed}",
                    where=where,
                    fix="Do not use it, and ask who runs the registry",
                )
        return computed

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()

    @property
    def _client(self) -> httpx.Client:
        import httpx

        if self._kept is None:
            # The system's authorities (SSL_CERT_FILE and SSL_CERT_DIR count), and its proxy where one is set.
            context = ssl.create_default_context()
            self._kept = httpx.Client(verify=context, timeout=self.timeout_s, follow_redirects=False)
        return self._kept

    def _scheme(self, host: str) -> str:
        return "http" if is_loopback(host) and host not in self.over_tls else "https"

    def _asked(self, method: str, reference: Reference, name: str) -> httpx.Response:
        host = reference.registry
        url = f"{self._scheme(host)}://{_API_HOSTS.get(host, host)}/v2/{reference.name}/manifests/{name}"
        key = (host, reference.name)
        answer = self._send(method, url, host, self._tokens.get(key))
        if answer.status_code == 401 and key not in self._tokens:
            self._tokens[key] = self._login(answer, reference)
            answer = self._send(method, url, host, self._tokens[key])
        if answer.status_code == 200:
            return answer
        raise _refusal(answer.status_code, reference, logged_in=self.logins.of(host) is not None)

    def _send(self, method: str, url: str, host: str, authorization: str | None) -> httpx.Response:
        """Follows redirects itself: never to plain HTTP elsewhere, and without our token to another host."""
        first = urlsplit(url).netloc
        for _ in range(_MAX_REDIRECTS):
            headers = {"Accept": ", ".join(MANIFESTS)}
            if authorization and urlsplit(url).netloc == first:
                headers["Authorization"] = authorization
            answer = self._call(method, url, host, headers)
            if not answer.is_redirect:
                return answer
            url = urljoin(url, answer.headers.get("location", ""))
            _require_tls(url, host)
        raise EnvironmentFault(
            "the registry sends from one address to the next", where=host, fix=_ASK_OPERATOR
        )

    def _call(
        self, method: str, url: str, host: str, headers: dict[str, str], **query: str
    ) -> httpx.Response:
        import httpx

        try:
            with self._client.stream(method, url, headers=headers, params=query or None) as answer:
                body = bytearray()
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > _MAX_MANIFEST_BYTES:
                        raise EnvironmentFault(
                            f"the answer is longer than {_MAX_MANIFEST_BYTES} bytes",
                            where=host,
                            fix=_ASK_OPERATOR,
                        )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise EnvironmentFault(
                f"the registry cannot be reached ({reason})",
                where=host,
                fix="Check network, proxy (HTTPS_PROXY) and authorities (SSL_CERT_FILE), or ask a mirror "
                "with --registry",
            ) from None
        headers_without_encoding = [
            (k, v) for k, v in answer.headers.multi_items() if k not in ("content-encoding", "content-length")
        ]
        return httpx.Response(
            answer.status_code, headers=headers_without_encoding, content=bytes(body), request=answer.request
        )

    def _login(self, refused: httpx.Response, reference: Reference) -> str:
        """The header that the registry's challenge asks for."""
        host = reference.registry
        basic = self.logins.of(host)
        challenges = refused.headers.get_list("www-authenticate")
        bearer = next(
            (challenge for challenge in challenges if challenge.lower().startswith("bearer ")), None
        )
        if bearer is None:
            if basic and any(challenge.lower().startswith("basic") for challenge in challenges):
                return basic
            raise _refusal(401, reference, logged_in=basic is not None)
        parameters = {key.lower(): value for key, value in _PARAMETER.findall(bearer)}
        realm = parameters.get("realm", "")
        _require_tls(realm, host)
        query = {"scope": parameters.get("scope") or f"repository:{reference.name}:pull"}
        if "service" in parameters:
            query["service"] = parameters["service"]
        answer = self._call("GET", realm, host, {"Authorization": basic} if basic else {}, **query)
        try:
            content = answer.json() if answer.status_code == 200 else {}
            token = content.get("token") or content.get("access_token")
        except (ValueError, AttributeError):
            token = None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise _refusal(answer.status_code, reference, logged_in=basic is not None)
        return f"Bearer {token}"


def _require_tls(url: str, host: str) -> None:
    address = urlsplit(url)
    if address.scheme != "https" and not (address.scheme == "http" and is_loopback(address.netloc)):
        raise EnvironmentFault(
            f"the registry sends to `{address.scheme}://{address.netloc}`, without TLS",
            where=host,
            fix="Nothing was sent there; ask who runs the registry",
        )


def _refusal(status: int, reference: Reference, *, logged_in: bool) -> EnvironmentFault:
    where = str(reference)
    if status in (401, 403):
        reader = "these credentials" if logged_in else "somebody without credentials"
        return EnvironmentFault(
            f"the registry does not let {reader} read it ({status})",
            where=where,
            fix=f"Log in (`docker login {reference.registry}` or `podman login`), or check that the name is right",
        )
    if status == 404:
        fix = "Check registry, name and tag; a mirror must hold it already"
        return EnvironmentFault("the registry has no such tag", where=where, fix=fix)
    if status == 429:
        fix = "Log in, or try again later"
        return EnvironmentFault("the registry has had too many requests", where=where, fix=fix)
    return EnvironmentFault(f"the registry answered {status}", where=where, fix="Try again later")
