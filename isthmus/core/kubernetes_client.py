"""A small client of the Kubernetes API: URL paths and JSON, with the server and credentials of a kubeconfig.

`isthmus up`, `preview` and the sandbox use it. It is thread-safe and keeps its connections open. It raises `ApiRefusal`
if the API server refuses a call, and `EnvironmentFault` if the server does not answer.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from isthmus.core import yaml_files
from isthmus.core.errors import EnvironmentFault

MERGE_PATCH = "application/merge-patch+json"

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_NAMES_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class ApiRefusal(EnvironmentFault):
    """The API server refused a call: its HTTP `status` and its `message`."""

    def __init__(self, status: int, message: str, request: str = "a call") -> None:
        self.status = status
        self.message = message
        super().__init__(f"the API server refused {request} ({status}): {message}")

    @property
    def reason(self) -> str:
        """Status and message, for a message that names the call itself."""
        return f"{self.status}: {self.message}"


@dataclass
class KubeClient:
    """The client of one cluster.

    Args:
        context: the cluster's context, for messages.
        server: the URL of the API server.
        trust: the certificate authority to trust, with the client's certificate; None for the system's authorities.
        token: a bearer token.
        timeout_s: how long a call waits for an answer, in seconds.
        manager: the field manager of objects that this client applies or creates.
    """

    context: str
    server: str
    trust: ssl.SSLContext | None
    token: str | None = None
    timeout_s: float = 30.0
    manager: str = "isthmus"

    @classmethod
    def of_context(cls, context: str, environment: Mapping[str, str] | None = None) -> KubeClient:
        """The client of a context of the kubeconfig files in effect. Raises as `from_kubeconfig`."""
        return cls.from_kubeconfig(kubeconfig_files(environment), context)

    @classmethod
    def from_kubeconfig(
        cls, kubeconfig: Path | list[Path], context: str, *, manager: str = "isthmus"
    ) -> KubeClient:
        """The client of a context. Of several files, the first one that defines a name counts, as for kubectl.

        Raises `EnvironmentFault` if no file exists, the context does not exist, or its credentials cannot be used.
        """
        files = [kubeconfig] if isinstance(kubeconfig, Path) else kubeconfig
        entries = _read_context(files, context)
        return cls(context, *_credentials(context, entries), manager=manager)

    @cached_property
    def _http(self) -> httpx.Client:
        client = httpx.Client(
            verify=self.trust or True,
            headers={"authorization": f"Bearer {self.token}"} if self.token else {},
            # Proxies of the environment are for the internet, not for clusters.
            trust_env=False,
            limits=httpx.Limits(max_connections=16),
        )
        weakref.finalize(self, client.close)
        return client

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
        content_type: str = "application/json",
        accept: str = "application/json",
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> httpx.Response:
        """Make one call and return the response, whatever its status. A `body` is sent as JSON, text as it is.

        Raises `EnvironmentFault` if no answer comes within `timeout_s` seconds.
        """
        payload = body if isinstance(body, str) or body is None else json.dumps(body)
        request_headers = {"accept": accept, **(headers or {})}
        if payload is not None:
            request_headers["content-type"] = content_type
        try:
            return self._http.request(
                method,
                self._url(path, params),
                content=payload,
                headers=request_headers,
                timeout=self.timeout_s if timeout_s is None else timeout_s,
            )
        except httpx.TransportError as error:
            raise self._no_answer(error) from None

    def _url(self, path: str, params: Mapping[str, str] | None) -> httpx.URL:
        if not self.server.startswith(("https://", "http://")):
            raise EnvironmentFault(
                f"the server address `{self.server}` is not a URL",
                where=self.context,
                fix="Correct the kubeconfig: `server` is like `https://10.0.0.1:6443`",
            )
        url = httpx.URL(self.server.rstrip("/") + path)
        return url.copy_merge_params(dict(params)) if params else url

    def _no_answer(self, error: httpx.TransportError) -> EnvironmentFault:
        return EnvironmentFault(
            f"the cluster of context `{self.context}` does not answer at {self.server} "
            f"({str(error) or type(error).__name__})",
            fix="Check that the cluster runs and the kubeconfig is correct (sandbox: `isthmus sandbox status`)",
        )

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Make one call and return its JSON; `options` as for `request`.

        Raises `ApiRefusal` for a status of 400 or more, `EnvironmentFault` without an answer. Status 429 is retried
        for 10 s: the API server returns it when it is busy and while the storage of a new resource type starts.
        """
        response = self.request(method, path, **options)
        retry_until = time.monotonic() + 10
        while response.status_code == 429 and time.monotonic() < retry_until:
            time.sleep(0.2)
            response = self.request(method, path, **options)
        if response.status_code >= 400:
            raise ApiRefusal(response.status_code, _error_message(response), f"{method} {path}")
        return response.json() if response.content else None

    def get(self, path: str, **options: Any) -> Any:
        return self.call("GET", path, **options)

    def find(self, path: str, **options: Any) -> Any | None:
        """The object at `path`, or None if it does not exist. Raises as `call`."""
        try:
            return self.call("GET", path, **options)
        except ApiRefusal as refusal:
            if refusal.status == 404:
                return None
            raise

    def items(self, collection: str) -> list[Any]:
        """The objects of a collection; none if the cluster does not serve it. Raises as `call`."""
        found = self.find(collection)
        return list(found["items"] or []) if found is not None else []

    def names(self, collection: str) -> set[str]:
        """The names of the objects in a collection, without reading the objects."""
        return {item["metadata"]["name"] for item in self.get(collection, accept=_NAMES_ONLY)["items"] or []}

    def create(self, collection: str, body: Any) -> Any:
        return self.call("POST", collection, body=body, params={"fieldManager": self.manager})

    def delete(self, path: str) -> None:
        """Delete the object. Does nothing if it does not exist."""
        try:
            self.call("DELETE", path)
        except ApiRefusal as refusal:
            if refusal.status != 404:
                raise

    def apply(self, path: str, body: Any, *, manager: str | None = None, force: bool = True) -> Any:
        """Apply an object, or its YAML text, by server-side apply."""
        return self.call(
            "PATCH",
            path,
            body=body,
            content_type="application/apply-patch+yaml",
            params={"fieldManager": manager or self.manager, "force": str(force).lower()},
        )

    def changes(self, path: str, seconds: int = 240) -> Iterator[str]:
        """Watch a collection: one line for each object and each change, until the server ends the watch."""
        url = self._url(path, {"watch": "true", "timeoutSeconds": str(seconds)})
        with self._http.stream("GET", url, timeout=seconds + 30.0) as response:
            if response.status_code >= 400:
                raise ApiRefusal(response.status_code, "the collection cannot be watched", f"GET {path}")
            yield from response.iter_lines()

    def is_ready(self) -> bool:
        """True if the API server reports that it is ready."""
        try:
            return self.request("GET", "/readyz", timeout_s=3.0).status_code == 200
        except EnvironmentFault:
            return False

    def version(self, timeout_s: float = 5.0) -> str:
        """The API server's version. Raises `EnvironmentFault` if it cannot be read."""
        try:
            return str(self.call("GET", "/version", timeout_s=timeout_s).get("gitVersion", "unknown"))
        except ApiRefusal as refusal:
            raise EnvironmentFault(
                f"the cluster of context `{self.context}` at {self.server} refused the request ({refusal.reason})",
                fix="Check the credentials in the kubeconfig",
            ) from None

    def resources(self) -> set[str]:
        """Every resource type that the API server serves in a group, as `PLURAL.GROUP`."""
        groups = self.get("/apis", accept=_DISCOVERY)["items"]
        return {
            f"{resource['resource']}.{group['metadata']['name']}"
            for group in groups
            for version in group["versions"]
            for resource in version.get("resources") or []
        }


