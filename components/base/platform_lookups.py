"""Lookups in the platform's contract that several argument builders share."""

from isthmus.contracts.platform.model.platform import Endpoint, Platform
from isthmus.contracts.reference import inference_profiles
from isthmus.core.errors import InputError


def model_name(endpoint: str, workload: str) -> str:
    """The model name by which a gateway's route calls its translator: `ENDPOINT--WORKLOAD`."""
    return f"{endpoint}--{workload}"


def region_of(platform: Platform, endpoint: Endpoint) -> str:
    """The AWS region in which an endpoint is called: its own, else its site's. Raises `InputError` without one."""
    region = endpoint.region or next(site.region for site in platform.sites if site.name == endpoint.site)
    if not region:
        raise InputError(
            f"endpoint '{endpoint.id}' has no AWS region", where=f"endpoints.{endpoint.id}.region"
        )
    return region


def regions_of(platform: Platform, endpoint: Endpoint) -> list[str]:
    """Every region in which a call of an endpoint on Bedrock may be served."""
    region = region_of(platform, endpoint)
    regions = endpoint.destination_regions or inference_profiles.destinations(
        endpoint.inference_profile, region
    )
    return list(regions)


def exception_arguments(platform: Platform, workloads: list[str]) -> dict[str, str]:
    """The argument `exception`: the recorded exceptions of these workloads in one line. Empty without any."""
    exceptions = [exception for exception in platform.exceptions if exception.workload in workloads]
    if not exceptions:
        return {}
    return {
        "exception": "; ".join(
            f"{exception.who} until {exception.until}: {exception.reason}" for exception in exceptions
        )
    }
