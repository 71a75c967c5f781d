"""Where each workload's data may go, in one line that a newcomer and an auditor both can read."""

from components.base.platform_lookups import region_of, regions_of
from isthmus.contracts.platform.model.platform import Endpoint, Platform


def data_paths(platform: Platform) -> list[str]:
    """A line for each workload, in the platform's order."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    lines = []
    for gateway in platform.gateways:
        for workload in gateway.workloads:
            reached = [endpoints[one] for one in workload.reaches]
            ways = [_place(platform, endpoint) for endpoint in reached]
            if workload.canary is not None:
                ways[-2:] = [f"{ways[-2]} ({workload.canary.percent:g} % to {ways[-1]})"]
            places = ", else ".join(ways)
            only = " only" if len(reached) == 1 and reached[0].target == "onprem-vllm" else ""
            never = "" if any(endpoint.target != "onprem-vllm" for endpoint in reached) else "; never AWS"
            lines.append(f"{workload.name} ({gateway.class_}): {places}{only}{never}")
    return lines


def _place(platform: Platform, endpoint: Endpoint) -> str:
    if endpoint.target == "sagemaker":
        return (
            f"{endpoint.site}/{endpoint.id} on Amazon SageMaker, processed in {region_of(platform, endpoint)}"
        )
    if endpoint.target != "bedrock":
        return f"{endpoint.site}/{endpoint.id}"
    regions = ", ".join(regions_of(platform, endpoint))
    profile = f" through {endpoint.inference_profile}" if endpoint.inference_profile else ""
    return f"{endpoint.site}/{endpoint.id} on Amazon Bedrock{profile}, processed in {regions}"
