"""Builds the arguments of a site's AuditTrail from the platform's contract."""

from __future__ import annotations

from components.aws.records.trail import AuditTrailArgs
from components.base.platform_lookups import boundary_argument, key_argument, tags
from isthmus.contracts.platform.model.platform import AuditStore, Platform, Site


def audit_args(platform: Platform, site: Site, store: AuditStore, sealers: list[str]) -> AuditTrailArgs:
    """Arguments of a site's audit store and, if the platform has one there, the account's trail. `sealers`: name
    patterns of the roles that may put seals.
    """
    arguments = store.model_dump(exclude_none=True)
    if sealers:
        arguments["sealers"] = sealers
    if site.kind == "aws" and site.region:
        arguments["region"] = site.region
    trail = next((candidate for candidate in platform.trails if candidate.site == site.name), None)
    if trail is not None and site.kind == "aws":
        arguments["trail"] = {
            **trail.model_dump(include={"mode", "organization", "retention_days"}),
            "notify": list(platform.contacts.security),
            **boundary_argument(site),
        }
    arguments["tags"] = tags(platform)
    arguments |= key_argument(site)
    return arguments  # type: ignore[return-value]
