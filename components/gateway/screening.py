"""A gateway's redaction and guards: the detector beside it in its pod, and its configuration's section `screening`.

The detector is a sidecar in Kubernetes' sense (an init container that keeps running): it is there before the gateway
starts, and it ends after the gateway has answered its last request. Entity models are in its image, under `/models`:
one digest names program and models together, a mirror and a scanner see both, and no class needs a volume that many
machines read. The detector reads a model only by its own digest, whatever the image says.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.edge_files import config_map
from components.cluster.objects import SERVING_PORT, dns_name
from components.cluster.pod_defaults import container_security, health_probe, same
from components.observability.pod_monitor import scraped_from
from isthmus.contracts.platform.model.screening import Screening

DETECTOR_PORT = 8460
"""On the pod's loopback: what comes here is what redaction has not seen yet."""
DETECTOR_HEALTH = 9091
"""Beside the gateway's own health port, in one pod."""
_CONFIG = "/etc/isthmus/config"
_MODELS = "/models"
_START_S = 180
"""Reading a model takes seconds, on a busy machine many."""


class ScreeningModel(TypedDict):
    """A wheel with a spaCy pipeline that finds names, places and organisations of one language."""

    file: str
    """Its name in the folder `/models` of the detector's image."""
    sha256: str
    """What the file must be."""
    language: str
    """Whose names it finds."""


class ScreeningPattern(TypedDict):
    """A pattern of the organisation's own."""

    entity: str
    """What is found by it, e.g. CASE_NUMBER."""
    pattern: str
    """In RE2's syntax, with a bound on what it can match."""
    context: NotRequired[list[str]]
    """Words of which one must stand before it; absent: none need to."""


class ScreeningTopic(TypedDict):
    """A topic that the organisation does not want spoken of."""

    name: str
    """Found as TOPIC_NAME."""
    phrases: list[str]
    """Whole words, in upper or lower case."""


class ScreeningGuard(TypedDict):
    """One guard: what it looks at, for what, and what it then does."""

    name: str
    """In verdicts and errors."""
    on: str
    """`prompts`, `outputs` or `both`."""
    workloads: NotRequired[list[str]]
    """Absent: all."""
    entities: NotRequired[list[str]]
    """What the detector finds, e.g. SECRET, PROMPT_ATTACK, TOPIC_NAME."""
    max_characters: NotRequired[int]
    """Of all that is answered."""
    endpoint: NotRequired[str]
    """Id of a model server of the class in its namespace that says `safe` or `unsafe`."""
    model: NotRequired[str]
    """What it is asked for; with `endpoint`."""
    cluster_ip: NotRequired[pulumi.Input[str]]
    """Address of its Service; a restricted gateway needs it."""
    then: NotRequired[str]
    """`refuse` (default), `redact`, `record` or `review`."""


class GatewayScreening(TypedDict):
    """The detector beside each copy of a gateway, and what follows of what it finds."""

    image: pulumi.Input[str]
    """Image of the detector, by digest, with the entity models in `/models`."""
    languages: NotRequired[list[str]]
    """Of what is written here, the likeliest first; absent: those of `models`, else English."""
    jurisdictions: NotRequired[list[str]]
    """Whose numbers are looked for; absent: all that are known."""
    models: NotRequired[list[ScreeningModel]]
    """One a language; without any no prompt that must be redacted leaves the site."""
    patterns: NotRequired[list[ScreeningPattern]]
    """Of the organisation's own."""
    topics: NotRequired[list[ScreeningTopic]]
    """For guards."""
    guards: NotRequired[list[ScreeningGuard]]
    """What is refused, redacted or recorded."""
    redacted: NotRequired[list[str]]
    """Beside what the class demands, e.g. prompts-leaving-site."""
    limit_s: NotRequired[float]
    """Seconds after which a detector is down (default 2)."""
    restore: NotRequired[bool]
    """Whether an answer gets back what was taken out of its prompt (default true)."""
    images: NotRequired[str]
    """What happens to an image where a guard judges prompts, which no guard can read: refuse (default) or pass."""
    workers: NotRequired[int]
    """Processes of the detector; absent: 2 with models, 1 with patterns alone."""
    cpu: NotRequired[str]
    """Of the detector; absent: one for each worker."""
    memory: NotRequired[str]
    """Absent: by the workers and models."""


def _read(args: GatewayScreening) -> Screening:
    """By the contract's own defaults."""
    said = {key: value for key, value in args.items() if key not in ("image", "guards", "redacted")}
    return Screening.model_validate(said)


def asked(screening: Screening) -> tuple[str, str]:
    """CPUs and memory that a detector asks for."""
    return screening.room


def judges(args: GatewayScreening | None) -> list[ScreeningGuard]:
    """Guards that ask a model server."""
    return [guard for guard in (args or {}).get("guards", []) if "endpoint" in guard]


