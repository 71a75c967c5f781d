"""A plan that moves workloads, in layers: who would be cut off, and who would stand twice."""

from __future__ import annotations

from isthmus.blueprints import estate_migration
from isthmus.blueprints.estates import Estate, Member
from isthmus.contracts.platform.migration import capacity as migration_capacity
from isthmus.contracts.platform.migration.capacity import Standing
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_model import parse

PLATFORM = parse(platform_data())
BELOW = Member("p", "bank", "platform")
ONE = Member("one", "bank", "serving", ("restricted",))
OTHER = Member("other", "bank", "serving", ("confidential",))
ESTATE = Estate("bank", (Member("f", "bank", "foundation"), BELOW, ONE, OTHER))


def stands(member: Member) -> list[Standing]:
    served_by = ESTATE.served_by(PLATFORM, member)
    return [endpoint for endpoint in migration_capacity.built_endpoints(PLATFORM) if endpoint.id in served_by]


def old(**more: object) -> Standing:
    (stand,) = stands(ONE)
    return stand.model_copy(update={"id": "restricted-old", **more})


def test_a_running_endpoint_as_planned_blocks_nothing():
    for stack in (BELOW, ONE, OTHER):
        for holder in (ONE, OTHER):
            assert estate_migration.outage_refusal(stands(holder), PLATFORM, ESTATE, stack, holder) is None
            assert (
                estate_migration.double_serving_refusal(stands(holder), PLATFORM, ESTATE, stack, holder)
                is None
            )


def test_a_leaving_model_is_reported_with_its_workloads():
    for stack in (BELOW, ONE):
        refused = estate_migration.outage_refusal([old()], PLATFORM, ESTATE, stack, ONE)
        assert "the plan removes restricted-old from one" in str(refused)
        assert "transaction-narratives would get no answers" in str(refused)
        assert "isthmus up bank --replace-in-place" in str(refused)


def test_a_model_that_keeps_its_id_on_another_pool_goes_as_well():
    (stand,) = stands(ONE)
    moved = stand.model_copy(update={"pool": "elsewhere"})
    assert estate_migration.removed_endpoints([moved], PLATFORM, ESTATE.served_by(PLATFORM, ONE)) == (moved,)


def test_an_endpoint_without_replicas_blocks_nothing():
    assert estate_migration.outage_refusal([old(replicas=0)], PLATFORM, ESTATE, BELOW, ONE) is None


def test_the_foundation_interrupts_no_endpoint():
    assert estate_migration.outage_refusal([old()], PLATFORM, ESTATE, ESTATE.members[0], ONE) is None


def test_a_moved_model_belongs_to_the_first_stack_until_it_is_released():
    handed = stands(ONE)
    refused = estate_migration.double_serving_refusal(handed, PLATFORM, ESTATE, ONE, OTHER)
    assert f"{handed[0].id} runs in other, and one would create it a second time" in str(refused)
    assert "isthmus up other --replace-in-place" in str(refused)
    assert estate_migration.outage_refusal(handed, PLATFORM, ESTATE, OTHER, OTHER) is not None
    assert estate_migration.double_serving_refusal(handed, PLATFORM, ESTATE, BELOW, OTHER) is None
