"""What a gateway's tasks on Fargate run: the edge and the translator, told everything by their environment.

Nothing is mounted but the share of records: configuration is a variable, secrets are variables that ECS fills from
Secrets Manager when a task starts (`edge.environment` reads them as files). So a new certificate or caller is known to
tasks started after it.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pulumi

from components.cluster.edge_files import gateway_config, to_yaml, translator_config
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
LONGEST = 64 * 1024
"""Bytes of a task definition (ECS quotas, as of knowledge, not checked)."""
REST = 4096
"""What there is besides the configuration, counted generously."""
LATER = 150
"""Characters of what only AWS can tell."""
_USER = "65532:65532"
"""Of the image (`edge/Containerfile`); said here too, so that another image is not root either."""
SIGNING_KEY, EARLIER_KEYS = "/etc/isthmus/sealer/sealer.key.pem", "/etc/isthmus/sealer/earlier.pem"
_PLACES = {
    SEAL_KEY: "env:EDGE_SEAL_KEY",
    SITE_KEY: "env:EDGE_SITE_KEY",
    SIGNING_KEY: "env:EDGE_SIGNING_KEY",
    EARLIER_KEYS: "env:EDGE_EARLIER_KEYS",
    "/etc/isthmus/tls/tls.crt": "env:EDGE_CERTIFICATE",
    "/etc/isthmus/tls/tls.key": "env:EDGE_KEY",
    "/etc/isthmus/tls/ca.crt": "env:EDGE_CA",
    "/etc/isthmus/callers/callers.yaml": "env:EDGE_CALLERS",
}


def told_by_environment(config: Any) -> Any:
    """A configuration with each mounted file's path replaced by the variable that holds its content."""
    if isinstance(config, dict):
        return {key: told_by_environment(value) for key, value in config.items()}
    if isinstance(config, list):
        return [told_by_environment(each) for each in config]
    return _PLACES.get(config, config) if isinstance(config, str) else config


def edge_config(
    sensitivity: str,
    site: str,
    routes: list[dict[str, Any]],
    audit: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The edge's, as on-prem but for its files and its end. `audit`: makes that section from the rest."""
    told = gateway_config(sensitivity, site, routes)
    if audit is not None:
        told["audit"] = audit(told)
    return _drained(told_by_environment(told))


def behind_config(sensitivity: str, gateway: str, models: list[dict[str, Any]]) -> dict[str, Any]:
    """The translator's: it lets in the bearer of the gateway's certificate, by its name."""
    config = _drained(told_by_environment(translator_config(sensitivity, gateway, models)))
    config["listen"]["port"], config["health"]["port"] = TRANSLATOR_PORT, TRANSLATOR_HEALTH
    return config


def _drained(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "limits": {**config["limits"], "drain_timeout_s": DRAIN_S}}


def tls_secrets(secret: str) -> list[dict[str, str]]:
    """Certificate, key and CA: three parts of one secret's JSON, so that they change together."""
    return [
        {"name": f"EDGE_{part.upper()}", "valueFrom": f"{secret}:{part}::"}
        for part in ("certificate", "key", "ca")
    ]


def fitting(config: dict[str, Any], where: str) -> None:
    """Refuse a configuration that makes a task's definition longer than AWS takes.

    What is known later is taken to be as long as an ARN or a name in AWS can be.
    """
    size = len(json.dumps(to_yaml(_measured(config)))) + REST
    if size > LONGEST:
        raise InputError(
            f"the definition of a task would have about {size:,} bytes, and AWS takes {LONGEST:,}",
            where=where,
            fix="Give the gateway fewer workloads, or split the platform",
        )


def _measured(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _measured(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_measured(each) for each in value]
    return "x" * LATER if isinstance(value, pulumi.Output) else value


def container(
    name: str,
    image: pulumi.Input[str],
    config: pulumi.Input[dict[str, Any]],
    *,
    ports: Sequence[int],
    secrets: list[dict[str, str]],
    variables: dict[str, str],
    log_group: pulumi.Input[str],
    region: str,
    mounts: Sequence[dict[str, Any]] = (),
) -> pulumi.Output[str]:
    """The container definitions of a task that runs this one container, as JSON. `ports`: what it serves on, and at
    last its health's.

    No privilege, no capability, nothing writable but `/dev/shm` and what is mounted so, and no shell is used.
    """
    health = ports[-1]
    asked = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{health}/live', timeout=4)"

    def written(parts: list[Any]) -> str:
        found, told, group = parts
        environment = {CONFIG: to_yaml(told), **variables}
        box = {
            "name": name,
            "image": found,
            "essential": True,
            "entryPoint": ["python", "-m", "edge"],
            "command": ["--config", f"env:{CONFIG}"],
            "user": _USER,
            "readonlyRootFilesystem": True,
            "linuxParameters": {"capabilities": {"drop": ["ALL"]}},
            "portMappings": [{"containerPort": port, "protocol": "tcp"} for port in ports],
            **({"mountPoints": list(mounts)} if mounts else {}),
            "environment": [{"name": key, "value": environment[key]} for key in sorted(environment)],
            "secrets": sorted(secrets, key=lambda each: each["name"]),
            "healthCheck": {
                "command": ["CMD", "python", "-c", asked],
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
                    "awslogs-region": region,
                    "awslogs-stream-prefix": name,
                    "mode": "blocking",
                },
            },
        }
        return json.dumps([box], sort_keys=True)

    return pulumi.Output.all(image, config, log_group).apply(written)
