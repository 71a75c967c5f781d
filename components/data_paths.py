"""Describes the data path of each workload in one line."""

from components.base.platform_lookups import region_of, regions_of
from isthmus.contracts.platform.model.platform import Endpoint, Platform


def data_paths(platform: Platform) -> list[str]:
    """One line for each workload, in the platform's order."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    lines = []
    for gateway in platform.gateways:
        for workload in gateway.workloads:
            endpoints_reached = [endpoints[endpoint_id] for endpoint_id in workload.reaches]
            descriptions = [_describe_place(platform, endpoint) for endpoint in endpoints_reached]
            if workload.canary is not None:
                canary = workload.canary
                copies = f", and copies of {canary.shadow_percent:g} %" if canary.shadow_percent else ""
                descriptions[-2:] = [f"{descriptions[-2]} ({canary.share} to {descriptions[-1]}{copies})"]
            places = ", else ".join(descriptions)
            only = (
                " only"
                if len(endpoints_reached) == 1 and endpoints_reached[0].target == "onprem-vllm"
                else ""
            )
            never = (
                ""
                if any(endpoint.target != "onprem-vllm" for endpoint in endpoints_reached)
                else "; never AWS"
            )
            lines.append(f"{workload.name} ({gateway.class_}): {places}{only}{never}")
    return lines


def _describe_place(platform: Platform, endpoint: Endpoint) -> str:
    if endpoint.target == "sagemaker":
        return (
            f"{endpoint.site}/{endpoint.id} on Amazon SageMaker, processed in {region_of(platform, endpoint)}"
        )
    if endpoint.target != "bedrock":
        return f"{endpoint.site}/{endpoint.id}"
    regions = ", ".join(regions_of(platform, endpoint))
    profile = f" through {endpoint.inference_profile}" if endpoint.inference_profile else ""
    return f"{endpoint.site}/{endpoint.id} on Amazon Bedrock{profile}, processed in {regions}"
