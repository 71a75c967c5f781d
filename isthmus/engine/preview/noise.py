"""Recognises changes without effect of their own: tags, checksums, annotations of tools."""

from __future__ import annotations

import re

from isthmus.engine.preview.value_diff import path_keys

_TAGS = ("tags", "tagsAll", "defaultTags")
_DECIDING_TAG = re.compile(
    r"class|sensitivity|confidential|restricted|owner|cost|budget|backup|retention", re.IGNORECASE
)
"""Tags that matter: they decide access, cost or retention."""
_DERIVED_NAME = re.compile(
    r"check-?sum|(^|[-./_])(hash|etag|md5|sha256|last-applied-configuration)$", re.IGNORECASE
)
_TOOL_PREFIXES = ("pulumi.com/", "kubectl.kubernetes.io/", "meta.helm.sh/", "helm.sh/chart")
_PROVIDER_NOISE = frozenset({"kubeconfig", "version", "pluginDownloadURL"})
"""Provider inputs that depend on the machine that runs it."""


def is_noise(type_: str, path: str) -> bool:
    """Whether a change of the property follows from another change, or has no effect."""
    steps = [str(key) for key in path_keys(path)]
    if not steps:
        return False
    if type_.startswith("pulumi:providers:"):
        return steps[0] in _PROVIDER_NOISE
    if steps[0] in _TAGS and not type_.startswith("kubernetes:"):
        return not any(_DECIDING_TAG.search(step) for step in steps[1:])
    if "annotations" in steps[:-1] or "labels" in steps[:-1]:
        return bool(_DERIVED_NAME.search(steps[-1])) or steps[-1].startswith(_TOOL_PREFIXES)
    # Digests of images or weights matter, so their names are not in the pattern.
    return bool(_DERIVED_NAME.search(steps[-1])) and len(steps) == 1
