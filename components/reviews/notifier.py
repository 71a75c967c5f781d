"""The notifier beside a review service: it tells people that answers wait, from a namespace of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.base.argument_checks import check_within
from components.cluster.class_namespace import create_isolated_namespace, pods_quota
from components.cluster.edge_files import config_map, with_health
from components.cluster.objects import notifier_namespace
from components.cluster.pod_defaults import (
    edge_container,
    edge_probes,
    edge_volumes,
    guaranteed_resources,
    no_dns,
    pod_spec,
    priority_fields,
)
from components.cluster.workload_names import WorkloadNames
from components.gateway.callers import database_egress, with_host_aliases
from components.gateway.edge_workload import PodSettings
from components.gateway.translator.translator import NamedDestination, destination_egress
from isthmus.contracts.platform.lookups.notifier import (
    ON_CALL_FOLDER,
    RELAY_FOLDER,
    SECRET_FOLDER,
    TARGETS_FOLDER,
    WEBHOOK_CA_FOLDER,
    WEBHOOKS_FOLDER,
)
from isthmus.core.errors import Refused

ROLE = "notifier"
"""Role of its pods."""
CPU, MEMORY = "250m", "256Mi"
"""Resources of its only pod."""
_QUOTA = pods_quota(3, CPU, MEMORY)
"""Quota of its namespace: one pod, one more during a rollout, and one that is ending."""


def create_notifier(names: WorkloadNames, args: Mapping[str, Any], settings: PodSettings) -> None:
    """Create its namespace, account, network policy, configuration and Deployment.

    Args:
        names: of the review service; the notifier's are made from them.
        args: `ReviewsArgs` with `notifier`.
        settings: those of the review service's pods.

    Raises `Refused` for a target that class restricted may not have.
    """
    notifier = args["notifier"]
    _check_targets(notifier, names.sensitivity, args.get("site_cidrs", []), names.service)
    namespace = notifier_namespace(names.sensitivity)
    name = f"{names.name}-notifier"
    namespace_object, isolation = create_isolated_namespace(
        name, namespace, names.sensitivity, _QUOTA, names.parent
    )
    names = WorkloadNames(name, names.sensitivity, ROLE, namespace, names.parent, [namespace_object])
    config = config_map(
        name,
        names.service,
        namespace,
        names.labels,
        with_health(notifier["settings"]),
        names.options,
        notifier.get("calendars"),
    )
    pod = _pod(names, args, config, settings)
    settings.deploy_alone(names, pod, config, _egress(names, args), isolation)


def _check_targets(
    notifier: Mapping[str, Any], sensitivity: str, site_cidrs: list[str], service: str
) -> None:
    """Raise `Refused` if notifications of restricted work would go to a service, or leave the site."""
    if sensitivity != "restricted":
        return
    for target in notifier["settings"]["targets"]:
        if "service" in target:
            raise Refused(
                f"notifications of restricted work may go to mail relays only, not to {target['service']}",
                where=f"{service}.notifier.settings.targets.{target['name']}",
                fix="Use `mail` with a relay on-prem",
            )
    for place in notifier["exits"]:
        check_within(f"{place['address']}/32", site_cidrs, f"{service}.notifier.exits")


def _egress(names: WorkloadNames, args: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Egress: to the database, and to each relay and service at its address."""
    places: list[NamedDestination] = [
        {"name": place["host"], "cidr": f"{place['address']}/32", "port": place["port"]}
        for place in args["notifier"]["exits"]
    ]
    return [
        *database_egress(args["database"], names.sensitivity, args.get("site_cidrs", []), names.service),
        *destination_egress(places, names.service),
    ]


def _pod(names: WorkloadNames, args: Mapping[str, Any], config: Any, settings: PodSettings) -> dict[str, Any]:
    notifier = args["notifier"]
    mounts, volumes = _files(notifier)
    container = edge_container(
        ROLE, notifier["image"], mounts, guaranteed_resources(CPU, MEMORY), serves=False
    )
    container |= edge_probes()
    # The hosts file has all names: the pod asks no DNS, and a certificate is checked against the name.
    hosts = [
        (args["database"]["address"], args["database"]["host"]),
        *((place["address"], place["host"]) for place in notifier["exits"]),
    ]
    return pod_spec(
        names.service,
        [container],
        [*edge_volumes(config.metadata["name"], None), *volumes],
        pull_secrets=settings.pull_secrets,
        **priority_fields(settings.pod_priority),
        **with_host_aliases(list(dict.fromkeys(hosts)), no_dns()),
    )


def _files(notifier: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Mounts and volumes: the Secrets of the database and the targets, the calendars and the relays' CA."""
    secrets = {"notifier": (SECRET_FOLDER, notifier["secret"])}
    for target, secret in notifier.get("target_secrets", {}).items():
        secrets[f"target-{target}"] = (f"{TARGETS_FOLDER}/{target}", secret)
    for webhook, secret in notifier.get("webhook_secrets", {}).items():
        secrets[f"webhook-{webhook}"] = (f"{WEBHOOKS_FOLDER}/{webhook}", secret)
    config_maps: dict[str, tuple[str, str]] = {}
    for webhook, name in notifier.get("webhook_authorities", {}).items():
        config_maps[f"webhook-ca-{webhook}"] = (f"{WEBHOOK_CA_FOLDER}/{webhook}", name)
    for target, name in notifier.get("calendar_config_maps", {}).items():
        config_maps[f"on-call-{target}"] = (f"{ON_CALL_FOLDER}/{target}", name)
    if "relay_ca" in notifier:
        config_maps["relay-ca"] = (RELAY_FOLDER, notifier["relay_ca"])
    mounts = [
        {"name": volume, "mountPath": folder, "readOnly": True}
        for volume, (folder, _) in {**secrets, **config_maps}.items()
    ]
    volumes: list[dict[str, Any]] = [
        *(
            {"name": volume, "secret": {"secretName": name, "defaultMode": 0o440}}
            for volume, (_, name) in secrets.items()
        ),
        *(
            {"name": volume, "configMap": {"name": name, "defaultMode": 0o440}}
            for volume, (_, name) in config_maps.items()
        ),
    ]
    return mounts, volumes
