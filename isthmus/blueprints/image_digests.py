"""Finds the images that a platform needs and fills in their references from the image lock.

A reference in the overrides is used unchanged. Every other reference comes from the lock, with the organisation's
registry in place of the public one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus.contracts import images_lock
from isthmus.contracts.images_lock import FILE, IMAGES, Image
from isthmus.contracts.vocabulary import VLLM_TARGETS
from isthmus.core.errors import InputError

__all__ = ["FILE", "fill", "needed_images"]


def needed_images(platform: dict[str, Any]) -> list[Image]:
    """The images that a merged platform runs. A platform without endpoints needs the vLLM image too."""
    sections = platform.get("identities"), platform.get("endpoints"), platform.get("gateways")
    identities, endpoints, gateways = (
        [element for element in section or () if isinstance(element, dict)] for section in sections
    )
    by_certificate = [
        identity for identity in identities if identity.get("assumed_by") in (None, "roles-anywhere")
    ]
    served = [endpoint for endpoint in endpoints if endpoint.get("target") in (None, *VLLM_TARGETS)]
    is_needed = {
        # The translator image also fetches weights and seals records.
        "translator": bool(identities)
        or any(_weights_uri(endpoint).startswith("s3://") for endpoint in served)
        or any(gateway.get("audit") for gateway in gateways),
        "detector": any(gateway.get("screening") is not None for gateway in gateways),
        "chat": any(
            _mapping(gateway.get("chat")) and not gateway["chat"].get("image") for gateway in gateways
        ),
        "sign_on": any(
            gateway.get("chat") or _mapping(gateway.get("reviews")).get("desk") for gateway in gateways
        ),
        "notifier": any(_mapping(gateway.get("reviews")).get("notifier") for gateway in gateways),
        "evaluator": any(gateway.get("evaluator") for gateway in gateways),
        "credential_helper": bool(by_certificate),
        "resolver": _needs_resolver(platform),
        "vllm": bool([endpoint for endpoint in served if endpoint.get("engine") != "cpu"] or not endpoints),
        "vllm_cpu": any(endpoint.get("engine") == "cpu" for endpoint in served),
    }
    return [name for name in IMAGES if is_needed.get(name, True)]


def _needs_resolver(platform: dict[str, Any]) -> bool:
    """Whether a gateway in a cluster uses the DNS resolver of its class (`Site.cluster_dns`)."""
    sites = {site.get("name"): site for site in platform.get("sites") or () if isinstance(site, dict)}
    for gateway in platform.get("gateways") or ():
        if not isinstance(gateway, dict) or gateway.get("class") == "restricted":
            continue
        dns = sites.get(gateway.get("site"), {}).get("cluster_dns")
        filters = not isinstance(dns, dict) or dns.get("filter", True)
        if gateway.get("runs_on", "kubernetes") == "kubernetes" and filters:
            return True
    return False


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _weights_uri(endpoint: dict[str, Any]) -> str:
    weights = endpoint.get("weights")
    return str(weights.get("uri", "")) if isinstance(weights, dict) else ""


def fill(platform: dict[str, Any], lock: Path, stack: str, *, sandbox: bool) -> dict[str, Any]:
    """The merged platform with the references of its images. Without `images.registry` it is unchanged.

    Raises `InputError` that lists every image without a digest. A `sandbox` runs no image, so an unresolved image
    gets the digest of its name.
    """
    images = platform.get("images")
    if not isinstance(images, dict) or not isinstance(images.get("registry"), str):
        return platform
    registry = images["registry"]
    missing: list[Image] = [name for name in needed_images(platform) if not images.get(name)]
    filled = {"registries": [f"{registry.rstrip('/')}/"], **images}
    if missing:
        locked = images_lock.load(lock)
        if unknown := [name for name in missing if name not in locked.images]:
            raise InputError(
                f"the lock has no image {', '.join(unknown)}",
                where=str(lock),
                fix="Add the image and its reference",
            )
        unresolved: list[Image] = [name for name in missing if locked.images[name].digest is None]
        if unresolved and not sandbox:
            raise images_lock.unresolved_error(
                {name: locked.images[name].reference for name in unresolved}, lock, stack
            )
        filled |= {name: locked.target(name, registry) for name in missing}
    return {**platform, "images": filled}
