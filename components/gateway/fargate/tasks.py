"""Builds the task definitions of a Fargate gateway: the edge and the translator, configured with variables.

Only the share of records is mounted. The configuration is a variable, and secrets are variables that ECS reads from
Secrets Manager when a task starts (`edge.environment` provides them as files). So only tasks that start later know
a new certificate or caller.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.cluster.edge_files import gateway_config, to_yaml, translator_config, write_config
from components.cluster.objects import HEALTH_PORT, SERVING_PORT
from components.gateway.records import SEAL_KEY, SITE_KEY
from isthmus.core.errors import InputError

CONFIG = "EDGE_CONFIG"
TRANSLATOR_PORT, TRANSLATOR_HEALTH = SERVING_PORT + 1, HEALTH_PORT + 1
"""The translator's own ports, because both tasks share one load balancer, which distinguishes them by port."""
STOP_S = 120
"""Maximum seconds of Fargate between SIGTERM and SIGKILL (ECS API, `stopTimeout`)."""
DRAIN_S = STOP_S - 10
"""By then the load balancer has sent no new request for longer than any request takes. This limit is for requests
that hang."""
MAX_DEFINITION_BYTES = 64 * 1024
"""Maximum size of a task definition in bytes (ECS quotas, as of knowledge, not checked)."""
OTHER_BYTES = 4096
"""Generous size of everything besides the configuration."""
KNOWN_LATER_CHARACTERS = 150
"""Assumed length of a value that is known only at deployment."""
_USER = "65532:65532"
"""User id, as in the image (`edge/Containerfile`). Set here too, so that another image does not run as root."""
SIGNING_KEY, EARLIER_KEYS = "/etc/isthmus/sealer/sealer.key.pem", "/etc/isthmus/sealer/earlier.pem"
_VARIABLES = {
    SEAL_KEY: "env:EDGE_SEAL_KEY",
    SITE_KEY: "env:EDGE_SITE_KEY",
    SIGNING_KEY: "env:EDGE_SIGNING_KEY",
    EARLIER_KEYS: "env:EDGE_EARLIER_KEYS",
    "/etc/isthmus/tls/tls.crt": "env:EDGE_CERTIFICATE",
    "/etc/isthmus/tls/tls.key": "env:EDGE_KEY",
    "/etc/isthmus/tls/ca.crt": "env:EDGE_CA",
    "/etc/isthmus/callers/callers.yaml": "env:EDGE_CALLERS",
}


def with_variables(config: Any) -> Any:
    """A configuration with each mounted file's path replaced by the variable that holds its content."""
    if isinstance(config, dict):
        return {key: with_variables(value) for key, value in config.items()}
    if isinstance(config, list):
        return [with_variables(item) for item in config]
    return _VARIABLES.get(config, config) if isinstance(config, str) else config


def edge_config(
    sensitivity: str,
    site: str,
    routes: list[dict[str, Any]],
    audit: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    tokens: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The edge's configuration, as on-prem except for files and drain time. `audit`: builds that section from the
    others. `tokens`: that section.
    """
    config = gateway_config(sensitivity, site, routes)
    if tokens is not None:
        config["tokens"] = dict(tokens)
    if audit is not None:
        config["audit"] = audit(config)
    return _with_drain_timeout(with_variables(config))


def translator_task_config(sensitivity: str, gateway: str, models: list[dict[str, Any]]) -> dict[str, Any]:
    """The translator's configuration. It accepts the client with the gateway's certificate, by its name."""
    config = _with_drain_timeout(with_variables(translator_config(sensitivity, gateway, models)))
    config["listen"]["port"], config["health"]["port"] = TRANSLATOR_PORT, TRANSLATOR_HEALTH
    return config


def _with_drain_timeout(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "limits": {**config["limits"], "drain_timeout_s": DRAIN_S}}


def tls_secrets(secret: str) -> list[dict[str, str]]:
    """Certificate, key and CA from one secret's JSON, so that they change together."""
    return [
        {"name": f"EDGE_{part.upper()}", "valueFrom": f"{secret}:{part}::"}
        for part in ("certificate", "key", "ca")
    ]


def check_size(config: dict[str, Any], where: str) -> None:
    """Raise `InputError` if the configuration makes a task definition longer than AWS allows.

    A value that is known only at deployment counts as long as the longest ARN or name in AWS.
    """
    size = len(json.dumps(to_yaml(_with_placeholders(config)))) + OTHER_BYTES
    if size > MAX_DEFINITION_BYTES:
        raise InputError(
            f"a task definition would have about {size:,} bytes, but AWS accepts at most {MAX_DEFINITION_BYTES:,}",
            where=where,
            fix="Reduce the gateway's workloads, or split the platform",
        )


def _with_placeholders(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_placeholders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_placeholders(item) for item in value]
    return "x" * KNOWN_LATER_CHARACTERS if isinstance(value, pulumi.Output) else value


@dataclass(frozen=True)
class LogGroup:
    """The log group of a task, in CloudWatch Logs."""

    name: pulumi.Input[str]
    region: str


def container(
    name: str,
    image: pulumi.Input[str],
    config: pulumi.Input[dict[str, Any]],
    *,
    ports: Sequence[int],
    secrets: list[dict[str, str]],
    variables: dict[str, str],
    logs: LogGroup,
    mounts: Sequence[dict[str, Any]] = (),
) -> pulumi.Output[str]:
    """The container definitions of a task with this one container, as JSON. `ports`: its serving ports, and its
    health port last.

    The container has no privileges, no capabilities, and nothing writable except `/dev/shm` and writable mounts. No
    shell is used.
    """
    health = ports[-1]
    health_command = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{health}/live', timeout=4)"

    def definitions(values: list[Any]) -> str:
        image_name, task_config, group = values
        environment = {CONFIG: write_config(task_config), **variables}
        definition = {
            "name": name,
            "image": image_name,
            "essential": True,
            "entryPoint": ["python", "-m", "edge"],
            "command": ["--config", f"env:{CONFIG}"],
            "user": _USER,
            "readonlyRootFilesystem": True,
            "linuxParameters": {"capabilities": {"drop": ["ALL"]}},
            "portMappings": [{"containerPort": port, "protocol": "tcp"} for port in ports],
            **({"mountPoints": list(mounts)} if mounts else {}),
            "environment": [{"name": key, "value": environment[key]} for key in sorted(environment)],
            "secrets": sorted(secrets, key=lambda secret: secret["name"]),
            "healthCheck": {
                "command": ["CMD", "python", "-c", health_command],
                "interval": 10,
                "timeout": 5,
                "retries": 6,
                "startPeriod": 120,
            },
            "stopTimeout": STOP_S,
            "logConfiguration": {
                "logDriver": "awslogs",
                # Blocking: an action that cannot be logged must not happen. ECS's default would lose lines instead.
                "options": {
                    "awslogs-group": group,
                    "awslogs-region": logs.region,
                    "awslogs-stream-prefix": name,
                    "mode": "blocking",
                },
            },
        }
        return json.dumps([definition], sort_keys=True)

    return pulumi.Output.all(image, config, logs.name).apply(definitions)
