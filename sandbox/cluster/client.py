"""A small client of the Kubernetes API: URL paths and JSON, with the certificates of a kubeconfig.

The client is thread-safe. It raises `ApiError` if the API server refuses a call, and `EnvironmentFault` if the
server does not answer.
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
"""Field manager of all objects that the sandbox applies."""

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_NAMES_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class ApiError(EnvironmentFault):
    """The API server refused a call. Holds its HTTP status and message."""

    def __init__(self, method: str, path: str, status: int, message: str) -> None:
        super().__init__(f"the API server refused {method} {path} ({status}): {message}")
        self.status = status
        self.message = message


class KubeClient:
    """A client of one cluster."""

    def __init__(self, server: str, authority: str, certificate: str, key: str) -> None:
        """`authority`, `certificate` and `key` are PEM texts."""
        tls_context = ssl.create_default_context(cadata=authority)
        # ssl reads a client's key only from a file, so the key is in a temporary one for a moment.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as key_file:
            key_file.write(certificate + "\n" + key)
            key_file.flush()
            tls_context.load_cert_chain(key_file.name)
        self.server = server
        self._http = httpx.Client(
            base_url=server,
            verify=tls_context,
            timeout=30.0,
            trust_env=False,
            limits=httpx.Limits(max_connections=16),
        )

    @classmethod
    def from_kubeconfig(cls, kubeconfig: Path, context: str) -> KubeClient:
        """Return the client of a context. The kubeconfig must embed the certificates.

        Raises `EnvironmentFault` if the file or the context does not exist.
        """
        if not kubeconfig.exists():
            raise EnvironmentFault(
                "the kubeconfig does not exist",
                where=str(kubeconfig),
                fix="Run `isthmus sandbox up REQUIREMENTS`",
            )
        data = yaml_files.load(kubeconfig).data
        try:
            context_entry = _find_by_name(data["contexts"], context)["context"]
            cluster = _find_by_name(data["clusters"], context_entry["cluster"])["cluster"]
            user = _find_by_name(data["users"], context_entry["user"])["user"]
        except KeyError as missing_name:
            context_names = ", ".join(entry["name"] for entry in data.get("contexts") or []) or "none"
            raise EnvironmentFault(
                f"the kubeconfig has no {missing_name} for context {context!r}",
                where=str(kubeconfig),
                fix=f"Use one of its contexts: {context_names}",
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
        content_type: str = "application/json",
        params: dict[str, str] | None = None,
        timeout: float = 30.0,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Make one call and return the response, whatever its status. `body` is sent as JSON, `content` as is."""
        payload = content if content is not None else (json.dumps(body) if body is not None else None)
        request_headers = (
            {"accept": "application/json"}
            | ({"content-type": content_type} if payload is not None else {})
            | (headers or {})
        )
        try:
            return self._http.request(
                method, path, content=payload, headers=request_headers, params=params, timeout=timeout
            )
        except httpx.TransportError as error:
            raise EnvironmentFault(
                f"the cluster does not answer ({type(error).__name__})",
                where=self.server,
                fix="Run `isthmus sandbox up REQUIREMENTS` to start or repair it",
            ) from None

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Make one call and return its JSON. Raises `ApiError` for a status of 400 or more.

        Status 429 is retried for 10 s: the API server returns it while the storage of a new resource type starts.
        """
        response = self.request(method, path, **options)
        retry_until = time.monotonic() + 10
        while response.status_code == 429 and time.monotonic() < retry_until:
            time.sleep(0.2)
            response = self.request(method, path, **options)
        if response.status_code >= 400:
            raise ApiError(method, path, response.status_code, _error_message(response))
        return response.json() if response.content else None

    def get(self, path: str, **options: Any) -> Any:
        return self.call("GET", path, **options)

    def find(self, path: str) -> Any | None:
        """Return the object at `path`, or None if it does not exist."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def names(self, collection: str) -> set[str]:
        """Return the names of the objects in a collection, without reading the objects."""
        return {
            item["metadata"]["name"]
            for item in self.get(collection, headers={"accept": _NAMES_ONLY})["items"] or []
        }

    def create(self, collection: str, body: Any) -> Any:
        return self.call("POST", collection, body=body, params={"fieldManager": MANAGER})

    def delete(self, path: str) -> None:
        """Delete the object. Does nothing if it does not exist."""
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
        """Apply an object (`body`) or its YAML text (`content`) by server-side apply."""
        return self.call(
            "PATCH",
            path,
            body=body,
            content=content,
            content_type="application/apply-patch+yaml",
            params={"fieldManager": manager, "force": str(force).lower()},
        )

    def changes(self, path: str, seconds: int = 240) -> Iterator[str]:
        """Watch a collection: one line for each object and each change, until the server ends the watch."""
        params = {"watch": "true", "timeoutSeconds": str(seconds)}
        url = httpx.URL(path).copy_merge_params(params)
        with self._http.stream("GET", url, timeout=seconds + 30.0) as response:
            if response.status_code >= 400:
                raise ApiError("GET", path, response.status_code, "the collection cannot be watched")
            yield from response.iter_lines()

    def ready(self) -> bool:
        """Return True if the API server reports that it is ready."""
        try:
            return self.request("GET", "/readyz", timeout=3.0).status_code == 200
        except EnvironmentFault:
            return False

    def resources(self) -> set[str]:
        """Return every resource type that the API server serves in a group, as `PLURAL.GROUP`."""
        groups = self.get("/apis", headers={"accept": _DISCOVERY})["items"]
        return {
            f"{resource['resource']}.{group['metadata']['name']}"
            for group in groups
            for version in group["versions"]
            for resource in version.get("resources") or []
        }


def _find_by_name(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise KeyError(name)


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode("ascii")


def _error_message(response: httpx.Response) -> str:
    try:
        return str(response.json().get("message", response.text))
    except ValueError:
        return response.text[:500]
