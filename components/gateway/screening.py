"""Redaction and guards of a gateway: the detector sidecar, and its configuration's section `screening`.

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
from components.cluster.pod_defaults import container_security, guaranteed_resources, health_probe
from components.observability.pod_monitor import metrics_ingress
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


def _parse(args: GatewayScreening) -> Screening:
    """The arguments as the contract's `Screening`, with its defaults."""
    fields = {key: value for key, value in args.items() if key not in ("image", "guards", "redacted")}
    return Screening.model_validate(fields)


def detector_resources(screening: Screening) -> tuple[str, str]:
    """CPUs and memory that a detector asks for."""
    return screening.room


def judges(args: GatewayScreening | None) -> list[ScreeningGuard]:
    """Guards that ask a model server."""
    return [guard for guard in (args or {}).get("guards", []) if "endpoint" in guard]


@dataclass
class DetectorParts:
    """What a gateway with a detector has beside one without; of one without, nothing."""

    config: dict[str, Any] = field(default_factory=dict)
    """Of its configuration."""
    dependencies: list[pulumi.Resource] = field(default_factory=list)
    pod: dict[str, Any] = field(default_factory=dict)
    """Of the pod's spec."""
    volumes: list[dict[str, Any]] = field(default_factory=list)
    ingress: list[dict[str, Any]] = field(default_factory=list)
    metric_ports: list[str] = field(default_factory=lambda: ["health"])
    """Ports of the pod that are scraped."""


def create_detector(
    name: str,
    sensitivity: str,
    namespace: str,
    labels: dict[str, str],
    args: GatewayScreening | None,
    monitoring_namespace: str,
    opts: pulumi.ResourceOptions,
) -> DetectorParts:
    """The detector's configuration, its container, and what the gateway is told of it."""
    if args is None:
        return DetectorParts()
    screening = _parse(args)
    service = f"{sensitivity}-detector"
    config = config_map(
        f"{name}-detector", service, namespace, labels, detector_config(sensitivity, screening), opts
    )
    cpu, memory = detector_resources(screening)
    container: dict[str, Any] = {
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
        "resources": guaranteed_resources(cpu, memory),
        "securityContext": container_security(),
        "startupProbe": health_probe(2, _START_S // 2, port=DETECTOR_HEALTH),
        "readinessProbe": health_probe(5, 3, port=DETECTOR_HEALTH),
        # One of its processes that has ended does not come back: all of it is started anew.
        "livenessProbe": health_probe(10, 6, port=DETECTOR_HEALTH),
    }
    return DetectorParts(
        {"screening": section(args, screening, namespace)},
        [config],
        {"initContainers": [container]},
        [
            {"name": "detector-config", "configMap": {"name": config.metadata["name"], "defaultMode": 0o440}},
            {"name": "detector-tmp", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
        [metrics_ingress(monitoring_namespace, DETECTOR_HEALTH)],
        ["health", "detector"],
    )


def detector_config(sensitivity: str, screening: Screening) -> dict[str, Any]:
    """The configuration of the edge in mode `detector`."""
    rules: dict[str, Any] = {"languages": screening.spoken}
    fields = screening.model_dump(include={"jurisdictions", "patterns", "topics"}, exclude_defaults=True)
    rules |= {key: fields[key] for key in ("jurisdictions", "patterns", "topics") if key in fields}
    if screening.models:
        rules["models"] = [
            {"file": f"{_MODELS}/{model.file}", "sha256": model.sha256, "language": model.language}
            for model in screening.models
        ]
    return {
        "mode": "detector",
        "class": sensitivity,
        "listen": {"host": "127.0.0.1", "port": DETECTOR_PORT},
        "health": {"host": "0.0.0.0", "port": DETECTOR_HEALTH},  # noqa: S104 (network policies say who may ask)
        "workers": screening.processes,
        "rules": rules,
    }


def section(args: GatewayScreening, screening: Screening, namespace: str) -> dict[str, Any]:
    """`screening` of the gateway's configuration."""
    section: dict[str, Any] = {
        "detector": f"http://127.0.0.1:{DETECTOR_PORT}",
        "limit_s": screening.limit_s,
        "languages": screening.spoken,
        "restore": screening.restore,
    }
    if screening.images == "pass":
        section["images"] = "pass"
    if args.get("redacted"):
        section["redacted"] = list(args.get("redacted", []))
    if guards := args.get("guards"):
        section["guards"] = [_guard(guard, namespace) for guard in guards]
    return section


def _guard(guard: ScreeningGuard, namespace: str) -> dict[str, Any]:
    guard_keys = ("name", "on", "workloads", "entities", "max_characters", "then")
    config: dict[str, Any] = {key: value for key, value in guard.items() if key in guard_keys}
    if "endpoint" in guard:
        server = dns_name(guard["endpoint"], namespace)
        config["model"] = {
            "url": f"https://{server}:{SERVING_PORT}",
            "server_name": server,
            "model": guard.get("model", guard["endpoint"]),
        }
    return config


def servers_of(args: GatewayScreening | None) -> set[str]:
    """Model servers that judge, which the gateway's pods must reach."""
    return {guard["endpoint"] for guard in judges(args) if "endpoint" in guard}


def addresses_of(args: GatewayScreening | None) -> Iterable[tuple[str, Any]]:
    """The model servers of guards, each with its Service's address or None."""
    return [(guard["endpoint"], guard.get("cluster_ip")) for guard in judges(args) if "endpoint" in guard]
