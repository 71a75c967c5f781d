"""What several builders of arguments look up in the platform."""

from isthmus.contracts.platform.model.platform import Endpoint, Platform
from isthmus.contracts.reference import inference_profiles
from isthmus.core.errors import InputError


def model_name(endpoint: str, workload: str) -> str:
    """What a gateway's route asks its translator for: an endpoint, on one workload's account."""
    return f"{endpoint}--{workload}"


def region_of(platform: Platform, endpoint: Endpoint) -> str:
    """The region in which an endpoint in AWS is called: its own, else its site's."""
    region = endpoint.region or next(site.region for site in platform.sites if site.name == endpoint.site)
    if not region:
        raise InputError(f"endpoint '{endpoint.id}' names no region", where=f"endpoints.{endpoint.id}.region")
    return region


def regions_of(platform: Platform, endpoint: Endpoint) -> list[str]:
    """Every region in which a call of an endpoint on Bedrock may be served."""
    region = region_of(platform, endpoint)
    named = endpoint.destination_regions or inference_profiles.destinations(
        endpoint.inference_profile, region
    )
    return list(named)


def exception(platform: Platform, workloads: list[str]) -> dict[str, str]:
    """The recorded exceptions that cover these workloads, as one line under `exception`; else nothing."""
    found = [each for each in platform.exceptions if each.workload in workloads]
    if not found:
        return {}
    return {"exception": "; ".join(f"{each.who} until {each.until}: {each.reason}" for each in found)}