def client_trust(
    authority: str | None, certificate: str | None = None, key: str | None = None
) -> ssl.SSLContext:
    """TLS settings that trust an authority and present a client's certificate; all are PEM texts."""
    trust = ssl.create_default_context(cadata=authority) if authority else ssl.create_default_context()
    if certificate and key:
        # The ssl module reads a client key only from a file, which is deleted right after.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
            pair.write(certificate + "\n" + key)
            pair.flush()
            trust.load_cert_chain(pair.name)
    return trust


def kubeconfig_files(environment: Mapping[str, str] | None = None) -> list[Path]:
    """The kubeconfig files in effect, by the rules of kubectl."""
    variable = (os.environ if environment is None else environment).get("KUBECONFIG", "")
    files = [Path(part) for part in variable.split(os.pathsep) if part]
    return files or [Path.home() / ".kube" / "config"]


@dataclass(frozen=True)
class _ContextEntries:
    """A context's `cluster` and `user` entries, with the folders that their relative paths start from."""

    cluster: dict[str, Any]
    cluster_folder: Path
    user: dict[str, Any]
    user_folder: Path


def _read_context(files: list[Path], context: str) -> _ContextEntries:
    contexts: dict[str, Any] = {}
    clusters: dict[str, tuple[Any, Path]] = {}
    users: dict[str, tuple[Any, Path]] = {}
    existing = [file for file in files if file.is_file()]
    for file in existing:
        data = yaml_files.load(file).data
        for entry in data.get("contexts") or []:
            contexts.setdefault(entry["name"], entry.get("context") or {})
        for entry in data.get("clusters") or []:
            clusters.setdefault(entry["name"], (entry.get("cluster") or {}, file.parent))
        for entry in data.get("users") or []:
            users.setdefault(entry["name"], (entry.get("user") or {}, file.parent))
    where = os.pathsep.join(str(file) for file in files)
    if not existing:
        raise EnvironmentFault(
            f"no kubeconfig was found, so the cluster of context `{context}` cannot be reached",
            where=where,
            fix="Set KUBECONFIG; for the sandbox, run `isthmus sandbox up REQUIREMENTS`",
        )
    settings = contexts.get(context)
    if settings is None or settings.get("cluster") not in clusters:
        raise EnvironmentFault(
            f"the kubeconfig has no context `{context}`",
            where=where,
            fix=f"Contexts in it: {', '.join(sorted(contexts)) or 'none'}",
        )
    cluster, cluster_folder = clusters[settings["cluster"]]
    user, user_folder = users.get(settings.get("user", ""), ({}, cluster_folder))
    return _ContextEntries(cluster, cluster_folder, user, user_folder)


