"""GPUs by Dynamic Resource Allocation: a DeviceClass for a pool, claims for the pods of an endpoint."""

from typing import Any

import pulumi

from components.cluster.objects import custom, labels, metadata
from isthmus.core.errors import InputError

DRA = "resource.k8s.io/v1"
DRIVER = "gpu.nvidia.com"
"""NVIDIA's DRA driver for GPUs; its attributes are below this domain."""
ALLOCATIONS = ("device-plugin", "dra")
_CLAIM = "gpus"


def device_class_name(pool: str) -> str:
    """Name of a pool's DeviceClass."""
    return f"isthmus-{pool}"


def quota_name(pool: str) -> str:
    """How a ResourceQuota counts the devices of a pool's class."""
    return f"{device_class_name(pool)}.deviceclass.resource.k8s.io/devices"


def device_class(name: str, pool: str, product: str, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    """GPUs of the pool's product, whole ones."""
    if '"' in product or "\\" in product:
        raise InputError(f"'{product}' is no product's name", where=f"{pool}.product")
    # The driver's `productName` has spaces where the label has hyphens.
    chosen = (
        f'device.driver == "{DRIVER}" && device.attributes["{DRIVER}"].type == "gpu" && '
        f'device.attributes["{DRIVER}"].productName.replace(" ", "-") == "{product}"'
    )
    return custom(
        f"{name}-devices",
        DRA,
        "DeviceClass",
        metadata(device_class_name(pool), labels(pool)),
        {"spec": {"selectors": [{"cel": {"expression": chosen}}]}},
        opts,
    )


def claim_template(
    name: str,
    endpoint: str,
    space: str,
    own: dict[str, str],
    of_class: str,
    gpus: int,
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """What each pod of an endpoint claims: so many GPUs of one machine. A template's spec cannot change."""
    request = {
        "name": _CLAIM,
        "exactly": {"deviceClassName": of_class, "allocationMode": "ExactCount", "count": gpus},
    }
    return custom(
        f"{name}-claim",
        DRA,
        "ResourceClaimTemplate",
        metadata(template_name(endpoint, gpus), own, namespace=space),
        {"spec": {"spec": {"devices": {"requests": [request]}}}},
        opts,
    )


def template_name(endpoint: str, gpus: int) -> str:
    """Another number of GPUs is another template: pods that stand keep theirs."""
    return f"{endpoint}-{gpus}-gpus"


def pod_claims(templates: dict[str, str]) -> dict[str, Any]:
    """Fields of a pod that claims by these templates, by the claims' names."""
    if not templates:
        return {}
    return {
        "resourceClaims": [
            {"name": claim, "resourceClaimTemplateName": template} for claim, template in templates.items()
        ]
    }


def container_claims(templates: dict[str, str]) -> dict[str, Any]:
    """Resources of the container that uses them."""
    return {"claims": [{"name": claim} for claim in templates]} if templates else {}
