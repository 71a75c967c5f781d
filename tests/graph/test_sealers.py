"""Sealers with an AWS identity: faults of their roles, and roles that the graph does not contain."""

from __future__ import annotations

from isthmus.engine.render.recorder import Resource
from isthmus.graph.resources.resources import Fault, Graph
from isthmus.graph.workloads.sealers import seal_alone
from tests.policies.cases_records_aws import ALONE, SEALER, SEALS, endpoint, may, role, task


def faults(*resources: Resource) -> list[Fault]:
    return seal_alone(Graph(resources), None)


def test_a_sealer_whose_role_is_made_elsewhere_is_undecided() -> None:
    assert faults(*ALONE) == []
    sealer = task("sealer-task", "sealer", "arn:aws:iam::123456789012:role/seals")
    (fault,) = faults(sealer)
    assert (fault.resource, fault.verdict) == (sealer, "undecided")


def test_a_sealers_role_that_may_put_or_read_beyond_its_prefix_is_a_fault() -> None:
    everywhere = "${store.arn}/*"
    for action in ("s3:PutObjectRetention", "s3:GetObject", "s3:GetObjectVersion"):
        policy, sealing_role = role("sealer", *SEALS, may(action, everywhere))
        graph = (policy, sealing_role, SEALER, endpoint())
        assert [fault.resource for fault in faults(*graph)] == [sealing_role], action
