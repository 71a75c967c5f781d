"""The guardrail that every call of a class must name, and its versions."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.aws.bedrock.guardrail import digest, guardrail_arguments
from isthmus.core.errors import InputError
from tests.components.bedrock import (
    CLAIMS,
    FILTERED,
    GUARDRAIL,
    MANAGED,
    OWN,
    PLAIN,
    SYSTEM,
    access,
    may,
    policy,
)
from tests.components.conftest import Engine
from tests.components.policies import allowed


def test_a_call_past_the_guardrail_or_through_another_version_is_denied(engine: Engine) -> None:
    access(engine, guardrail=MANAGED)
    assert may(engine, CLAIMS, **FILTERED)
    for guardrail_values in (
        {},
        {"bedrock_GuardrailIdentifier": GUARDRAIL},
        {"bedrock_GuardrailIdentifier": f"{GUARDRAIL}:2"},
    ):
        assert not may(engine, CLAIMS, **guardrail_values)
        assert not may(engine, SYSTEM, bedrock_InferenceProfileArn=CLAIMS, **guardrail_values)
    denied = policy(engine)
    denied["Statement"].append({"Effect": "Allow", "Action": ["bedrock:InvokeModel"], "Resource": ["*"]})
    assert not allowed(denied, "bedrock:InvokeModel", CLAIMS), "another policy could let it past"
    assert allowed(policy(engine), "bedrock:ApplyGuardrail", GUARDRAIL)
    assert not allowed(policy(engine), "bedrock:ApplyGuardrail", f"{OWN}:guardrail/other")
    assert (engine.outputs["guardrail_id"], engine.outputs["guardrail_version"]) == (GUARDRAIL, "1")


def test_a_guardrail_of_the_standard_tier_names_the_profile_of_its_geography(engine: Engine) -> None:
    access(engine, guardrail={**MANAGED, "tier": "standard"})
    guardrail = engine.only("Guardrail", "a-guardrail").inputs
    assert guardrail["contentPolicyConfig"]["tierConfigs"] == [{"tierName": "STANDARD"}]
    profile = f"{OWN}:guardrail-profile/eu.guardrail.v1:0"
    assert guardrail["crossRegionConfig"] == {"guardrailProfileIdentifier": profile}
    elsewhere = OWN.replace("eu-central-1", "eu-west-3")
    for arn in (GUARDRAIL, profile, f"{elsewhere}:guardrail-profile/eu.guardrail.v1:0"):
        assert allowed(policy(engine), "bedrock:ApplyGuardrail", arn), arn
    other_account = OWN.replace("eu-central-1", "us-east-1")
    assert not allowed(
        policy(engine), "bedrock:ApplyGuardrail", f"{other_account}:guardrail-profile/us.guardrail.v1:0"
    )


def test_a_guardrail_of_the_classic_tier_looks_at_content_in_its_own_region(engine: Engine) -> None:
    access(engine, guardrail=MANAGED)
    guardrail = engine.only("Guardrail", "a-guardrail").inputs
    assert "crossRegionConfig" not in guardrail
    assert "tierConfigs" not in guardrail["contentPolicyConfig"]
    assert not allowed(policy(engine), "bedrock:ApplyGuardrail", f"{OWN}:guardrail-profile/eu.guardrail.v1:0")


def test_another_tier_makes_another_version() -> None:
    tiers: list[Any] = [{**MANAGED, "tier": tier} for tier in ("classic", "standard")]
    classic, standard = (guardrail_arguments(tier, "g") for tier in tiers)
    assert digest(classic) == digest(guardrail_arguments(MANAGED, "g")), (
        "an upgrade would make a version for nothing"
    )
    assert digest(standard) != digest(classic)


def test_an_earlier_version_may_be_named_while_pods_roll(engine: Engine) -> None:
    access(engine, guardrail={**MANAGED, "earlier_versions": ["3"]})
    for version, good in (("1", True), ("3", True), ("2", False)):
        assert may(engine, CLAIMS, bedrock_GuardrailIdentifier=f"{GUARDRAIL}:{version}") is good


def test_a_guardrail_filters_attacks_content_and_personal_data_in_its_own_region(engine: Engine) -> None:
    access(engine, guardrail={**MANAGED, "grounding": 0.7, "attack_strength": "medium"}, tags={"team": "ml"})
    guardrail = engine.only("Guardrail", "a-guardrail").inputs
    filters = {
        filters_config["type"]: filters_config
        for filters_config in guardrail["contentPolicyConfig"]["filtersConfigs"]
    }
    assert (filters["PROMPT_ATTACK"]["inputStrength"], filters["PROMPT_ATTACK"]["outputStrength"]) == (
        "MEDIUM",
        "NONE",
    )
    assert {filters[kind]["outputStrength"] for kind in filters if kind != "PROMPT_ATTACK"} == {"MEDIUM"}
    assert len(filters) == 6
    assert guardrail["sensitiveInformationPolicyConfig"]["piiEntitiesConfigs"] == [
        {"type": "EMAIL", "action": "ANONYMIZE"}
    ]
    grounding = guardrail["contextualGroundingPolicyConfig"]["filtersConfigs"]
    assert grounding == [{"type": kind, "threshold": 0.7} for kind in ("GROUNDING", "RELEVANCE")]
    assert "crossRegionConfig" not in guardrail, "content would be looked at in another region"
    assert guardrail["region"] == "eu-central-1"
    assert guardrail["tags"] == {"team": "ml", "isthmus.dev/class": "internal"}


def test_only_requested_content_is_filtered(engine: Engine) -> None:
    access(engine, guardrail={"mode": "manage", "content_strength": "none"})
    guardrail = engine.only("Guardrail").inputs
    assert [
        filters_config["type"] for filters_config in guardrail["contentPolicyConfig"]["filtersConfigs"]
    ] == ["PROMPT_ATTACK"]
    assert "sensitiveInformationPolicyConfig" not in guardrail
    assert "contextualGroundingPolicyConfig" not in guardrail


def test_a_change_of_settings_is_a_new_version_and_the_old_one_is_kept(engine: Engine) -> None:
    access(engine, guardrail=MANAGED)
    version = engine.only("GuardrailVersion", "a-version").inputs
    assert version["skipDestroy"] is True
    changed, same = Engine(), Engine()
    access(changed, guardrail={**MANAGED, "blocked_message": "Not here."})
    access(same, guardrail=dict(MANAGED), tags={"team": "other"})
    assert changed.only("GuardrailVersion").inputs["description"] != version["description"]
    assert same.only("GuardrailVersion").inputs["description"] == version["description"], (
        "a tag is no reason for a version"
    )


KINDS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["EMAIL", "NAME", "PHONE"]),
            "action": st.sampled_from(["block", "anonymize"]),
        }
    ),
    unique_by=lambda kind: kind["name"],
)


@given(KINDS, st.sampled_from(["low", "medium", "high"]), st.randoms())
def test_the_same_settings_in_another_order_are_the_same_version(
    kinds: list[Any], strength: str, chance: Any
) -> None:
    shuffled = list(kinds)
    chance.shuffle(shuffled)
    settings = guardrail_arguments({"mode": "manage", "pii": kinds, "attack_strength": strength}, "g")
    two = guardrail_arguments({"attack_strength": strength, "pii": shuffled, "mode": "manage"}, "g")
    assert digest(settings) == digest(two)
    if kinds:
        flipped = [{**kinds[0], "action": "block" if kinds[0]["action"] == "anonymize" else "anonymize"}]
        three = guardrail_arguments(
            {"mode": "manage", "pii": flipped + kinds[1:], "attack_strength": strength},  # type: ignore[typeddict-item]
            "g",
        )
        assert digest(settings) != digest(three)


@pytest.mark.parametrize("id", ["g7", f"{OWN}:guardrail/g7"])
def test_an_existing_guardrail_is_named_by_id_or_arn_and_none_is_made(engine: Engine, id: str) -> None:
    access(engine, guardrail={"mode": "existing", "guardrail_id": id, "version": "4"})
    assert not engine.all("Guardrail")
    assert engine.outputs["guardrail_id"] == f"{OWN}:guardrail/g7"
    assert may(engine, CLAIMS, bedrock_GuardrailIdentifier=f"{OWN}:guardrail/g7:4")
    assert not may(engine, CLAIMS)


@pytest.mark.parametrize("id", ["arn:x", "arn:aws:s3:::g7", "My Guardrail", f"{OWN}:guardrail/"])
def test_an_invalid_guardrail_name_is_refused(engine: Engine, id: str) -> None:
    with pytest.raises(InputError, match="not a guardrail's id or ARN"):
        access(engine, guardrail={"mode": "existing", "guardrail_id": id, "version": "4"})


def test_a_caller_of_an_encrypted_guardrail_may_use_only_its_key(engine: Engine) -> None:
    key = "arn:aws:kms:eu-central-1:1:key/k"
    access(engine, guardrail={**MANAGED, "kms_key": key}, source_vpc="vpc-1")
    assert engine.only("Guardrail").inputs["kmsKeyArn"] == key
    assert allowed(policy(engine), "kms:Decrypt", key), (
        "Bedrock opens it in the caller's name, not from our VPC"
    )
    assert not allowed(policy(engine), "kms:Decrypt", "arn:aws:kms:eu-central-1:1:key/other")
    assert key not in engine.outputs["model_arns"]


@pytest.mark.parametrize("guardrail", [{"mode": "off"}, None])
def test_without_a_guardrail_none_is_asked_for(engine: Engine, guardrail: Any) -> None:
    access(engine, **({"guardrail": guardrail} if guardrail else {}))
    assert may(engine, CLAIMS)
    assert engine.outputs["guardrail_id"] == engine.outputs["guardrail_version"] == ""
    assert "Guardrail" not in json.dumps(policy(engine))


def test_an_embedding_model_is_called_where_no_guardrail_is_asked_for(engine: Engine) -> None:
    access(engine, models=[{**PLAIN, "model": "amazon.titan-embed-text-v2:0"}], guardrail={"mode": "off"})
    assert engine.only("InferenceProfile")
