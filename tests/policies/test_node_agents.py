"""Agents that read the logs and figures of nodes: one exact entry of the trust file, and nothing but reading."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from isthmus.contracts.policy_settings import Settings
from isthmus.engine.render.recorder import Resource
from tests.policies.boundary_rows import deployment_spec, kube, proposed, stops
from tests.policies.test_boundary_rows_of_own_objects import trusting

pytestmark = pytest.mark.whole

SPACE = "log-shipping"
LINE_OF_AGENT = ("objects", f"{SPACE}/fluent-bit")
LINE = trusting(*LINE_OF_AGENT)
RULES = {"workload/no-host", "workload/namespaces-restricted"}


def namespace(level: str = "privileged", name: str = SPACE) -> Resource:
    labels = {"pod-security.kubernetes.io/enforce": level}
    return kube("core/v1:Namespace", name, None, metadata={"labels": labels})


def agent(
    path: str = "/var/log", mount: dict[str, Any] | None = None, space: str = SPACE, **pod: Any
) -> Resource:
    spec = copy.deepcopy(deployment_spec())
    inner = spec["template"]["spec"]
    inner["volumes"] = [{"name": "logs", "hostPath": {"path": path}}]
    inner["containers"][0]["volumeMounts"] = [
        {"name": "logs", "mountPath": "/logs", "readOnly": True} | (mount or {})
    ]
    inner |= pod
    body = {key: spec[key] for key in ("selector", "template")}
    return kube("apps/v1:DaemonSet", "fluent-bit", space, spec=body)


def found(*resources: Resource, settings: Settings | None = LINE) -> set[str]:
    return {finding.policy for finding in stops(*resources, settings=settings)} & RULES


def test_an_agent_passes_with_one_line_and_not_without():
    assert found(namespace(), agent()) == set()
    assert found(namespace(), agent(), settings=None) == RULES
    assert found(namespace(), agent(), settings=trusting("objects", f"{SPACE}/*")) == RULES


def test_exactly_the_agent_is_proposed_and_not_one_that_can_do_more():
    assert LINE_OF_AGENT in proposed(namespace(), agent())
    assert LINE_OF_AGENT not in proposed(namespace(), agent(hostPID=True))


@pytest.mark.parametrize("path", ["/var/log/pods/", "/proc", "/sys"])
def test_logs_and_figures_may_be_read(path: str):
    assert found(namespace(), agent(path)) == set()


@pytest.mark.parametrize(
    "path", ["/", "/var", "/var/lib/kubelet", "/etc", "/var/log/../lib", "/var/logs", "/run", "/procs"]
)
def test_other_folders_of_the_node_are_refused(path: str):
    assert found(namespace(), agent(path)) == RULES


@pytest.mark.parametrize(
    "changed",
    [
        agent(mount={"readOnly": False}),
        agent(mount={"readOnly": "${later}"}),
        agent(mount={"name": "other"}),
        agent(hostNetwork=True),
        agent(hostPID=True),
        agent(volumes="${later}"),
    ],
    ids=["writes", "not-known", "unmounted", "host-network", "host-processes", "volumes-not-known"],
)
def test_an_agent_that_can_do_more_is_refused(changed: Resource):
    assert found(namespace(), changed)


def test_another_pod_in_its_namespace_closes_the_namespace_again():
    beside = kube("apps/v1:Deployment", "other", SPACE, spec=deployment_spec())
    assert found(namespace(), agent(), beside) == {"workload/namespaces-restricted"}


@pytest.mark.parametrize("space", ["isthmus-internal", "kube-system", "monitoring"])
def test_an_agent_in_the_namespace_of_a_class_or_a_control_plane_is_refused(space: str):
    settings = trusting("objects", f"{space}/fluent-bit")
    assert "workload/no-host" in found(agent(space=space), settings=settings)
