"""Redaction and guards of a gateway: the detector sidecar, and section `screening` of its configuration.

The detector is a native sidecar of Kubernetes (an init container that keeps running). It starts before the gateway,
and ends after the gateway has answered its last request. Its image contains the entity models, under `/models`. So
one digest names program and models, mirrors and scanners see both, and no class needs a volume that several nodes
read. The detector loads a model only if its digest is the configured one.
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
"""Port on the pod's loopback, because the texts are not redacted yet."""
DETECTOR_HEALTH = 9091
"""Health port, next to the gateway's own health port in the same pod."""
_CONFIG = "/etc/isthmus/config"
_MODELS = "/models"
_START_S = 180
"""Maximum start time in seconds. Loading a model takes seconds, and much longer on a busy node."""


class ScreeningModel(TypedDict):
    """A wheel with a spaCy pipeline that finds names, places and organisations in one language."""

    file: str
    """Name of the file in the folder `/models` of the detector's image."""
    sha256: str
    """SHA-256 that the file must have."""
    language: str
    """Language of the names that it finds."""


class ScreeningPattern(TypedDict):
    """A pattern of the organisation's own."""

    entity: str
    """Entity that the pattern finds, e.g. CASE_NUMBER."""
    pattern: str
    """The pattern in RE2 syntax, with a maximum length of a match."""
    context: NotRequired[list[str]]
    """Words of which one must be before a match. Absent: no word is required."""


class ScreeningTopic(TypedDict):
    """A topic that the organisation wants to block."""

    name: str
    """Name of the topic. Its entity is TOPIC_NAME."""
    phrases: list[str]
    """Whole words that indicate the topic, in upper or lower case."""


class ScreeningGuard(TypedDict):
    """A guard: the texts that it checks, what it looks for, and its action."""

    name: str
    """Name of the guard in verdicts and errors."""
    on: str
    """Texts that it checks: `prompts`, `outputs` or `both`."""
    workloads: NotRequired[list[str]]
    """Workloads that it applies to. Absent: all."""
    entities: NotRequired[list[str]]
    """Entities that the detector finds, e.g. SECRET, PROMPT_ATTACK, TOPIC_NAME."""
    max_characters: NotRequired[int]
    """Maximum length of the whole answer in characters."""
    endpoint: NotRequired[str]
    """Id of a model server of the class in its namespace that answers `safe` or `unsafe`."""
    model: NotRequired[str]
    """Name of the model in requests to it. With `endpoint`."""
    cluster_ip: NotRequired[pulumi.Input[str]]
    """ClusterIP of its Service. A restricted gateway needs it."""
    then: NotRequired[str]
    """Action: `refuse` (default), `redact`, `record` or `review`."""


class GatewayScreening(TypedDict):
    """The detector in each pod of a gateway, and what happens with its findings."""

    image: pulumi.Input[str]
    """Image of the detector, by digest, with the entity models in `/models`."""
    languages: NotRequired[list[str]]
    """Languages of the texts, the most likely first. Absent: those of `models`, else English."""
    jurisdictions: NotRequired[list[str]]
    """Jurisdictions whose numbers are recognised. Absent: all known ones."""
    models: NotRequired[list[ScreeningModel]]
    """Entity models, one for each language. Without models, no prompt that must be redacted leaves the site."""
    patterns: NotRequired[list[ScreeningPattern]]
    """The organisation's own patterns."""
    topics: NotRequired[list[ScreeningTopic]]
    """Topics that guards can block."""
    guards: NotRequired[list[ScreeningGuard]]
    """Guards, which refuse, redact, record or hold requests and answers."""
    redacted: NotRequired[list[str]]
    """Redaction in addition to what the class requires, e.g. prompts-leaving-site."""
    limit_s: NotRequired[float]
    """Seconds without an answer after which the detector counts as down (default 2)."""
    restore: NotRequired[bool]
    """Whether values that were redacted in the prompt are restored in the answer (default true)."""
    images: NotRequired[str]
    """Images in prompts that a guard checks, because guards cannot read images: refuse (default) or pass."""
    workers: NotRequired[int]
    """Worker processes of the detector. Absent: 2 with models, 1 with patterns only."""
    cpu: NotRequired[str]
    """CPUs of the detector. Absent: one for each worker."""
    memory: NotRequired[str]
    """Memory of the detector. Absent: computed from workers and models."""


def _parse(args: GatewayScreening) -> Screening:
    """The arguments as the contract's `Screening`, with its defaults."""
    fields = {key: value for key, value in args.items() if key not in ("image", "guards", "redacted")}
    return Screening.model_validate(fields)


def detector_resources(screening: Screening) -> tuple[str, str]:
    """CPUs and memory of the detector's container."""
    return screening.room


def judges(args: GatewayScreening | None) -> list[ScreeningGuard]:
    """Guards that call a model server."""
    return [guard for guard in (args or {}).get("guards", []) if "endpoint" in guard]


@dataclass
class DetectorParts:
    """What a gateway with a detector needs. Empty for a gateway without one."""

    config: dict[str, Any] = field(default_factory=dict)
    """Section `screening` of the gateway's configuration."""
    dependencies: list[pulumi.Resource] = field(default_factory=list)
    pod: dict[str, Any] = field(default_factory=dict)
    """Fields of the pod's spec."""
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
    """The detector's container and configuration, and the gateway's section `screening`."""
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
        # Models are unpacked while they load, which needs more than the default shared memory of a pod.
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
        # A detector process that has ended does not restart by itself, so the container is restarted.
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
    """Section `screening` of the gateway's configuration."""
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
    """Model servers of guards, which the gateway's pods must reach."""
    return {guard["endpoint"] for guard in judges(args) if "endpoint" in guard}


def addresses_of(args: GatewayScreening | None) -> Iterable[tuple[str, Any]]:
    """The model servers of guards, with their Services' addresses or None."""
    return [(guard["endpoint"], guard.get("cluster_ip")) for guard in judges(args) if "endpoint" in guard]
