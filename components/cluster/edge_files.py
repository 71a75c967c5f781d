"""Builds the edge's configuration file for each of its modes, and the ConfigMap that carries it."""

import hashlib
import json
from collections.abc import Mapping
from io import StringIO
from typing import Any

import pulumi
from ruamel.yaml import YAML

from components.cluster.objects import ENGINE_PORT, HEALTH_PORT, SERVING_PORT, metadata
from components.cluster.pod_defaults import TRUST_MOUNT
from edge.config import problems
from isthmus.contracts.platform.lookups.desk import DESK_PORT
from isthmus.core.errors import InputError

LIMITS = {"max_body_bytes": 4 * 1024 * 1024, "connect_timeout_s": 5, "request_timeout_s": 300}
RECORDS, SEALS = "/var/lib/isthmus/audit/records", "/var/lib/isthmus/audit/seals"
_TLS = "/etc/isthmus/tls"
_HEALTH = {"host": "0.0.0.0", "port": HEALTH_PORT}  # noqa: S104


def _listen(*, mutual_tls: bool, port: int = SERVING_PORT) -> dict[str, Any]:
    listen: dict[str, Any] = {
        "host": "0.0.0.0",  # noqa: S104 (a pod's own address; network policies say who may call)
        "port": port,
        "certificate": f"{_TLS}/tls.crt",
        "key": f"{_TLS}/tls.key",
    }
    if mutual_tls:
        listen["client_ca"] = f"{_TLS}/ca.crt"
    return listen


def _common_settings(mode: str, sensitivity: str, *, mutual_tls: bool) -> dict[str, Any]:
    return {
        "mode": mode,
        "class": sensitivity,
        "listen": _listen(mutual_tls=mutual_tls),
        "health": dict(_HEALTH),
        "limits": dict(LIMITS),
    }


