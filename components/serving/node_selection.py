"""Which machines of a cluster may run an endpoint's pods."""

from components.cluster.objects import POOL_LABEL, PRODUCT_LABEL
from components.pools.mig import owner_label
from components.serving.arguments import ModelServerArgs


def machines(args: ModelServerArgs) -> dict[str, str]:
    """The labels that they bear."""
    found = {PRODUCT_LABEL: args.get("product", "")}
    if args.get("pool"):
        found[POOL_LABEL] = args.get("pool", "")
    if args.get("slices"):
        # Any other machine's slices of the profile may be of a GPU that serves another class.
        found[owner_label(args.get("slices", ""))] = "true"
    return found
