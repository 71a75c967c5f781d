"""Checks the labels of a cluster's nodes, and manages the GPU taint of the nodes of a pool.

The taint is not a resource of the stack. `taints` is one atomic list (core/v1 `NodeSpec.taints`, `+listType=atomic`, no
merge key), so applying it would remove taints of others. Instead the list is read, the taint is added, and the list is
written with the resource version that was read. If others changed it in between, the API server answers 409, and the
list is read again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from isthmus.contracts.platform.lookups.pools import failure_domain_label
from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import MERGE_PATCH, ApiRefusal

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform, Pool
    from isthmus.core.kubernetes_client import KubeClient

NODES = "/api/v1/nodes"
TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
"""Keeps other pods off nodes with GPUs; tolerated in `components.cluster.objects`."""
TAINTED_BY = "isthmus.dev/tainted-by"
"""Annotation of a node: the platform that set the taint, and removes it again."""
_REPELLING_EFFECTS = ("NoSchedule", "NoExecute")
_ATTEMPTS = 5
_MANAGER = "isthmus-taints"

Say = Callable[[str], None]


def check_domain_labels(platform: Platform, reached: dict[str, KubeClient], say: Say) -> None:
    """Raise `EnvironmentFault` if a site's nodes lack the failure-domain label over which pods must be spread.

    The scheduler ignores nodes without the label. If only some nodes lack it, warns.
    """
    for site, cluster in reached.items():
        label = failure_domain_label(platform, site)
        nodes = _list_nodes(cluster, site, say)
        if nodes is None:
            continue
        where = f"site {site} (sites[{site}].failure_domain_label)"
        fix = (
            f"Label the nodes (`kubectl label node NAME {label}=DOMAIN`), or set the key to a label that they have, "
            "e.g. `kubernetes.io/hostname` if each machine is a failure domain"
        )
        gateways = [
            gateway.name
            for gateway in platform.gateways
            if gateway.site == site and gateway.runs_on == "kubernetes"
        ]
        machines = {name for pool in platform.pools if pool.site == site for name in pool.node_names}
        schedulable = [node for node in nodes if not _repels_pods(node) and _name(node) not in machines]
        labelled = [node for node in schedulable if label in _labels(node)]
        if gateways and schedulable and not labelled:
            raise EnvironmentFault(
                f"no node for gateways has the label `{label}`, over which {', '.join(gateways)} must be "
                f"spread: {len(schedulable)} nodes lack it, so no gateway pod could be scheduled",
                where=where,
                fix=fix,
            )
        if len(labelled) < len(schedulable):
            lacking = ", ".join(_name(node) for node in schedulable if label not in _labels(node))
            say(f"site {site}: nodes without the label `{label}` get no gateway pods: {lacking}")
        for pool in platform.pools:
            if pool.site == site:
                _check_pool_domains(platform, pool, nodes, label, where, fix)


def _check_pool_domains(
    platform: Platform, pool: Pool, nodes: list[dict[str, Any]], label: str, where: str, fix: str
) -> None:
    """Check that a pool has enough labelled domains for its endpoints. Pools without named machines are skipped."""
    surviving = [
        endpoint
        for endpoint in platform.endpoints
        if endpoint.pool == pool.name and endpoint.survive == "domain"
    ]
    machines = [node for node in nodes if _name(node) in pool.node_names]
    if not surviving or not machines:
        return
    domains = {_labels(node)[label] for node in machines if label in _labels(node)}
    needed = max(min(endpoint.replicas, pool.failure_domains) for endpoint in surviving)
    if len(domains) < needed:
        raise EnvironmentFault(
            f"the machines of pool {pool.name} have {len(domains)} values of the label `{label}`, and "
            f"{surviving[0].id} must be spread over {needed}",
            where=where,
            fix=fix,
        )


def set_taints(platform: Platform, reached: dict[str, KubeClient], say: Say) -> None:
    """Add the taint to every named machine of a pool, and remove it from machines that left their pool.

    Pools with `taint: existing` are only checked. Raises `EnvironmentFault` if such a machine lacks the taint, or if a
    node cannot be changed.
    """
    for site, cluster in reached.items():
        pools = [pool for pool in platform.pools if pool.site == site and pool.node_names]
        managed = {name for pool in pools if pool.taint == "manage" for name in pool.node_names}
        existing = {name: pool for pool in pools if pool.taint == "existing" for name in pool.node_names}
        for node in _list_nodes(cluster, site, say) or []:
            name = _name(node)
            if name in existing:
                _check_tainted(node, existing[name], site)
            elif name in managed and _change_taint(cluster, name, platform.name, add=True):
                say(f"site {site}: set the taint {_taint_text()} on machine {name}")
            elif name not in managed and _annotations(node).get(TAINTED_BY) == platform.name:
                _change_taint(cluster, name, platform.name, add=False)
                say(f"site {site}: machine {name} left its pool; removed its taint {_taint_text()}")


def remove_taints(platform: Platform, reached: dict[str, KubeClient], say: Say) -> None:
    """Remove the taints that were set for a platform; taints of others stay."""
    for site, cluster in reached.items():
        for node in _list_nodes(cluster, site, say) or []:
            if _annotations(node).get(TAINTED_BY) == platform.name:
                _change_taint(cluster, _name(node), platform.name, add=False)
                say(f"site {site}: removed the taint {_taint_text()} from machine {_name(node)}")


def _check_tainted(node: dict[str, Any], pool: Pool, site: str) -> None:
    if any(_is_own_taint(taint) for taint in _taints(node)):
        return
    command = f"kubectl taint nodes {_name(node)} {_taint_text()}"
    raise EnvironmentFault(
        f"machine {_name(node)} of pool {pool.name} lacks the taint {_taint_text()}, but the pool has"
        " `taint: existing`",
        where=f"site {site}",
        fix=f"Run `{command}`, or set `taint: manage`",
    )


def _change_taint(cluster: KubeClient, name: str, platform: str, *, add: bool) -> bool:
    """Add or remove the taint on a node, and keep all others. Returns whether anything was changed."""
    for _ in range(_ATTEMPTS):
        node = cluster.find(f"{NODES}/{name}")
        if node is None:
            return False
        taints = _taints(node)
        if add and any(_is_own_taint(taint) for taint in taints):
            _claim_taints(cluster, node)
            return False
        new_taints = [*taints, TAINT] if add else [taint for taint in taints if not _is_own_taint(taint)]
        body = {
            "metadata": {
                "resourceVersion": node["metadata"]["resourceVersion"],
                "annotations": {TAINTED_BY: platform if add else None},
            },
            "spec": {"taints": new_taints},
        }
        try:
            cluster.call(
                *("PATCH", f"{NODES}/{name}"),
                body=body,
                params={"fieldManager": _MANAGER},
                content_type=MERGE_PATCH,
            )
        except ApiRefusal as refused:
            if refused.status == 409:
                continue
            raise _change_fault(cluster, name, refused) from None
        return True
    raise _change_fault(cluster, name, ApiRefusal(409, "others changed it at the same time, five times"))


def _claim_taints(cluster: KubeClient, node: dict[str, Any]) -> None:
    """Become co-owner of the taints if a patch of an earlier version owns them; its deletion would remove them."""
    owners = [
        field["manager"]
        for field in node["metadata"].get("managedFields") or []
        if field.get("operation") == "Apply" and "f:taints" in (field.get("fieldsV1") or {}).get("f:spec", {})
    ]
    if not owners or _MANAGER in owners:
        return
    body = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": _name(node)},
        "spec": {"taints": _taints(node)},
    }
    try:
        # The list is the same, so only its ownership changes and no conflict arises.
        cluster.apply(f"{NODES}/{_name(node)}", body, manager=_MANAGER, force=False)
    except ApiRefusal as refused:
        raise _change_fault(cluster, _name(node), refused) from None


def _change_fault(cluster: KubeClient, name: str, refused: ApiRefusal) -> EnvironmentFault:
    return EnvironmentFault(
        f"the taint {_taint_text()} of machine {name} cannot be changed ({refused.reason})",
        where=cluster.context,
        fix=f"Allow the deployer to patch nodes, or run `kubectl taint nodes {name} {_taint_text()}` and set "
        "`taint: existing` for the pool",
    )


def _list_nodes(cluster: KubeClient, site: str, say: Say) -> list[dict[str, Any]] | None:
    """All nodes; None, with a warning, if listing them is refused."""
    try:
        return list(cluster.call("GET", NODES)["items"])
    except ApiRefusal as refused:
        say(
            f"site {site}: its nodes cannot be listed ({refused.reason}), so their labels and taints are not checked"
        )
        return None


def _repels_pods(node: dict[str, Any]) -> bool:
    """Whether a taint repels pods without tolerations."""
    return any(taint.get("effect") in _REPELLING_EFFECTS for taint in _taints(node))


def _is_own_taint(taint: dict[str, Any]) -> bool:
    return all(taint.get(key) == value for key, value in TAINT.items())


def _taint_text() -> str:
    return f"{TAINT['key']}={TAINT['value']}:{TAINT['effect']}"


def _name(node: dict[str, Any]) -> str:
    return str(node["metadata"]["name"])


def _labels(node: dict[str, Any]) -> dict[str, str]:
    return node["metadata"].get("labels") or {}


def _annotations(node: dict[str, Any]) -> dict[str, str]:
    return node["metadata"].get("annotations") or {}


def _taints(node: dict[str, Any]) -> list[dict[str, Any]]:
    return list((node.get("spec") or {}).get("taints") or [])
