"""Dynamic Resource Allocation of GPUs: the DeviceClass of a pool and the claims of an endpoint's pods."""

from typing import Any

import pulumi

from components.cluster.objects import common_labels, custom_resource, metadata
from isthmus.core.errors import InputError

DRA = "resource.k8s.io/v1"
DRIVER = "gpu.nvidia.com"
"""NVIDIA's DRA driver for GPUs, which is also the domain of its attributes."""
ALLOCATIONS = ("device-plugin", "dra")
_CLAIM = "gpus"


def device_class_name(pool: str) -> str:
    """Name of a pool's DeviceClass."""
    return f"isthmus-{pool}"


def quota_name(pool: str) -> str:
    """Resource name with which a ResourceQuota counts the devices of a pool's class."""
    return f"{device_class_name(pool)}.deviceclass.resource.k8s.io/devices"


def device_class(name: str, pool: str, product: str, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    """Create the DeviceClass of a pool: whole GPUs of its product."""
    if '"' in product or "\\" in product:
        raise InputError(f"'{product}' is not a valid GPU product name", where=f"{pool}.product")
    # The driver's `productName` has spaces, and the label has hyphens.
    expression = (
        f'device.driver == "{DRIVER}" && device.attributes["{DRIVER}"].type == "gpu" && '
        f'device.attributes["{DRIVER}"].productName.replace(" ", "-") == "{product}"'
    )
    return custom_resource(
        f"{name}-devices",
        DRA,
        "DeviceClass",
        metadata(device_class_name(pool), common_labels(pool)),
        {"spec": {"selectors": [{"cel": {"expression": expression}}]}},
        opts,
    )


def claim_template(
    name: str,
    endpoint: str,
    namespace: str,
    labels: dict[str, str],
    claimed_class: str,
    gpus: int,
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """Create the ResourceClaimTemplate of an endpoint: GPUs of one node for each pod. Its spec is immutable."""
    request = {
        "name": _CLAIM,
        "exactly": {"deviceClassName": claimed_class, "allocationMode": "ExactCount", "count": gpus},
    }
    return custom_resource(
        f"{name}-claim",
        DRA,
        "ResourceClaimTemplate",
        metadata(template_name(endpoint, gpus), labels, namespace=namespace),
        {"spec": {"spec": {"devices": {"requests": [request]}}}},
        opts,
    )


def template_name(endpoint: str, gpus: int) -> str:
    """Name of the template, which contains the GPU count. A new count creates a new template, and running pods keep
    theirs.
    """
    return f"{endpoint}-{gpus}-gpus"


def pod_claims(templates: dict[str, str]) -> dict[str, Any]:
    """Fields of a pod with claims. `templates`: claim name → template name."""
    if not templates:
        return {}
    return {
        "resourceClaims": [
            {"name": claim, "resourceClaimTemplateName": template} for claim, template in templates.items()
        ]
    }


def container_claims(templates: dict[str, str]) -> dict[str, Any]:
    """Resource fields of the container that uses the claims."""
    return {"claims": [{"name": claim} for claim in templates]} if templates else {}
