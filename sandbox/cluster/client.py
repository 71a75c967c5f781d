"""A small client of the Kubernetes API: plain paths and JSON, with a kubeconfig's certificates.

Safe to use from several threads. A refusal of the API server is an `ApiError`; a server that does not
answer is an `EnvironmentFault`.
"""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from isthmus.core import yaml_files
from isthmus.core.errors import EnvironmentFault

MANAGER = "isthmus-sandbox"
"""Field manager of everything that the sandbox applies."""

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_NAMES_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class ApiError(EnvironmentFault):
    """The API server's refusal, with its HTTP status and message."""

    def __init__(self, method: str, path: str, status: int, message: str) -> None:
        super().__init__(f"the API server refused {method} {path} ({status}): {message}")
        self.status = status
        self.message = message


class KubeClient:
    """One cluster, by the context of a kubeconfig."""

    def __init__(self, server: str, authority: str, certificate: str, key: str) -> None:
        """`authority`, `certificate` and `key` are PEM texts."""
        trust = ssl.create_default_context(cadata=authority)
        # ssl takes a client's key from a file only; it is gone as soon as it has been read.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
            pair.write(certificate + "\n" + key)
            pair.flush()
            trust.load_cert_chain(pair.name)
        self.server = server
        self._http = httpx.Client(
            base_url=server,
            verify=trust,
            timeout=30.0,
            trust_env=False,
            limits=httpx.Limits(max_connections=16),
        )

    @classmethod
    def of(cls, kubeconfig: Path, context: str) -> KubeClient:
        """The client for a context whose certificates are embedded in the kubeconfig."""
        if not kubeconfig.exists():
            raise EnvironmentFault(
                "there is no kubeconfig", where=str(kubeconfig), fix="Run `isthmus sandbox up REQUIREMENTS`"
            )
        data = yaml_files.load(kubeconfig).data
        try:
            chosen = _named(data["contexts"], context)["context"]
            cluster = _named(data["clusters"], chosen["cluster"])["cluster"]
            user = _named(data["users"], chosen["user"])["user"]
        except KeyError as missing:
            known = ", ".join(entry["name"] for entry in data.get("contexts") or []) or "none"
            raise EnvironmentFault(
                f"the kubeconfig has no {missing} for context {context!r}",
                where=str(kubeconfig),
                fix=f"Contexts in it: {known}",
            ) from None
        return cls(
            cluster["server"],
            _decoded(cluster["certificate-authority-data"]),
            _decoded(user["client-certificate-data"]),
            _decoded(user["client-key-data"]),
        )

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> KubeClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: str | None = None,
        media: str = "application/json",
        params: dict[str, str] | None = None,
        accept: str = "application/json",
        timeout: float = 30.0,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """One call, whatever its status; `body` goes as JSON, `content` as it is."""
        payload = content if content is not None else (json.dumps(body) if body is not None else None)
        sent = {"accept": accept} | ({"content-type": media} if payload is not None else {}) | (headers or {})
        try:
            return self._http.request(
                method, path, content=payload, headers=sent, params=params, timeout=timeout
            )
        except httpx.TransportError as error:
            raise EnvironmentFault(
                f"the cluster does not answer ({type(error).__name__})",
                where=self.server,
                fix="Run `isthmus sandbox up REQUIREMENTS` to start or mend it",
            ) from None

    def call(self, method: str, path: str, **rest: Any) -> Any:
        """As `request`, giving the answer's JSON; a status of 400 and above is an `ApiError`.

        "Too many requests" is asked again for some seconds: the API server says it while the storage of
        a new kind of resource starts.
        """
        answer = self.request(method, path, **rest)
        patience = time.monotonic() + 10
        while answer.status_code == 429 and time.monotonic() < patience:
            time.sleep(0.2)
            answer = self.request(method, path, **rest)
        if answer.status_code >= 400:
            raise ApiError(method, path, answer.status_code, _message(answer))
        return answer.json() if answer.content else None

    def get(self, path: str, **rest: Any) -> Any:
        return self.call("GET", path, **rest)

    def find(self, path: str) -> Any | None:
        """The object at `path`, or None where there is none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def names(self, collection: str) -> set[str]:
        """Names of the objects in a collection, without their content."""
        return {item["metadata"]["name"] for item in self.get(collection, accept=_NAMES_ONLY)["items"] or []}

    def create(self, collection: str, body: Any) -> Any:
        return self.call("POST", collection, body=body, params={"fieldManager": MANAGER})

    def delete(self, path: str) -> None:
        """Delete the object; that it is gone already is fine."""
        try:
            self.call("DELETE", path)
        except ApiError as error:
            if error.status != 404:
                raise

    def apply(
        self,
        path: str,
        body: Any = None,
        *,
        content: str | None = None,
        manager: str = MANAGER,
        force: bool = True,
    ) -> Any:
        """Server-side apply of an object (`body`) or of its YAML as it is (`content`)."""
        return self.call(
            "PATCH",
            path,
            body=body,
            content=content,
            media="application/apply-patch+yaml",
            params={"fieldManager": manager, "force": str(force).lower()},
        )

    def changes(self, path: str, seconds: int = 240) -> Iterator[str]:
        """A line for each object of the collection and each change to one, until the server ends the watch."""
        params = {"watch": "true", "timeoutSeconds": str(seconds)}
        url = httpx.URL(path).copy_merge_params(params)
        with self._http.stream("GET", url, timeout=seconds + 30.0) as answer:
            if answer.status_code >= 400:
                raise ApiError("GET", path, answer.status_code, "it cannot be watched")
            yield from answer.iter_lines()

    def ready(self) -> bool:
        """Does the API server say that it is ready?"""
        try:
            return self.request("GET", "/readyz", timeout=3.0).status_code == 200
        except EnvironmentFault:
            return False

    def resources(self) -> set[str]:
        """Every resource that discovery names, as `PLURAL.GROUP`."""
        groups = self.get("/apis", accept=_DISCOVERY)["items"]
        return {
            f"{resource['resource']}.{group['metadata']['name']}"
            for group in groups
            for version in group["versions"]
            for resource in version.get("resources") or []
        }


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise KeyError(name)


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode("ascii")


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("message", answer.text))
    except ValueError:
        return answer.text[:500]
