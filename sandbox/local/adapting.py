"""Adapts the edge's configurations to this machine, and tells each substitution.

Only places change: paths, addresses, ports and names of databases. What decides (class, routes, limits, guards, review,
audit) stays as it was rendered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from isthmus.core.errors import EnvironmentFault
from sandbox.local.pods import Objects, Pod

LOOPBACK = "127.0.0.1"
SEAL_EVERY_S = 3
"""Seconds between two seals: nobody should wait for the 30 of a platform."""


@dataclass(frozen=True)
class Substitution:
    """One thing that differs from what was rendered."""

    pod: str
    """`NAMESPACE/NAME`."""
    what: str
    was: str
    now: str


@dataclass
class Places:
    """Where the parts of a stack are on this machine."""

    objects: Objects
    port: Callable[[str, str], int]
    """Port of a pod's listener: (`NAMESPACE/NAME`, `listen`, `health`, `detector` or `model`)."""
    database_port: int
    aws_url: str
    run: str
    """Ends the names of stores. Earlier runs sealed with other keys, and nothing is deleted there."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Files of language models for the detector, by file name."""
    issuer: str = ""
    """The sign-on of this machine; empty: there is none."""
    caller: str = ""
    """Name in the certificate of whoever calls from this machine."""

    def server(self, pod: Pod, url: str) -> str:
        """The address here of a Service. Raises `EnvironmentFault` if no pod serves it."""
        host = urlsplit(url).hostname or ""
        name = self.objects.services.get(host.removesuffix(".cluster.local"))
        if name is None:
            raise EnvironmentFault(
                f"{pod.label} calls {host}, and no pod of the stack in the sandbox's cluster serves this name",
                where="sandbox serve",
                fix="Run `isthmus up` on the stack first, so that the cluster has all of its parts",
            )
        namespace = host.split(".")[1]
        return f"https://{LOOPBACK}:{self.port(f'{namespace}/{name}', 'listen')}"


def database_name(data_class: str) -> str:
    """One server stands for the databases of all classes, so each has a database of its own there."""
    return f"isthmus_{data_class}"


def adapt(
    config: dict[str, Any], pod: Pod, folders: Mapping[str, str], places: Places
) -> tuple[dict[str, Any], list[Substitution]]:
    """Return a configuration for this machine, and what was substituted.

    `folders`: the folder here of each path at which the program sees a volume.
    """
    adapting = _Adapting(pod, places, dict(sorted(folders.items(), key=lambda entry: -len(entry[0]))))
    adapted = adapting.paths(config)
    adapting.listeners(adapted)
    {
        "gateway": adapting.gateway,
        "sidecar": adapting.sidecar,
        "translator": adapting.translator,
        "sealer": adapting.sealer,
        "reviews": adapting.reviews,
        "detector": adapting.detector,
    }[adapted["mode"]](adapted)
    return adapted, adapting.substitutions


