"""Adapts the edge's configurations to this machine, and tells each substitution.

Only places change: paths, addresses, ports and names of databases. What decides (class, routes, limits, guards, review,
audit) stays as it was rendered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from isthmus.contracts.reference.admission import reviews_sign_on_namespace
from isthmus.contracts.reference.gateway_routes import other_places
from isthmus.core.errors import EnvironmentFault
from sandbox.local.pods import Objects, Pod

LOOPBACK = "127.0.0.1"
SEAL_EVERY_S = 3
"""Seconds between two seals: nobody should wait for the 30 of a platform."""
GATHER_S = 2
"""Seconds in which notifications become one mail: nobody should wait for a minute."""
MAIL = "mail-relay"
"""The mail relay of this machine among the parts with ports."""


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
    """Port of a pod's listener: (`NAMESPACE/NAME`, `listen`, `health`, `detector`, `model`, `chat`, `inner`, `desk` or
    `metrics`)."""
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
        parts = urlsplit(url)
        host, services = parts.hostname or "", self.objects.services
        label = services.get(host.removesuffix(".cluster.local")) or services.get(parts.netloc)
        if label is None:
            raise EnvironmentFault(
                f"{pod.label} calls {host}, and no part of the stack in the sandbox serves this name",
                where="sandbox serve",
                fix="Run `isthmus up` on the stack first, so that the sandbox has all of its parts",
            )
        return f"https://{LOOPBACK}:{self.port(label, 'listen')}"

    def desk_url(self, data_class: str) -> str:
        """Where people open the review desk of a class here: at the proxy of its sign-on."""
        return f"https://{LOOPBACK}:{self.port(_desk_sign_on(data_class), 'listen')}"


def _desk_sign_on(data_class: str) -> str:
    """Label of the pods at which people sign on to the review desk of a class."""
    return f"{reviews_sign_on_namespace(data_class)}/{data_class}-reviews-sign-on"


def database_name(data_class: str) -> str:
    """One server stands for the databases of all classes, so each has a database of its own there."""
    return f"isthmus_{data_class}"


LEDGER = "usage"
"""The database of the usage ledger. All classes have one here, so that `isthmus usage STACK` reads it at once."""


def chat_database_name(data_class: str) -> str:
    """The database of a class's conversations."""
    return f"chat_{data_class}"


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
        "loader": adapting.loader,
        "reviews": adapting.reviews,
        "notifier": adapting.notifier,
        "detector": adapting.detector,
        "chat": adapting.chat,
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
        if not isinstance(value, str) or not value.startswith(("/", "env:")):
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
        if place.get("by_replica"):  # one process stands for all replicas
            for key in ("by_replica", "replicas"):
                self.put(place, key, None)

    def database(self, config: dict[str, Any], name: str = "") -> None:
        """`name`: of the database here; empty for that of the class."""
        if (database := config.get("database")) is None:
            return
        self.put(database, "host", LOOPBACK, "database.host")
        self.put(database, "port", self.places.database_port, "database.port")
        self.put(database, "name", name or database_name(config["class"]), "database.name")
        self.put(database, "ca", None, "database.ca")  # the server on the loopback speaks no TLS

    def gateway(self, config: dict[str, Any]) -> None:
        self.database(config)
        if config.get("access"):
            self.put(config, "access", None)  # no load balancer runs here
        for route in config["routes"]:
            for kind, place in (("route", route), *other_places(route.get)):
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

    def chat(self, config: dict[str, Any]) -> None:
        self.put(config["inner"], "port", self.places.port(self.pod.label, "inner"), "inner.port")
        self.put(config, "chat", f"http://{LOOPBACK}:{self.places.port(self.pod.label, 'chat')}")
        self.put(config, "gateway", self.places.server(self.pod, config["gateway"]))
        database = config["history"]["database"]
        self.put(database, "host", LOOPBACK, "history.database.host")
        self.put(database, "port", self.places.database_port, "history.database.port")
        self.put(database, "name", chat_database_name(config["class"]), "history.database.name")
        self.put(database, "ca", None, "history.database.ca")
        self.tokens(config)

    def store(self, store: dict[str, Any]) -> None:
        """The sandbox's AWS has the seals, in a bucket of this run."""
        self.put(store, "endpoint", self.places.aws_url, "store.endpoint")
        self.put(store, "bucket", f"{store['bucket'][:50]}-{self.places.run}", "store.bucket")
        self.put(store, "ca", None, "store.ca")

    def loader(self, config: dict[str, Any]) -> None:
        self.database(config, LEDGER)
        self.store(config["store"])
        self.put(config, "every_s", SEAL_EVERY_S)

    def sealer(self, config: dict[str, Any]) -> None:
        self.store(config["store"])
        if "credentials" not in config["store"]:  # in AWS it has an identity, and no keys
            keys = str(Path(config["signing_key"]).with_name("credentials"))
            self.put(config["store"], "credentials", keys, "store.credentials")
        self.put(config, "every_s", SEAL_EVERY_S)

    def reviews(self, config: dict[str, Any]) -> None:
        self.database(config)
        if "desk" not in config:
            return
        self.tokens(config)
        if "tokens" not in config:  # without a sign-on nobody opens the desk
            self.put(config, "desk", None)
            return
        desk = config["desk"]
        self.put(desk["listen"], "host", LOOPBACK, "desk.listen.host")
        self.put(desk["listen"], "port", self.places.port(self.pod.label, "desk"), "desk.listen.port")
        self.put(desk, "url", self.places.desk_url(self.pod.data_class), "desk.url")

    def notifier(self, config: dict[str, Any]) -> None:
        """All targets are mailboxes at the relay of this machine, which writes mails to files."""
        self.database(config)
        if self.has_desk():
            self.put(config, "link", self.places.desk_url(self.pod.data_class))
        self.put(config, "relay_ca", None)
        self.put(config, "gather_s", GATHER_S)
        if "networks" in config:
            self.put(config, "networks", [*config["networks"], f"{LOOPBACK}/32"])
        relay = {"relay": LOOPBACK, "port": self.places.port(MAIL, "listen"), "tls": "none"}
        for target in config["targets"]:
            where = f"targets.{target['name']}"
            if "on_call" in target and Path(target["on_call"]).exists():
                continue
            before = target.get("mail") or {"sender": "isthmus@sandbox", "to": [f"{target['name']}@sandbox"]}
            mail = {**relay, "sender": before["sender"], "to": before["to"]}
            kind = next(key for key in ("service", "on_call", "mail") if key in target)
            was = before.get("relay") or target.get("service") or "a calendar of the organisation"
            self.say(f"{where}.{kind}", was, f"the relay of this machine, {LOOPBACK}:{relay['port']}")
            for key in ("service", "url", "on_call"):
                target.pop(key, None)
            target["mail"] = mail

    def has_desk(self) -> bool:
        """Whether people can open the review desk of the pod's class here."""
        label = _desk_sign_on(self.pod.data_class)
        return bool(self.places.issuer) and any(pod.label == label for pod in self.places.objects.pods)

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
