"""Selects the nodes that may run an endpoint's pods."""

from components.cluster.objects import POOL_LABEL, PRODUCT_LABEL
from components.pools.mig import owner_label
from components.serving.arguments import ModelServerArgs


def node_selector(args: ModelServerArgs) -> dict[str, str]:
    """The node selector of an endpoint's pods."""
    labels = {PRODUCT_LABEL: args.get("product", "")}
    if args.get("pool"):
        labels[POOL_LABEL] = args.get("pool", "")
    if args.get("slices"):
        # Another node's slices of the same profile may be on a GPU that serves another class.
        labels[owner_label(args.get("slices", ""))] = "true"
    return labels
