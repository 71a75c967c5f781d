"""Builds the arguments of an AWS site's alarms from the platform's contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.aws.bedrock.call_policy import model_key
from components.aws.observability.serving_alarms import ServingAlarmsArgs
from components.base.platform_lookups import calls_of, region_at, tags
from isthmus.contracts.platform.model.platform import Platform, Site


def serving_alarms_args(
    platform: Platform,
    site: Site,
    access: Mapping[str, Any],
    endpoints: Mapping[str, Any],
    services: Mapping[str, Any],
) -> ServingAlarmsArgs | None:
    """Arguments of a site's alarms; None if nobody is told or nothing serves there.

    `access`: by identity, its `BedrockAccess` or None. `endpoints`: names of SageMaker endpoints by id. `services`:
    CLUSTER/SERVICE by CLASS-TASK.
    """
    watched: dict[str, list[dict[str, Any]]] = {
        "profiles": _profiles(platform, site, access),
        "endpoints": [{"name": name, "endpoint": endpoint} for name, endpoint in endpoints.items()],
        "services": [{"name": name, "service": service} for name, service in services.items()],
    }
    if not platform.contacts.operations or not any(watched.values()):
        return None
    arguments: dict[str, Any] = {
        "name": site.name,
        "region": region_at(platform, site.name),
        "notify": list(platform.contacts.operations),
        **{key: entries for key, entries in watched.items() if entries},
        "tags": tags(platform),
    }
    if site.account_id:
        arguments["account"] = site.account_id
    return arguments  # type: ignore[return-value]


def _profiles(platform: Platform, site: Site, access: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The inference profiles of the site's identities. An alarm watches metrics of its own region only, and provisioned
    throughput has no profile.
    """
    bought = {provision.endpoint for provision in platform.provisioned}
    profiles: list[dict[str, Any]] = []
    for identity in platform.identities:
        bedrock = access.get(identity.name)
        if bedrock is None:
            continue
        for endpoint, workload in calls_of(platform, identity, "bedrock"):
            if endpoint.id in bought or endpoint.region not in (None, site.region):
                continue
            key = model_key({"id": endpoint.id, "workload": workload})  # type: ignore[typeddict-item]
            profile = bedrock.model_ids.apply(lambda ids, key=key: ids[key])
            profiles.append({"name": key, "profile": profile})
    return profiles
