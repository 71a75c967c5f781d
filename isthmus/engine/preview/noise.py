"""Changes that follow from others and decide nothing: tags, checksums, what a provider writes beside."""

from __future__ import annotations

import re

from isthmus.engine.preview.value_diff import path_keys

_TAGS = ("tags", "tagsAll", "defaultTags")
_DECIDING_TAG = re.compile(
    r"class|sensitivity|confidential|restricted|owner|cost|budget|backup|retention", re.IGNORECASE
)
"""A tag of such a name decides something: who may reach it, who pays, how long it is kept."""
_DERIVED_NAME = re.compile(
    r"check-?sum|(^|[-./_])(hash|etag|md5|sha256|last-applied-configuration)$", re.IGNORECASE
)
_TOOL_PREFIXES = ("pulumi.com/", "kubectl.kubernetes.io/", "meta.helm.sh/", "helm.sh/chart")
_PROVIDER_NOISE = frozenset({"kubeconfig", "version", "pluginDownloadURL"})
"""Where a provider's own files lie on the machine that runs it."""


def is_noise(type_: str, path: str) -> bool:
    """Whether a change of the property follows from something else, or decides nothing."""
    steps = [str(key) for key in path_keys(path)]
    if not steps:
        return False
    if type_.startswith("pulumi:providers:"):
        return steps[0] in _PROVIDER_NOISE
    if steps[0] in _TAGS and not type_.startswith("kubernetes:"):
        return not any(_DECIDING_TAG.search(step) for step in steps[1:])
    if "annotations" in steps[:-1] or "labels" in steps[:-1]:
        return bool(_DERIVED_NAME.search(steps[-1])) or steps[-1].startswith(_TOOL_PREFIXES)
    # A digest of what is fetched, as of an image or of weights, is no noise, so its name is not here.
    return bool(_DERIVED_NAME.search(steps[-1])) and len(steps) == 1
