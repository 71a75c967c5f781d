"""The configuration file: its shape, and its errors as one paragraph each."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from edge.environment import as_file

DataClass = Literal["public", "internal", "confidential", "restricted"]
Name = Annotated[str, Field(min_length=1, max_length=253)]
Port = Annotated[int, Field(ge=1, le=65535)]
File = Annotated[Path, BeforeValidator(as_file)]
"""A path, or `env:NAME`: the content of an environment variable (`edge.environment`)."""

# Names under which clouds serve models. The network is the boundary; this catches a wrong file early.
CLOUD_DOMAINS = (
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "azure.com",
    "googleapis.com",
    "openai.com",
    "anthropic.com",
)


class ConfigError(Exception):
    """The configuration is wrong: one paragraph that names the file and the key. Exit code 2."""

    exit_code = 2


class EnvironmentFault(ConfigError):
    """The machine is wrong, not the file: a port that is taken. Exit code 3."""

    exit_code = 3


class Strict(BaseModel):
    """A part of the file: an unknown key is an error, a value is never converted."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsListen(Strict):
    """The TLS listener and what it shows."""

    host: Name
    port: Port
    certificate: File
    key: File


class Listen(TlsListen):
    """With `client_ca`, a client must show a certificate that this CA signed."""

    client_ca: File | None = None


class MutualListen(TlsListen):
    """A listener that always demands a client certificate."""

    client_ca: File


class Health(Strict):
    """The plain HTTP listener: `/health` and `/metrics` only."""

    host: Name
    port: Port


class Limits(Strict):
    """Bytes and seconds that one request may take; `drain_timeout_s` bounds the end of the process."""

    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 4 * 1024 * 1024
    connect_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5
    request_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 300
    drain_timeout_s: Annotated[float, Field(gt=0, le=3600)] | None = None

    @property
    def drain_s(self) -> float:
        """Seconds for running requests after SIGTERM: as long as one may take, unless the file says less."""
        return self.drain_timeout_s or self.request_timeout_s


class UpstreamTls(Strict):
    """What the gateway shows to model servers and translators, and the CA it believes."""

    certificate: File
    key: File
    ca: File


class Place(Strict):
    """An upstream: its address, the name its certificate must bear, the model's name there."""

    url: str
    server_name: Name
    model: Name

    @field_validator("url")
    @classmethod
    def _https_without_path(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError("must be https://host:port without a path")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must hold no user, query or fragment")
        return url.rstrip("/")


class Canary(Place):
    """Another upstream, which takes a share of the workload's requests."""

    percent: Annotated[float, Field(ge=0.001, le=99.999)]


class Route(Place):
    """One workload's way: its upstream, what it is asked for, and by whose salt its prefixes are cached."""

    workload: Name
    task: Literal["chat", "embedding", "rerank"] = "chat"
    cache_salt: Name | None = None
    canary: Canary | None = None
    named: bool = False
    """Whether the workload's name goes along in a header, for a router on the way to choose by."""

    @model_validator(mode="after")
    def _salted(self) -> Route:
        if self.cache_salt is not None and self.task != "chat":
            raise ValueError("cache_salt: only chat requests take one")
        return self

    def of_canary(self) -> Route | None:
        """The same way to the canary."""
        if self.canary is None:
            return None
        return self.model_copy(update={**self.canary.model_dump(exclude={"percent"}), "canary": None})


class GatewayConfig(Strict):
    """`mode: gateway`."""

    mode: Literal["gateway"]
    data_class: DataClass = Field(alias="class")
    site: Name
    listen: Listen
    health: Health
    callers: File
    upstream_tls: UpstreamTls
    limits: Limits = Limits()
    routes: Annotated[list[Route], Field(min_length=1)]

    @model_validator(mode="after")
    def _boundaries(self) -> GatewayConfig:
        if self.listen.client_ca is None and self.data_class != "public":
            raise ValueError(f"listen.client_ca is needed: class {self.data_class} demands mutual TLS")
        seen: set[str] = set()
        for route in self.routes:
            if route.workload in seen:
                raise ValueError(f"routes names workload {route.workload!r} twice")
            seen.add(route.workload)
            for place in (route, route.canary):
                if place is None or self.data_class != "restricted":
                    continue
                host = (urlsplit(place.url).hostname or "").rstrip(".")
                if _in_cloud(host) or _in_cloud(place.server_name):
                    raise ValueError(
                        f"routes leads restricted workload {route.workload!r} out of the site, to {host!r}"
                    )
        return self


class SidecarConfig(Strict):
    """`mode: sidecar`."""

    mode: Literal["sidecar"]
    data_class: DataClass = Field(alias="class")
    listen: MutualListen
    allowed_clients: Annotated[list[Name], Field(min_length=1)]
    health: Health
    upstream: str
    limits: Limits = Limits()

    @field_validator("upstream")
    @classmethod
    def _loopback(cls, url: str) -> str:
        parts = urlsplit(url)
        try:
            loopback = ipaddress.ip_address(parts.hostname or "").is_loopback
        except ValueError:
            loopback = False
        if (
            parts.scheme != "http"
            or not loopback
            or parts.path not in ("", "/")
            or parts.query
            or parts.username
        ):
            raise ValueError("must be http:// on a loopback address, such as http://127.0.0.1:8000")
        return url.rstrip("/")


class Guardrail(Strict):
    """The Bedrock guardrail that every call names: a numbered version, since a draft moves."""

    id: Annotated[
        str, Field(pattern=r"^([a-z0-9]{1,64}|arn:aws[a-z-]*:bedrock:[a-z0-9-]+:\d{12}:guardrail/[a-z0-9]+)$")
    ]
    version: Annotated[str, Field(pattern=r"^[1-9]\d{0,7}$")]


class CalledModel(Strict):
    """A model that the gateway may ask for by `name`, and where AWS serves it."""

    name: Name
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    endpoint_url: str | None = None

    @field_validator("endpoint_url")
    @classmethod
    def _http(cls, url: str | None) -> str | None:
        if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError("must be an http(s) address or null")
        return url


class BedrockModel(CalledModel):
    """A model of Amazon Bedrock, and the inference profile that serves it.

    `model_id` is what is called: the profile of one workload's account, or throughput bought ahead;
    absent, `inference_profile` itself, which in any case says how the model is spoken to.
    """

    provider: Literal["bedrock"] = "bedrock"
    inference_profile: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:/_-]{2,2047}$")]
    model_id: (
        Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:bedrock:[a-z0-9-]+:\d{12}:[a-z-]+/[A-Za-z0-9.:_-]+$")]
        | None
    ) = None
    guardrail: Guardrail | None = None


