"""A migration from deployed endpoints to a new plan: which endpoints fit side by side, and which must stop first."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.migration import capacity as migration_capacity
from isthmus.contracts.platform.migration.capacity import Move, Standing, plan_move
from isthmus.contracts.platform.migration.messages import refusal
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core import yaml_documents, yaml_files
from isthmus.core.errors import InputError, Refused
from tests.components.platforms import bank as platform_data

H100, L40S = "fra1-h100-sxm-80gb", "fra1-l40s-48gb"
ENDPOINTS = {"restricted-llama-70b": 0, "confidential-llama-8b": 1}


def platform(**changes: dict[str, Any]) -> Platform:
    """The bank by hand: 8 of 16 H100 and 6 of 8 L40S in use; `changes` to its endpoints, by `_` for `-`."""
    data = platform_data()
    for name, change in changes.items():
        data["endpoints"][ENDPOINTS[name.replace("_", "-")]].update(change)
    for gateway in data["gateways"]:
        for workload in gateway["workloads"]:
            at = ENDPOINTS.get(workload["endpoint"])
            if at is not None:
                workload["endpoint"] = data["endpoints"][at]["id"]
    return yaml_files.parse(CheckedPlatform, yaml_documents.Document(data, "platform"))


def old(id_: str, replicas: int, gpus: int = 1, pool: str = H100, **more: Any) -> Standing:
    sensitivity = id_.partition("-")[0]
    return Standing(id=id_, class_=sensitivity, site="fra1", pool=pool, gpus=gpus, replicas=replicas, **more)


def ids(endpoints: tuple[Standing, ...]) -> set[str]:
    return {endpoint.id for endpoint in endpoints}


def test_an_endpoint_that_stays_in_the_plan_is_not_migrated():
    now = platform()
    assert plan_move(migration_capacity.built_endpoints(now), now) == Move()


def test_old_and_new_endpoint_run_side_by_side_if_the_pool_has_room():
    migration = plan_move([old("restricted-qwen3-32b", 8)], platform())
    assert (ids(migration.going), migration.first, migration.short) == ({"restricted-qwen3-32b"}, (), ())


def test_the_old_endpoint_stops_first_if_the_pool_lacks_one_gpu():
    migration = plan_move([old("restricted-qwen3-32b", 9)], platform())
    assert ids(migration.first) == {"restricted-qwen3-32b"}
    [short] = migration.short
    assert (short.pool, short.wanted, short.usable) == (H100, 17, 16)


def test_an_endpoint_on_another_pool_takes_no_gpus_of_this_pool():
    migration = plan_move(
        [old("restricted-qwen3-32b", 9), old("confidential-qwen3-32b", 2, pool=L40S)], platform()
    )
    assert ids(migration.first) == {"restricted-qwen3-32b"}
    assert ids(migration.beside) == {"confidential-qwen3-32b"}


def test_as_few_endpoints_as_possible_stop_first_and_the_most_sensitive_ones_keep_running():
    migration = plan_move([old("restricted-qwen3-32b", 4), old("confidential-qwen3-32b", 5)], platform())
    assert ids(migration.first) == {"confidential-qwen3-32b"}
    assert ids(migration.beside) == {"restricted-qwen3-32b"}


def test_enough_gpus_in_a_pool_do_not_help_if_no_node_has_enough():
    # 16 of 16, but each of the two nodes holds four of the new.
    migration = plan_move([old("restricted-a", 1, 5), old("restricted-b", 1, 3)], platform())
    assert migration.first, "5 + 4 is more than a node has"
    assert "do not fit its nodes of 8" in str(refusal(migration, platform(), "bank"))


def test_replicas_bound_to_failure_domains_must_fit_into_every_domain():
    migration = plan_move([old("restricted-qwen3-32b", 2, 4, survive="domain")], platform())
    assert not migration.first
    lopsided = plan_move(
        [old("restricted-qwen3-32b", 4, 2, survive="domain"), old("public-a", 1, 1)], platform()
    )
    assert ids(lopsided.first) == {"public-a"}


def test_an_endpoint_that_was_already_stopped_takes_no_gpus():
    assert plan_move([old("restricted-qwen3-32b", 0)], platform()) == Move()


def test_reserved_gpus_are_not_available_to_a_migration():
    data = platform_data()
    data["pools"][0]["reserved_gpus"] = 1
    checked = yaml_files.parse(CheckedPlatform, yaml_documents.Document(data, "platform"))
    assert ids(plan_move([old("restricted-qwen3-32b", 8)], checked).first) == {"restricted-qwen3-32b"}


def test_an_endpoint_that_keeps_its_name_on_another_pool_stops_first_despite_free_gpus():
    migration = plan_move([old("restricted-llama-70b", 1, 4, pool=L40S)], platform())
    assert ids(migration.first) == {"restricted-llama-70b"}
    assert "keeps its name on another pool" in str(refusal(migration, platform(), "bank"))


def test_the_refusal_names_pool_shortage_workloads_time_and_remedy():
    migration = plan_move([old("restricted-qwen3-32b", 9, workloads=["transaction-narratives"])], platform())
    refused = refusal(migration, platform(restricted_llama_70b={"load_timeout_s": 2401}), "bank")
    assert isinstance(refused, Refused)
    for part in (
        f"pool {H100} has 16 usable GPUs, 1 fewer than the 17",
        "restricted-qwen3-32b must go before restricted-llama-70b can come",
        "transaction-narratives would get no answers",
        "41 minutes may pass",
        "Nothing was changed",
        "`isthmus up bank --replace-in-place`",
    ):
        assert part in str(refused)


def test_a_migration_with_downtime_needs_consent_and_a_side_by_side_one_does_not():
    migration = plan_move([old("restricted-qwen3-32b", 9)], platform())
    assert refusal(migration, platform(), "bank", consent=True) is None
    assert refusal(plan_move([old("restricted-qwen3-32b", 8)], platform()), platform(), "bank") is None


@pytest.mark.parametrize("consent", [False, True])
def test_a_volume_bound_to_another_claim_is_refused_with_the_claim_to_set(consent: bool):
    now = platform()
    [endpoint] = [
        endpoint
        for endpoint in migration_capacity.built_endpoints(now)
        if endpoint.id == "restricted-llama-70b"
    ]
    stood = endpoint.model_copy(update={"id": "restricted-old", "claim": "of-the-old"})
    refused = refusal(plan_move([stood], now), now, "bank", consent=consent)
    assert isinstance(refused, InputError), "no downtime frees a volume that is kept"
    assert "endpoint restricted-llama-70b uses volume" in str(refused)


def test_a_volume_of_another_class_is_refused_and_no_claim_is_offered():
    now = platform()
    [endpoint] = [
        endpoint
        for endpoint in migration_capacity.built_endpoints(now)
        if endpoint.id == "restricted-llama-70b"
    ]
    refused = refusal(
        plan_move([endpoint.model_copy(update={"id": "x", "class_": "public"})], now), now, "bank"
    )
    assert "endpoint restricted-llama-70b uses volume" in str(refused)
    assert "pvc://" not in str(refused)


def test_old_and_new_endpoint_of_one_model_share_their_claim():
    now = platform()
    renamed = [
        endpoint.model_copy(update={"id": f"{endpoint.class_}-older"})
        for endpoint in migration_capacity.built_endpoints(now)
    ]
    assert plan_move(renamed, now).held == ()


def test_a_cpu_endpoint_stays_while_it_is_planned_and_stopping_it_frees_no_gpus():
    data = platform_data()
    small = {"id": "internal-small", "class": "internal", "site": "fra1", "target": "onprem-vllm"}
    weights = {"uri": "pvc://small", "digest": "sha256:" + "a" * 64}
    data["endpoints"].append({**small, "model": "m/small", "engine": "cpu", "weights": weights})
    data["images"]["vllm_cpu"] = data["images"]["vllm"]
    now = CheckedPlatform.model_validate(data)
    stands = old("internal-small", 1, pool="")
    assert plan_move([stands], now) == Move()
    gone = plan_move([stands], platform())
    assert (gone.going, gone.first) == ((stands,), ())
