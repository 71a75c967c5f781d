"""`isthmus trust propose` prints as few entries as suffice."""

from __future__ import annotations

from isthmus.contracts.policy_settings import Settings
from policies.evaluation.evaluation import subject_of
from policies.evaluation.wanted_entries import Proposal, propose
from tests.blueprints.bank import platform, rendered
from tests.policies.boundary_rows import TODAY, kube

SCHEDULE, BACKUP = "velero.io/v1:Schedule", "velero.io/v1:BackupStorageLocation"


def proposal(*names: tuple[str, str]) -> Proposal:
    added = [kube(kind, name, "velero") for kind, name in names]
    return propose(subject_of([*rendered().resources, *added], platform(), Settings(), TODAY))


def test_each_object_of_an_unknown_type_is_proposed_and_the_group_that_would_do_for_all_is_named():
    both = ("objects", "velero/nightly"), ("objects", "velero/place")
    found = proposal((SCHEDULE, "nightly"), (BACKUP, "place"))
    assert tuple(found.entries) == both
    assert {entry: tuple(members) for entry, members in found.together.items()} == {
        ("resource_types", "kubernetes:velero.io/*"): both
    }
    assert found.staying == []


def test_two_objects_of_one_type_are_proposed_by_their_type():
    found = proposal((SCHEDULE, "nightly"), (SCHEDULE, "weekly"))
    assert [*found.entries] == [("resource_types", f"kubernetes:{SCHEDULE}")]
    assert found.together == {}


def test_one_object_has_no_wider_entry():
    found = proposal((SCHEDULE, "nightly"))
    assert [*found.entries] == [("objects", "velero/nightly")]
    assert found.together == {}