@dataclass
class _Adapting:
    pod: Pod
    places: Places
    folders: Mapping[str, str]
    substitutions: list[Substitution] = field(default_factory=list)

    def say(self, what: str, was: object, now: object) -> None:
        if str(was) != str(now):
            self.substitutions.append(Substitution(self.pod.label, what, str(was), str(now)))

    def put(self, section: dict[str, Any], key: str, value: Any, what: str = "") -> None:
        self.say(what or key, section.get(key, "nothing"), "nothing" if value is None else value)
        if value is None:
            section.pop(key, None)
        else:
            section[key] = value

    def paths(self, value: Any, where: str = "") -> Any:
        if isinstance(value, dict):
            return {key: self.paths(item, f"{where}.{key}" if where else key) for key, item in value.items()}
        if isinstance(value, list):
            return [self.paths(item, where) for item in value]
        if not isinstance(value, str) or not value.startswith("/"):
            return value
        for path, folder in self.folders.items():
            if value == path or value.startswith(f"{path}/"):
                now = folder + value.removeprefix(path)
                self.say(where, value, now)
                return now
        return value

    def listeners(self, config: dict[str, Any]) -> None:
        for key in ("listen", "health"):
            if key in config:
                kind = "detector" if config["mode"] == "detector" and key == "listen" else key
                kind = "detector-health" if config["mode"] == "detector" and key == "health" else kind
                self.put(config[key], "host", LOOPBACK, f"{key}.host")
                self.put(config[key], "port", self.places.port(self.pod.label, kind), f"{key}.port")

    def server(self, place: dict[str, Any], what: str) -> None:
        self.put(place, "url", self.places.server(self.pod, place["url"]), what)

    def database(self, config: dict[str, Any]) -> None:
        if (database := config.get("database")) is None:
            return
        self.put(database, "host", LOOPBACK, "database.host")
        self.put(database, "port", self.places.database_port, "database.port")
        self.put(database, "name", database_name(config["class"]), "database.name")
        self.put(database, "ca", None, "database.ca")  # the server on the loopback speaks no TLS

    def gateway(self, config: dict[str, Any]) -> None:
        self.database(config)
        for route in config["routes"]:
            named = (("canary", route.get("canary")), ("overflow", route.get("overflow")))
            others = [*(("also", place) for place in route.get("also") or []), *named]
            for kind, place in (("route", route), *others):
                if place is not None:
                    self.server(place, f"{kind} of {route['workload']}")
        screening = config.get("screening")
        if screening is not None:
            port = self.places.port(self.pod.label, "detector")
            self.put(screening, "detector", f"http://{LOOPBACK}:{port}", "screening.detector")
            for guard in screening.get("guards") or []:
                if guard.get("model"):
                    self.server(guard["model"], f"guard {guard['name']}")
        if config.get("traces"):
            self.put(config, "traces", None)  # no collector runs here
        if config.get("tokens"):
            self.tokens(config)

    def tokens(self, config: dict[str, Any]) -> None:
        """People sign on at this machine, and its caller's certificate may present their tokens."""
        if not self.places.issuer:
            self.put(config, "tokens", None)
            return
        tokens = config["tokens"]
        self.put(tokens, "issuer", self.places.issuer, "tokens.issuer")
        for key in ("jwks_file", "ca"):
            if key in tokens:
                self.put(tokens, key, None, f"tokens.{key}")
        keys = f"{self.places.issuer}/protocol/openid-connect/certs"
        self.put(tokens, "jwks_url", keys, "tokens.jwks_url")
        if tokens.get("through"):
            self.put(tokens, "through", [*tokens["through"], self.places.caller], "tokens.through")

    def sidecar(self, config: dict[str, Any]) -> None:
        port = self.places.port(self.pod.label, "model")
        self.put(config, "upstream", f"http://{LOOPBACK}:{port}", "upstream (vLLM)")

    def translator(self, config: dict[str, Any]) -> None:
        for model in config["models"]:
            self.put(model, "endpoint_url", self.places.aws_url, f"endpoint of {model['name']}")
        if config.get("outbound"):
            self.put(config, "outbound", None)

    def sealer(self, config: dict[str, Any]) -> None:
        self.put(config["store"], "endpoint", self.places.aws_url, "store.endpoint")
        bucket = f"{config['store']['bucket'][:50]}-{self.places.run}"
        self.put(config["store"], "bucket", bucket, "store.bucket")
        self.put(config["store"], "ca", None, "store.ca")
        self.put(config, "every_s", SEAL_EVERY_S)

    def reviews(self, config: dict[str, Any]) -> None:
        self.database(config)

    def detector(self, config: dict[str, Any]) -> None:
        rules = config.get("rules") or {}
        wanted = rules.get("models") or []
        found = [known for entry in wanted if (known := _local_model(entry, self.places.models)) is not None]
        if wanted:
            self.say("rules.models", _files(wanted), _files(found) or "none")
            rules["models"] = found
            covered = [entry["language"] for entry in found]
            others = [language for language in rules["languages"] if language not in covered]
            # A text too short to tell its language counts as the first one.
            self.put(rules, "languages", [*covered, *others], "rules.languages")
        self.put(config, "workers", 1)


def _local_model(entry: dict[str, Any], models: Mapping[str, str]) -> dict[str, Any] | None:
    path = models.get(entry["file"].rpartition("/")[2])
    return None if path is None else {**entry, "file": path}


def _files(entries: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(str(entry["file"]) for entry in entries)