def gateway_config(
    sensitivity: str, site: str, routes: list[dict[str, Any]], callers: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The gateway's configuration. `routes`: workload, url, server_name, model; `callers`: of `known_callers`.

    Callers of a public gateway need no certificate.
    """
    return {
        **_common_settings("gateway", sensitivity, mutual_tls=sensitivity != "public"),
        "site": site,
        **(callers or {"callers": "/etc/isthmus/callers/callers.yaml"}),
        "upstream_tls": {"certificate": f"{_TLS}/tls.crt", "key": f"{_TLS}/tls.key", "ca": f"{_TLS}/ca.crt"},
        "routes": routes,
    }


def sealer_config(sensitivity: str, site: str, store: dict[str, Any], keys: dict[str, str]) -> dict[str, Any]:
    """The sealer's configuration. `store`: the store of the seals. `keys`: paths of `signing_key` and
    `earlier_keys`.
    """
    return {
        "mode": "sealer",
        "class": sensitivity,
        "site": site,
        "records": RECORDS,
        "seals": SEALS,
        **keys,
        "store": store,
        "health": dict(_HEALTH),
    }


def reviews_config(sensitivity: str, site: str, people_ca: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The review service's configuration. `people_ca`: path of the CA of reviewers' certificates, which differs
    from the service's own CA. `settings`: database, audit, keys, reviewers, and `tokens` and `desk` if it has a desk.
    """
    config = {**_common_settings("reviews", sensitivity, mutual_tls=True), "site": site, **settings}
    config["listen"]["client_ca"] = people_ca
    if "desk" in config:
        # Its only caller is the sign-on's proxy, which sends the token of a person and has no certificate.
        config["desk"] = {"listen": _listen(mutual_tls=False, port=DESK_PORT), **config["desk"]}
    return config


def with_health(settings: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a notifier or loader, which has no port but `health`. `settings`: all but `health`."""
    return {**settings, "health": dict(_HEALTH)}


def chat_config(sensitivity: str, site: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a chat's proxy. `settings`: chat, gateway, tokens, and where it asks models."""
    return {
        **_common_settings("chat", sensitivity, mutual_tls=False),
        "site": site,
        "gateway_tls": {"certificate": f"{_TLS}/tls.crt", "key": f"{_TLS}/tls.key", "ca": f"{_TLS}/ca.crt"},
        **settings,
    }


def sidecar_config(sensitivity: str, allowed_clients: list[str]) -> dict[str, Any]:
    """The sidecar's configuration: it terminates mutual TLS for vLLM. `allowed_clients`: DNS names."""
    return {
        **_common_settings("sidecar", sensitivity, mutual_tls=True),
        "allowed_clients": allowed_clients,
        "upstream": f"http://127.0.0.1:{ENGINE_PORT}",
    }


def translator_config(
    sensitivity: str,
    allowed_client: str,
    models: list[dict[str, Any]],
    outbound: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The translator's configuration. `models`: name, region, inference_profile, endpoint_url; optionally `model_id`
    and `guardrail`."""
    return {
        **_common_settings("translator", sensitivity, mutual_tls=True),
        "allowed_clients": [allowed_client],
        "models": models,
        **({"outbound": outbound} if outbound else {}),
    }


def with_trust_bundle(config: dict[str, Any], trust_bundle: str | None) -> dict[str, Any]:
    """The configuration, with a bundle of further CAs in addition to the CA of its own Secret.

    While a CA is replaced, some Secrets have certificates of the old CA and some of the new one. With both in the
    bundle, each side of a call trusts the other. Without a bundle nothing changes.
    """
    if trust_bundle is None:
        return config
    bundles, changed = [f"{TRUST_MOUNT['mountPath']}/ca.crt"], dict(config)
    if "client_ca" in config["listen"]:
        changed["listen"] = {**config["listen"], "client_ca_bundles": bundles}
    if "upstream_tls" in config:
        changed["upstream_tls"] = {**config["upstream_tls"], "ca_bundles": bundles}
    return changed


def write_config(config: dict[str, Any]) -> str:
    """The configuration as YAML, checked by the edge's own models. Raises `InputError` if the edge would refuse it.

    So a wrong argument fails `pulumi up`, not the start of a pod. Two kinds of values cannot be checked here:
    values that are known only at deployment (`isthmus render` has placeholders, `${…}`), and those in a task's
    variables (`env:NAME`).
    """
    wrong = [sentence for value, sentence in problems(config) if not _is_known_later(value)]
    if wrong:
        raise InputError(
            f"the edge's {config.get('mode')} would not start with these arguments: {'; '.join(wrong)}",
            fix="Correct the component's arguments that these keys are written from",
        )
    return to_yaml(config)


def _is_known_later(value: Any) -> bool:
    text = json.dumps(value, default=str)
    return "${" in text or '"env:' in text


def to_yaml(config: Any) -> str:
    """The configuration as YAML. Equal configurations give equal bytes."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    stream = StringIO()
    yaml.dump(config, stream)
    return stream.getvalue()


def config_map(
    name: str,
    service: str,
    namespace: str,
    own_labels: dict[str, str],
    config: dict[str, Any],
    opts: pulumi.ResourceOptions,
    files: Mapping[str, str] | None = None,
) -> Any:
    """An immutable ConfigMap whose name contains a digest of its content. `files`: further files by key.

    A change creates a new ConfigMap beside the old one, which restarts the pods. Pods that have not restarted keep
    the old one, which is deleted after the rollout.
    """
    from pulumi_kubernetes.core.v1 import ConfigMap

    text = pulumi.Output.from_input(config).apply(write_config)
    further = dict(sorted((files or {}).items()))
    suffix = json.dumps(further) if further else ""
    map_name = text.apply(
        lambda content: f"{service}-config-{hashlib.sha256((content + suffix).encode()).hexdigest()[:10]}"
    )
    return ConfigMap(
        f"{name}-config",
        metadata=metadata(map_name, own_labels, namespace=namespace),
        data={"config.yaml": text, **further},
        immutable=True,
        opts=opts,
    )