def _credentials(context: str, entries: _ContextEntries) -> tuple[str, ssl.SSLContext, str | None]:
    """The server's URL, the TLS settings and the token."""
    user, folder = entries.user, entries.user_folder
    try:
        if user.get("exec"):
            user = {**user, **_run_exec_plugin(user["exec"], context)}
        trust = client_trust(
            _pem(entries.cluster, "certificate-authority", entries.cluster_folder),
            _pem(user, "client-certificate", folder),
            _pem(user, "client-key", folder),
        )
        if entries.cluster.get("insecure-skip-tls-verify"):
            trust.check_hostname = False
            trust.verify_mode = ssl.CERT_NONE
        token = user.get("token")
        if not token and user.get("tokenFile"):
            token = (folder / user["tokenFile"]).read_text("utf-8").strip()
    except (OSError, ValueError, ssl.SSLError) as error:
        raise EnvironmentFault(
            f"the credentials of context `{context}` cannot be used ({error})", fix="Correct the kubeconfig"
        ) from None
    return str(entries.cluster.get("server", "")), trust, token


def _run_exec_plugin(spec: dict[str, Any], context: str) -> dict[str, Any]:
    """Credentials from a kubeconfig's `exec` plugin."""
    environment = {
        **os.environ,
        **{variable["name"]: variable["value"] for variable in spec.get("env") or []},
    }
    try:
        run = subprocess.run(
            [spec["command"], *(spec.get("args") or [])],
            env=environment, capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
        status = json.loads(run.stdout)["status"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        raise EnvironmentFault(
            f"credential plugin `{spec.get('command')}` (context `{context}`) failed ({type(error).__name__})",
            fix="Run the plugin by hand to see its error",
        ) from None
    credentials = {"token": status.get("token")}
    for kubeconfig_name, plugin_name in (
        ("client-certificate", "clientCertificateData"),
        ("client-key", "clientKeyData"),
    ):
        if status.get(plugin_name):
            credentials[f"{kubeconfig_name}-data"] = base64.b64encode(status[plugin_name].encode()).decode()
    return credentials


def _pem(settings: dict[str, Any], name: str, folder: Path) -> str | None:
    if settings.get(f"{name}-data"):
        return base64.b64decode(settings[f"{name}-data"]).decode("ascii")
    if settings.get(name):
        return (folder / settings[name]).read_text("ascii")
    return None


def _error_message(response: httpx.Response) -> str:
    try:
        return str(response.json().get("message", response.text))
    except ValueError:
        return response.text[:500]
