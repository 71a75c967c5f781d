"""Creates the PriorityClasses of a cluster: gateways before models, models before pods without a priority.

Kueue assigns GPUs by its own WorkloadPriorityClasses (`components.pools.queues`). PriorityClasses decide which pods
the scheduler and kubelet evict when a node is short of CPU, memory or disk. A pod may have both.
"""

import pulumi

from components.cluster.objects import common_labels, metadata
from isthmus.contracts.platform.model.sites import PodPriorities

_NAME = "isthmus-priorities"


def pod_priorities(name: str, settings: PodPriorities, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """The PriorityClasses of a platform's pods. Empty if the organisation has its own.

    `name`: prefix of the Pulumi names. `opts`: parent and provider of the cluster.
    """
    if settings.mode != "manage":
        return []
    from pulumi_kubernetes.scheduling.v1 import PriorityClass

    # A gateway gets room at once, because without it nobody is served. A model never evicts others: it takes
    # minutes to load, and Kueue has already decided that it may run.
    rows: list[tuple[str, str, int, str, str]] = [
        ("gateway", settings.gateway, settings.gateway_value, "PreemptLowerPriority", "Gateways of Isthmus"),
        ("model", settings.model, settings.model_value, "Never", "Model servers of Isthmus"),
    ]
    fixed = pulumi.ResourceOptions(
        # Both fields are immutable in the API.
        replace_on_changes=["value", "preemptionPolicy"],
        delete_before_replace=True,
    )
    return [
        PriorityClass(
            f"{name}-{kind}",
            metadata=metadata(class_name, common_labels(_NAME)),
            value=value,
            preemption_policy=preemption,
            global_default=False,
            description=description,
            opts=pulumi.ResourceOptions.merge(opts, fixed),
        )
        for kind, class_name, value, preemption, description in rows
    ]
