"""AWS in the sandbox: an HTTP endpoint on this machine, and a Pulumi provider that replaces a missing real one."""

from __future__ import annotations


def simulated() -> list[dict[str, str]]:
    """Return what is simulated, and by which program, as `{"what", "by", "note"}`: moto first, then Isthmus."""
    from importlib.metadata import version

    from sandbox.aws.beside import OPERATIONS, PAGES
    from sandbox.aws.table import TYPES

    by_service: dict[str, list[str]] = {}
    for operation in OPERATIONS:
        by_service.setdefault(operation.service, []).append(operation.name)
    moto = {
        "what": "AWS services",
        "by": f"moto {version('moto')}",
        "note": "in memory; no IAM or endpoint policy is enforced",
    }
    beside = [
        {
            "what": f"{service}: {', '.join(names)}",
            "by": "Isthmus, beside moto",
            "note": "moto has none, or answers otherwise than AWS",
        }
        for service, names in by_service.items()
    ]
    beside += [{"what": page.what, "by": "Isthmus, beside moto", "note": page.path} for page in PAGES]
    plugin = {
        "what": f"Pulumi's AWS provider, {len(TYPES)} resource types",
        "by": "Isthmus (pulumi-resource-aws)",
        "note": "only where the real plugin is not installed",
    }
    return [moto, *beside, plugin]
