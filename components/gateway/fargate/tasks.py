"""Builds the task definitions of a Fargate gateway: the edge and the translator, configured by environment.

Nothing is mounted but the share of records: configuration is a variable, secrets are variables that ECS fills from
Secrets Manager when a task starts (`edge.environment` reads them as files). So a new certificate or caller is known to
tasks started after it.
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
"""The translator's own: the two share one load balancer, which tells them apart by port."""
STOP_S = 120
"""The longest that Fargate waits between SIGTERM and the end (ECS API, `stopTimeout`)."""
DRAIN_S = STOP_S - 10
"""The load balancer has sent nothing new for longer than any request takes by then; this is for what is stuck."""
MAX_DEFINITION_BYTES = 64 * 1024
"""Bytes of a task definition (ECS quotas, as of knowledge, not checked)."""
OTHER_BYTES = 4096
"""What there is besides the configuration, counted generously."""
KNOWN_LATER_CHARACTERS = 150
"""Characters of what only AWS can tell."""
_USER = "65532:65532"
"""Of the image (`edge/Containerfile`); said here too, so that another image is not root either."""
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
) -> dict[str, Any]:
    """The edge's, as on-prem but for its files and its end. `audit`: makes that section from the rest."""
    config = gateway_config(sensitivity, site, routes)
    if audit is not None:
        config["audit"] = audit(config)
    return _with_drain_timeout(with_variables(config))


def translator_task_config(sensitivity: str, gateway: str, models: list[dict[str, Any]]) -> dict[str, Any]:
    """The translator's: it lets in the bearer of the gateway's certificate, by its name."""
    config = _with_drain_timeout(with_variables(translator_config(sensitivity, gateway, models)))
    config["listen"]["port"], config["health"]["port"] = TRANSLATOR_PORT, TRANSLATOR_HEALTH
    return config


def _with_drain_timeout(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "limits": {**config["limits"], "drain_timeout_s": DRAIN_S}}


def tls_secrets(secret: str) -> list[dict[str, str]]:
    """Certificate, key and CA: three parts of one secret's JSON, so that they change together."""
    return [
        {"name": f"EDGE_{part.upper()}", "valueFrom": f"{secret}:{part}::"}
        for part in ("certificate", "key", "ca")
    ]


def check_size(config: dict[str, Any], where: str) -> None:
    """Refuse a configuration that makes a task's definition longer than AWS takes.

    What is known later is taken to be as long as an ARN or a name in AWS can be.
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
    """The container definitions of a task that runs this one container, as JSON. `ports`: what it serves on, and at
    last its health's.

    No privilege, no capability, nothing writable but `/dev/shm` and what is mounted so, and no shell is used.
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
                # Blocking: what cannot be recorded is not done either. ECS's own default loses lines instead.
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
