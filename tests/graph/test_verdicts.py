"""Verdicts of a platform: which class may run on which target, at which place, by which call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.reference.handling import Exception_
from isthmus.contracts.vocabulary import Sensitivity
from isthmus.graph.data_path.declared_policy import with_declared_before
from isthmus.graph.data_path.model_services import Served
from isthmus.graph.data_path.verdicts import ALLOWED, Judge, Verdict, refused, undecided
from isthmus.graph.resources.sites import Place
from tests.graph.small_stacks import TODAY, platform, private_endpoint

DOOR = private_endpoint()
PRIVATE = "https://vpce-0.bedrock-runtime.eu-central-1.vpce.amazonaws.com"


def workload(name: str, *residency: str) -> dict[str, Any]:
    return {"name": name, "endpoint": "llama", "residency": list(residency)}


def judge(
    class_: Sensitivity = "internal",
    *workloads: dict[str, Any],
    exceptions: tuple[tuple[str, str], ...] = (),
    stricter: Mapping[str, Sensitivity] | None = None,
) -> Judge:
    base = platform(class_, workloads=list(workloads) or [workload("chat")])
    base.exceptions[:] = [
        Exception_(workload=name, target="bedrock", who="dpo", reason="trial", until=until)
        for name, until in exceptions
    ]
    return Judge(base, TODAY, stricter)


def model(
    *regions: str, service: Any = "bedrock", endpoint: Any = DOOR, url: str = "", **more: str
) -> Served:
    return Served("m", service, endpoint, url, regions or ("eu-central-1",), **more)


def test_the_worst_verdict_wins_with_its_own_reasons_once() -> None:
    assert ALLOWED.and_(undecided("a"), refused("b"), undecided("c"), refused("b")) == refused("b")
    assert undecided("a").and_(ALLOWED, undecided("b")) == Verdict("undecided", ("a", "b"))
    assert ALLOWED.and_(ALLOWED) == ALLOWED


def test_what_is_unknown_is_undecided_above_public() -> None:
    words = {class_: judge().unsure(class_, "x").word for class_ in ("public", "internal", "restricted")}
    assert words == {"public": "allowed", "internal": "undecided", "restricted": "undecided"}


def test_a_workload_that_the_platform_does_not_name_for_the_class_is_undecided() -> None:
    assert judge().known("internal", "chat") == ALLOWED
    assert judge().known("internal", "") == ALLOWED
    assert judge().known("internal", "other").word == "undecided"
    assert judge().known("confidential", "chat").word == "undecided"
    assert judge("public").known("public", "other") == ALLOWED
    assert Judge(None, TODAY).known("internal", "other") == ALLOWED


def test_a_raised_class_counts_only_if_it_is_stricter() -> None:
    raised = judge(stricter={"chat": "confidential"})
    assert raised.held("internal", "chat") == "confidential"
    assert raised.held("internal", "other") == "internal"
    assert raised.held("restricted", "chat") == "restricted"
    assert raised.held("confidential", "chat") == "confidential"


# Targets.


@pytest.mark.parametrize(
    ("class_", "target", "word"),
    [
        ("public", "bedrock", "allowed"),
        ("internal", "bedrock", "allowed"),
        ("confidential", "bedrock", "refused"),
        ("restricted", "bedrock", "refused"),
        ("restricted", "eks-vllm", "refused"),
        ("restricted", "onprem-vllm", "allowed"),
    ],
)
def test_a_class_runs_only_on_targets_of_its_handling(class_: Any, target: Any, word: str) -> None:
    assert judge(class_).target(class_, target, "chat").word == word
    assert Judge(None, TODAY).target(class_, target, "chat").word == word


def test_an_exception_allows_only_the_workloads_that_it_names() -> None:
    pair = (workload("kyc"), workload("other"))
    some = judge("confidential", *pair, exceptions=(("kyc", TODAY),))
    assert some.target("confidential", "bedrock", "kyc") == ALLOWED
    assert some.target("confidential", "bedrock", "other").word == "refused"
    # A path of no workload serves all of them.
    assert some.target("confidential", "bedrock", "").word == "refused"
    all_ = judge("confidential", *pair, exceptions=(("kyc", TODAY), ("other", TODAY)))
    assert all_.target("confidential", "bedrock", "") == ALLOWED


def test_a_workload_with_a_raised_class_needs_a_target_of_that_class() -> None:
    raised = judge(stricter={"chat": "restricted"})
    assert raised.target("internal", "bedrock", "chat").word == "refused"
    assert raised.target("internal", "bedrock", "other") == ALLOWED


# Places of model servers.


@pytest.mark.parametrize(
    ("class_", "place", "word"),
    [
        ("restricted", Place("fra1", "on-prem", "de"), "allowed"),
        ("restricted", Place("frankfurt", "aws", "de"), "refused"),
        ("confidential", Place("frankfurt", "aws", "de"), "allowed"),
        ("confidential", Place("ohio", "aws", "us"), "refused"),
        ("confidential", Place("dallas", "on-prem", "us"), "refused"),
        ("confidential", Place("somewhere", "on-prem"), "allowed"),
        ("confidential", Place("mars", "on-prem", "mars"), "undecided"),
        ("confidential", Place("cluster"), "allowed"),
        ("restricted", Place("cluster"), "undecided"),
        ("restricted", Place(), "undecided"),
    ],
)
def test_a_model_server_stands_where_the_class_and_the_residency_allow(
    class_: Any, place: Place, word: str
) -> None:
    assert judge(class_, workload("chat", "eu")).server(class_, place, "chat").word == word


def test_a_workload_with_a_raised_class_is_undecided_in_a_cluster_at_an_unknown_place() -> None:
    raised = judge(stricter={"chat": "restricted"})
    assert raised.server("internal", Place("cluster"), "chat").word == "undecided"
    assert raised.server("internal", Place("cluster"), "other") == ALLOWED


# Residencies.


def test_a_workload_is_held_to_its_own_residency_and_a_path_of_no_workload_to_all() -> None:
    both = judge("internal", workload("german", "de"), workload("anywhere"), workload("american", "us"))
    assert both.region("internal", "us-east-1", "anywhere") == ALLOWED
    assert both.region("internal", "us-east-1", "american") == ALLOWED
    assert both.region("internal", "us-east-1", "german").word == "refused"
    assert both.region("internal", "us-east-1").word == "refused"
    assert both.region("internal", "eu-central-1", "german") == ALLOWED
    assert (
        both.region("internal", "eu-central-1").why
        == judge("internal", workload("american", "us")).region("internal", "eu-central-1").why
    )
    assert both.region("public", "us-east-1") == ALLOWED


def test_any_jurisdiction_of_a_residency_meets_it_and_every_region_must() -> None:
    either = judge("internal", workload("chat", "de", "us"))
    assert either.region("internal", "us-east-1", "chat") == ALLOWED
    assert either.region("internal", "eu-west-3", "chat").word == "refused"
    served = either.model("internal", model("eu-central-1", "eu-west-3", "us-east-1"), "chat")
    assert served.word == "refused"
    assert len(served.why) == 1
    assert "eu-west-3" in served.why[0]


def test_a_region_at_an_unknown_place_is_undecided_only_for_work_with_a_residency() -> None:
    assert judge("internal", workload("chat", "de")).region("internal", "xx-north-9").word == "undecided"
    assert judge("internal", workload("chat")).region("internal", "xx-north-9") == ALLOWED


def test_a_refusal_names_every_region_of_the_same_jurisdiction() -> None:
    (why,) = (
        judge("internal", workload("chat", "de"))
        .model("internal", model("us-east-1", "us-west-2", "eu-central-1"), "chat")
        .why
    )
    assert "us-east-1" in why
    assert "us-west-2" in why
    assert "eu-central-1" not in why


# Calls of models in AWS.


@pytest.mark.parametrize(
    ("class_", "residency", "word"),
    [
        ("public", (), "allowed"),
        ("public", ("eu",), "refused"),
        ("internal", (), "refused"),
        ("internal", ("eu",), "refused"),
    ],
)
def test_a_profile_over_every_region_serves_only_public_work_without_a_residency(
    class_: Any, residency: tuple[str, ...], word: str
) -> None:
    verdict = judge(class_, workload("chat", *residency)).model(class_, model(anywhere="every"), "chat")
    assert verdict.word == word


@pytest.mark.parametrize(
    ("class_", "residency", "word"),
    [("public", (), "allowed"), ("public", ("eu",), "undecided"), ("internal", (), "undecided")],
)
def test_a_model_whose_regions_are_unknown_is_undecided_unless_any_region_may_serve(
    class_: Any, residency: tuple[str, ...], word: str
) -> None:
    verdict = judge(class_, workload("chat", *residency)).model(class_, model(unknown="what"), "chat")
    assert verdict.word == word


@pytest.mark.parametrize(
    ("class_", "url", "word"),
    [
        ("public", "", "allowed"),
        ("public", "https://proxy.example", "allowed"),
        ("internal", "", "refused"),
        ("internal", "https://bedrock-runtime.eu-central-1.amazonaws.com", "refused"),
        ("internal", "https://proxy.example", "refused"),
        ("internal", PRIVATE, "undecided"),
        ("internal", f"{PRIVATE}./", "undecided"),
        ("internal", f"{PRIVATE}.cn", "undecided"),
        ("internal", f"{PRIVATE}.example", "refused"),
    ],
)
def test_a_call_outside_the_stacks_endpoints_is_refused_or_undecided_above_public(
    class_: Any, url: str, word: str
) -> None:
    assert judge(class_).model(class_, model(endpoint=None, url=url), "chat").word == word


def test_a_workload_with_a_raised_class_calls_no_model_by_the_internet() -> None:
    raised = judge("public", stricter={"chat": "internal"})
    assert raised.model("public", model(endpoint=None), "chat").word == "refused"
    assert raised.model("public", model(anywhere="every"), "chat").word == "refused"
    assert raised.model("public", model(unknown="what"), "chat").word == "undecided"
    assert raised.model("public", model(endpoint=None), "other") == ALLOWED


def test_without_a_platform_a_model_in_several_regions_is_undecided_above_public() -> None:
    unknown = Judge(None, TODAY)
    several = model("eu-central-1", "eu-west-1")
    assert unknown.model("internal", several, "chat").word == "undecided"
    assert unknown.model("public", several, "chat") == ALLOWED
    assert unknown.model("internal", model("eu-central-1"), "chat") == ALLOWED
    assert judge().model("internal", several, "chat") == ALLOWED


# Declarations of the base commit.


def with_workloads(class_: Sensitivity, *workloads: dict[str, Any]) -> Platform:
    return platform(class_, workloads=list(workloads))


def test_a_change_cannot_lower_the_class_of_a_workload() -> None:
    for before, after, expected in (
        ("confidential", "internal", {"chat": "confidential"}),
        ("internal", "internal", {}),
        ("internal", "confidential", {}),
    ):
        declared = with_declared_before(
            with_workloads(before, workload("chat")),  # type: ignore[arg-type]
            with_workloads(after, workload("chat"), workload("new")),  # type: ignore[arg-type]
        )
        assert declared.held == expected


def test_a_change_cannot_widen_a_residency_or_grant_itself_an_exception() -> None:
    before = with_workloads("internal", workload("chat", "de"))
    after = with_workloads("internal", workload("chat", "eu"), workload("new", "us"))
    exception = Exception_(workload="chat", target="bedrock", who="me", reason="x", until=TODAY)
    after.exceptions[:] = [exception]
    declared = with_declared_before(before, after).platform
    (gateway,) = declared.gateways
    assert [entry.residency for entry in gateway.workloads] == [["de"], ["us"]]
    assert declared.exceptions == []
    before.exceptions[:] = [exception]
    assert with_declared_before(before, after).platform.exceptions == [exception]


def test_the_sites_and_gateways_of_a_change_are_its_own() -> None:
    before = with_workloads("internal", workload("chat"))
    after = with_workloads("internal", workload("chat"))
    after.sites.pop()
    after.gateways[0] = Gateway.model_validate(
        {**after.gateways[0].model_dump(by_alias=True), "host": "elsewhere"}
    )
    declared = with_declared_before(before, after).platform
    assert [site.name for site in declared.sites] == ["fra1"]
    assert declared.gateways[0].host == "elsewhere"