@dataclass
class Screened:
    """What a gateway with a detector has beside one without; of one without, nothing."""

    told: dict[str, Any] = field(default_factory=dict)
    """Of its configuration."""
    before: list[pulumi.Resource] = field(default_factory=list)
    pod: dict[str, Any] = field(default_factory=dict)
    """Of the pod's spec."""
    volumes: list[dict[str, Any]] = field(default_factory=list)
    ingress: list[dict[str, Any]] = field(default_factory=list)
    measured: list[str] = field(default_factory=lambda: ["health"])
    """Ports of the pod that are scraped."""


def screened(
    name: str,
    held: str,
    space: str,
    own: dict[str, str],
    args: GatewayScreening | None,
    monitoring_namespace: str,
    opts: pulumi.ResourceOptions,
) -> Screened:
    """The detector's configuration, its container, and what the gateway is told of it."""
    if args is None:
        return Screened()
    stated = _read(args)
    service = f"{held}-detector"
    config = config_map(f"{name}-detector", service, space, own, detector_config(held, stated), opts)
    cpu, memory = asked(stated)
    box: dict[str, Any] = {
        "name": "detector",
        "image": args["image"],
        "restartPolicy": "Always",
        "command": ["python", "-m", "edge", "--config", f"{_CONFIG}/config.yaml"],
        # Models are unpacked while they are read: more than the shared memory of a pod holds.
        "env": [{"name": "TMPDIR", "value": "/tmp"}],  # noqa: S108 (a volume of its own)
        "ports": [{"name": "detector", "containerPort": DETECTOR_HEALTH, "protocol": "TCP"}],
        "volumeMounts": [
            {"name": "detector-config", "mountPath": _CONFIG, "readOnly": True},
            {"name": "detector-tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
        "resources": same(cpu, memory),
        "securityContext": container_security(),
        "startupProbe": health_probe(2, _START_S // 2, port=DETECTOR_HEALTH),
        "readinessProbe": health_probe(5, 3, port=DETECTOR_HEALTH),
        # One of its processes that has ended does not come back: all of it is started anew.
        "livenessProbe": health_probe(10, 6, port=DETECTOR_HEALTH),
    }
    return Screened(
        {"screening": section(args, stated, space)},
        [config],
        {"initContainers": [box]},
        [
            {"name": "detector-config", "configMap": {"name": config.metadata["name"], "defaultMode": 0o440}},
            {"name": "detector-tmp", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
        [scraped_from(monitoring_namespace, DETECTOR_HEALTH)],
        ["health", "detector"],
    )


def detector_config(held: str, stated: Screening) -> dict[str, Any]:
    """Of `mode: detector`."""
    rules: dict[str, Any] = {"languages": stated.spoken}
    said = stated.model_dump(include={"jurisdictions", "patterns", "topics"}, exclude_defaults=True)
    rules |= {key: said[key] for key in ("jurisdictions", "patterns", "topics") if key in said}
    if stated.models:
        rules["models"] = [
            {"file": f"{_MODELS}/{model.file}", "sha256": model.sha256, "language": model.language}
            for model in stated.models
        ]
    return {
        "mode": "detector",
        "class": held,
        "listen": {"host": "127.0.0.1", "port": DETECTOR_PORT},
        "health": {"host": "0.0.0.0", "port": DETECTOR_HEALTH},  # noqa: S104 (network policies say who may ask)
        "workers": stated.processes,
        "rules": rules,
    }


def section(args: GatewayScreening, stated: Screening, space: str) -> dict[str, Any]:
    """`screening` of the gateway's configuration."""
    made: dict[str, Any] = {
        "detector": f"http://127.0.0.1:{DETECTOR_PORT}",
        "limit_s": stated.limit_s,
        "languages": stated.spoken,
        "restore": stated.restore,
    }
    if stated.images == "pass":
        made["images"] = "pass"
    if args.get("redacted"):
        made["redacted"] = list(args.get("redacted", []))
    if guards := args.get("guards"):
        made["guards"] = [_guard(guard, space) for guard in guards]
    return made


def _guard(guard: ScreeningGuard, space: str) -> dict[str, Any]:
    kept = ("name", "on", "workloads", "entities", "max_characters", "then")
    made: dict[str, Any] = {key: value for key, value in guard.items() if key in kept}
    if "endpoint" in guard:
        server = dns_name(guard["endpoint"], space)
        made["model"] = {
            "url": f"https://{server}:{SERVING_PORT}",
            "server_name": server,
            "model": guard.get("model", guard["endpoint"]),
        }
    return made


def servers_of(args: GatewayScreening | None) -> set[str]:
    """Model servers that judge, which the gateway's pods must reach."""
    return {guard["endpoint"] for guard in judges(args) if "endpoint" in guard}


def addresses_of(args: GatewayScreening | None) -> Iterable[tuple[str, Any]]:
    """Each with its Service's address, None where it names none."""
    return [(guard["endpoint"], guard.get("cluster_ip")) for guard in judges(args) if "endpoint" in guard]