class SageMakerModel(CalledModel):
    """A model on an endpoint of Amazon SageMaker that speaks chat completions."""

    provider: Literal["sagemaker"]
    endpoint: Annotated[str, Field(pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9]){0,62}$")]
    model: Name
    """As the endpoint serves it."""


def _provider(value: Any) -> Any:
    found = value.get("provider") if isinstance(value, dict) else getattr(value, "provider", None)
    return "bedrock" if found is None else found


AnyModel = Annotated[
    Annotated[BedrockModel, Tag("bedrock")] | Annotated[SageMakerModel, Tag("sagemaker")],
    Discriminator(_provider),
]
"""A model without `provider` is Bedrock's."""
PROVIDERS = ("bedrock", "sagemaker")


class Outbound(Strict):
    """How the translator gets out to AWS: a forward proxy, and the authorities that take the public ones' place."""

    proxy: Annotated[str, Field(pattern=r"^http://[0-9.]+:[0-9]{1,5}$")] | None = None
    no_proxy: list[Name] = []
    ca: File | None = None


class TranslatorConfig(Strict):
    """`mode: translator`. There is none for restricted data: it has no way to AWS."""

    mode: Literal["translator"]
    data_class: Literal["public", "internal", "confidential"] = Field(alias="class")
    listen: MutualListen
    allowed_clients: Annotated[list[Name], Field(min_length=1)]
    health: Health
    limits: Limits = Limits()
    outbound: Outbound = Outbound()
    models: Annotated[list[AnyModel], Field(min_length=1)]

    @model_validator(mode="after")
    def _named_ways(self) -> TranslatorConfig:
        if self.data_class == "confidential" and self.outbound != Outbound():
            raise ValueError("outbound: confidential requests go to named addresses only")
        if self.data_class != "public" and self.outbound.proxy:
            raise ValueError("outbound.proxy: it is for public requests only, others go to private endpoints")
        return self

    @model_validator(mode="after")
    def _models(self) -> TranslatorConfig:
        seen: set[str] = set()
        for model in self.models:
            if model.name in seen:
                raise ValueError(f"models names {model.name!r} twice")
            seen.add(model.name)
            if isinstance(model, SageMakerModel):
                continue
            if model.inference_profile.startswith("global.") and self.data_class != "public":
                raise ValueError(f"models: {model.inference_profile!r} can leave every residency")
        return self


Config = GatewayConfig | SidecarConfig | TranslatorConfig
_ADAPTER: TypeAdapter[Config] = TypeAdapter(Annotated[Config, Field(discriminator="mode")])


def load(path: Path) -> Config:
    """Read and check a configuration file, or `env:NAME`; raises ConfigError with one paragraph."""
    try:
        file = Path(str(as_file(path)))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}.") from None
    return check(read_yaml(file), path)


def read_yaml(path: Path) -> Any:
    """A YAML 1.2 file as plain values; raises ConfigError that names file and line, and never the text."""
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{path}: the file cannot be read: {reason}.") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(
            f"{path}{line}: the file is not YAML 1.2: {getattr(error, 'problem', 'unreadable')}."
        ) from None


def check(document: Any, path: Path) -> Config:
    """The document as a configuration; raises ConfigError that names every wrong key."""
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: the file must be a mapping with the key `mode`.")
    try:
        return _ADAPTER.validate_python(document)
    except ValidationError as error:
        raise ConfigError(
            f"{path}: " + "; ".join(_sentence(e, document.get("mode")) for e in error.errors()) + "."
        ) from None


def _in_cloud(host: str) -> bool:
    return any(host == domain or host.endswith("." + domain) for domain in CLOUD_DOMAINS)


def _sentence(error: Any, mode: Any) -> str:
    location = list(error["loc"])
    if location and location[0] == mode:
        location.pop(0)
    # Below a list of models of several providers, whose name is no key of the file.
    location = [
        part
        for at, part in enumerate(location)
        if not (at and part in PROVIDERS and isinstance(location[at - 1], int))
    ]
    key = ".".join(str(part) for part in location)
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "this key is unknown"
    elif error["type"] == "missing":
        message = "this key is missing"
    elif error["type"].startswith("union_tag"):
        tags = (
            ("mode", "gateway, sidecar or translator")
            if not key
            else (f"{key}.provider", " or ".join(PROVIDERS))
        )
        key, message = tags[0], f"must be {tags[1]}"
    return f"{key}: {message}" if key else message
