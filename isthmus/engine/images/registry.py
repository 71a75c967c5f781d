"""Looks up the current digest of a tag in a registry (OCI distribution API): two small requests, no pull.

The digest that a registry announces is verified: the manifest is fetched and its bytes are hashed.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from isthmus.core.digests import sha256_of
from isthmus.core.errors import EnvironmentFault, InputError
from isthmus.core.ip_addresses import is_loopback
from isthmus.engine.images.registry_logins import Logins

if TYPE_CHECKING:
    import httpx

    from isthmus.core.image_references import Reference

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""Indexes first: one digest for all architectures. The oldest format (schema 1) has no stable digest."""
_API_HOSTS = {"docker.io": "registry-1.docker.io"}
"""Registries whose API has another host name."""
_MAX_REDIRECTS = 5
_MAX_MANIFEST_BYTES = 4 * 1024 * 1024
"""Largest manifest that the specification requires a registry to accept."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PARAMETER = re.compile(r'([a-zA-Z]+)="([^"]*)"')
_ASK_OPERATOR = "Ask the operator of the registry; digests that are already resolved are kept"


def parse_mirror(url: str) -> tuple[str, frozenset[str]]:
    """Parse `https://registry.bank.example/path`, or the same without a scheme.

    Returns the registry with its path, and its host if it uses TLS although it may be on this machine. Raises
    `InputError` for plain HTTP to another machine.
    """
    scheme, _, address = url.rpartition("://")
    host = address.partition("/")[0]
    if scheme not in ("", "https") and not (scheme == "http" and is_loopback(host)):
        raise InputError(
            f"`{url}` does not use TLS",
            where="--registry",
            fix="Use https://, or http://localhost:PORT",
        )
    return address.rstrip("/"), frozenset({host} if scheme == "https" else ())


@dataclass
class Registries:
    """Client of registries over HTTPS, or plain HTTP on this machine; caches one token per repository."""

    logins: Logins
    over_tls: frozenset[str] = frozenset()
    """Hosts of registries on this machine that use TLS."""
    timeout_s: float = 20
    _tokens: dict[tuple[str, str], str] = field(default_factory=dict)
    _kept: httpx.Client | None = None

    def digest(self, reference: Reference) -> str:
        """The digest of the manifest of the reference's tag. Raises `EnvironmentFault`."""
        where = str(reference)
        head_response = self._asked("HEAD", reference, str(reference.tag))
        announced = head_response.headers.get("docker-content-digest", "")
        # Without a sha256 digest in the answer, fetch the manifest by its tag.
        name = announced if _DIGEST.fullmatch(announced) else str(reference.tag)
        manifest = self._asked("GET", reference, name)
        kind = manifest.headers.get("content-type", "").partition(";")[0].strip()
        if kind not in MANIFESTS:
            raise EnvironmentFault(
                f"the registry answered with `{kind}`, which is not a manifest",
                where=where,
                fix=_ASK_OPERATOR,
            )
        computed = sha256_of(manifest.content)
        for claimed in (announced, manifest.headers.get("docker-content-digest", "")):
            if claimed.startswith("sha256:") and claimed != computed:
                raise EnvironmentFault(
                    f"the registry announces the digest {claimed}, but the manifest's bytes hash to {computed}",
                    where=where,
                    fix="Do not use this image; ask the operator of the registry",
                )
        return computed

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()

    @property
    def _client(self) -> httpx.Client:
        import httpx

        if self._kept is None:
            # Uses the system's certificate authorities (SSL_CERT_FILE, SSL_CERT_DIR) and its proxy, if set.
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
        """Send a request and follow redirects, but not to plain HTTP elsewhere; other hosts do not get the token."""
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
            f"the registry redirected more than {_MAX_REDIRECTS} times", where=host, fix=_ASK_OPERATOR
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
                fix="Check network, proxy (HTTPS_PROXY) and certificate authorities (SSL_CERT_FILE), or use a mirror "
                "with --registry",
            ) from None
        headers_without_encoding = [
            (k, v) for k, v in answer.headers.multi_items() if k not in ("content-encoding", "content-length")
        ]
        return httpx.Response(
            answer.status_code, headers=headers_without_encoding, content=bytes(body), request=answer.request
        )

    def _login(self, refused: httpx.Response, reference: Reference) -> str:
        """The `Authorization` header that answers the registry's challenge."""
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
            f"the registry redirects to `{address.scheme}://{address.netloc}`, which does not use TLS",
            where=host,
            fix="Nothing was sent there; ask the operator of the registry",
        )


def _refusal(status: int, reference: Reference, *, logged_in: bool) -> EnvironmentFault:
    where = str(reference)
    if status in (401, 403):
        reader = "with these credentials" if logged_in else "without credentials"
        return EnvironmentFault(
            f"the registry refused access {reader} ({status})",
            where=where,
            fix=f"Log in (`docker login {reference.registry}` or `podman login`), or check the name",
        )
    if status == 404:
        fix = "Check registry, name and tag; a mirror must already hold the image"
        return EnvironmentFault("the registry does not have this tag", where=where, fix=fix)
    if status == 429:
        fix = "Log in, or try again later"
        return EnvironmentFault("the registry limits requests (429)", where=where, fix=fix)
    return EnvironmentFault(f"the registry answered {status}", where=where, fix="Try again later")
