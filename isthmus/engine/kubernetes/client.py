"""A small client of the Kubernetes API, from a kubeconfig: enough to ask, to dry-run, and to be refused.

Standard library only, so that `isthmus up` needs nothing that the program itself does not.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault


class ApiRefusal(Exception):
    """The API server's refusal: HTTP `status` and its `message`."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(f"{status}: {message}")


@dataclass
class Cluster:
    """One context of a kubeconfig, ready to be asked."""

    context: str
    server: str
    trust: ssl.SSLContext | None
    token: str | None = None

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: dict[str, str] | None = None,
        media: str = "application/json",
        accept: str = "application/json",
        timeout: float = 5.0,
    ) -> Any:
        """One request, its answer as data.

        Raises `ApiRefusal` for a status of 400 and above, `EnvironmentFault` where nothing answers within
        `timeout` seconds.
        """
        url = self.server.rstrip("/") + path
        if params:
            url += "?" + urllib.parse.urlencode(params)
        if not url.startswith(("https://", "http://")):
            raise EnvironmentFault(f"the server's address `{self.server}` is not a URL", where=self.context)
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(url, data=data, method=method)  # noqa: S310 (checked above)
        request.add_header("Accept", accept)
        if data is not None:
            request.add_header("Content-Type", media)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        # A cluster is never asked through a web proxy that the environment names.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.trust)
        )
        try:
            with opener.open(request, timeout=timeout) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise ApiRefusal(error.code, _error_message(error.read())) from None
        except (urllib.error.URLError, TimeoutError, OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise EnvironmentFault(
                f"the cluster of context `{self.context}` does not answer at {self.server} ({reason})",
                fix="Check that it runs and the kubeconfig is right (sandbox: `isthmus sandbox status`)",
            ) from None
        return json.loads(text) if text else None

    def find(self, path: str, *, accept: str = "application/json") -> Any | None:
        """What stands at a path; None where nothing does. Raises as `call` does."""
        try:
            return self.call("GET", path, accept=accept)
        except ApiRefusal as refused:
            if refused.status == 404:
                return None
            raise

    def check(self, timeout: float = 5.0) -> str:
        """The API server's version; raises `EnvironmentFault` where it cannot be had."""
        try:
            return str(self.call("GET", "/version", timeout=timeout).get("gitVersion", "unknown"))
        except ApiRefusal as refused:
            raise EnvironmentFault(
                f"the cluster of context `{self.context}` at {self.server} refuses us ({refused})",
                fix="Check the credentials in the kubeconfig",
            ) from None


def kubeconfig_files(environment: dict[str, str] | None = None) -> list[Path]:
    """The kubeconfig files in effect, as kubectl finds them."""
    variable = (environment if environment is not None else dict(os.environ)).get("KUBECONFIG", "")
    files = [Path(part) for part in variable.split(os.pathsep) if part]
    return files or [Path.home() / ".kube" / "config"]


def cluster(context: str, environment: dict[str, str] | None = None) -> Cluster:
    """The cluster of a context. Raises `EnvironmentFault` where kubeconfig or context is missing."""
    from isthmus.core import yaml_files

    contexts: dict[str, Any] = {}
    clusters: dict[str, tuple[Any, Path]] = {}
    users: dict[str, tuple[Any, Path]] = {}
    files = kubeconfig_files(environment)
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
            f"there is no kubeconfig, so the cluster of context `{context}` cannot be reached",
            where=where,
            fix="Set KUBECONFIG; for the sandbox run `isthmus sandbox up`",
        )
    settings = contexts.get(context)
    if settings is None or settings.get("cluster") not in clusters:
        raise EnvironmentFault(
            f"the kubeconfig has no context `{context}`",
            where=where,
            fix=f"Contexts in it: {', '.join(sorted(contexts)) or 'none'}",
        )
    target, home = clusters[settings["cluster"]]
    user, user_home = users.get(settings.get("user", ""), ({}, home))
    return _connect(context, target, home, user, user_home)


def _connect(
    context: str, target: dict[str, Any], home: Path, user: dict[str, Any], user_home: Path
) -> Cluster:
    try:
        if user.get("exec"):
            user = {**user, **_run_exec_plugin(user["exec"], context)}
        authority = _pem(target, "certificate-authority", home)
        trust = ssl.create_default_context(cadata=authority) if authority else ssl.create_default_context()
        if target.get("insecure-skip-tls-verify"):
            trust.check_hostname = False
            trust.verify_mode = ssl.CERT_NONE
        certificate, key = _pem(user, "client-certificate", user_home), _pem(user, "client-key", user_home)
        if certificate and key:
            # ssl takes a client's key from a file only; it is gone as soon as it has been read.
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
                pair.write(certificate + "\n" + key)
                pair.flush()
                trust.load_cert_chain(pair.name)
        token = user.get("token")
        if not token and user.get("tokenFile"):
            token = (user_home / user["tokenFile"]).read_text("utf-8").strip()
    except (OSError, ValueError, ssl.SSLError) as error:
        raise EnvironmentFault(
            f"the credentials of context `{context}` cannot be used ({error})", fix="Mend the kubeconfig"
        ) from None
    return Cluster(context, str(target.get("server", "")), trust, token)


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
            f"credential plugin `{spec.get('command')}` (context `{context}`) fails ({type(error).__name__})",
            fix="Run it by hand to see why",
        ) from None
    credentials = {"token": status.get("token")}
    for kubeconfig_name, plugin_name in (
        ("client-certificate", "clientCertificateData"),
        ("client-key", "clientKeyData"),
    ):
        if status.get(plugin_name):
            credentials[f"{kubeconfig_name}-data"] = base64.b64encode(status[plugin_name].encode()).decode()
    return credentials


def _pem(settings: dict[str, Any], name: str, home: Path) -> str | None:
    if settings.get(f"{name}-data"):
        return base64.b64decode(settings[f"{name}-data"]).decode("ascii")
    if settings.get(name):
        return (home / settings[name]).read_text("ascii")
    return None


def _error_message(text: bytes) -> str:
    try:
        return str(json.loads(text).get("message", ""))
    except ValueError:
        return text.decode("utf-8", "replace")[:500]
