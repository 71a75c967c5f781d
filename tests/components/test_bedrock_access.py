"""What a class's translator may call on Amazon Bedrock, on whose account, through which guardrail."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import BedrockAccess
from components.aws.guardrail import digest, settings_of
from components.aws.names import partition
from isthmus.contracts.errors import AnswerIsNo, InputError
from tests.components.conftest import ACCOUNT, Engine
from tests.components.policies import allowed, listed

PROFILE = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
MODEL = "anthropic.claude-haiku-4-5-20251001-v1:0"
OWN = f"arn:aws:bedrock:eu-central-1:{ACCOUNT}"
SYSTEM = f"{OWN}:inference-profile/{PROFILE}"
CLAIMS = "arn:aws:bedrock/inferenceProfile:::a-haiku-claims"
LETTERS = "arn:aws:bedrock/inferenceProfile:::a-haiku-letters"
GUARDRAIL = f"{OWN}:guardrail/g1"
MANAGED = {"mode": "manage", "pii": [{"name": "EMAIL", "action": "anonymize"}]}
FILTERED = {"bedrock_GuardrailIdentifier": f"{GUARDRAIL}:1"}


def model(**more: Any) -> dict[str, Any]:
    return {
        "id": "haiku",
        "workload": "claims",
        "model": MODEL,
        "region": "eu-central-1",
        "inference_profile": PROFILE,
        "destination_regions": ["eu-central-1", "eu-west-1"],
        **more,
    }


PLAIN = {"id": "nova", "workload": "claims", "model": "amazon.nova-lite-v1:0", "region": "eu-central-1"}


def access(engine: Engine, sensitivity: str = "internal", name: str = "a", **more: Any) -> None:
    given = {"name": "internal", "sensitivity": sensitivity, "role": "internal-role", "models": [model()]}
    engine.deploy(BedrockAccess, name, {**given, **more})


def policy(engine: Engine) -> dict[str, Any]:
    return json.loads(engine.only("RolePolicy").inputs["policy"])


def foundation(region: str, name: str = MODEL) -> str:
    return f"arn:aws:bedrock:{region}::foundation-model/{name}"


def may(engine: Engine, resource: str, **context: str) -> bool:
    """Whether the role may invoke it; both actions are the same."""
    found = {
        allowed(policy(engine), f"bedrock:{action}", resource, **context)
        for action in ("InvokeModel", "InvokeModelWithResponseStream")
    }
    (one,) = found
    return one


# -- profiles


def test_each_workload_calls_a_model_by_a_profile_that_bears_its_name_on_the_bill(engine: Engine) -> None:
    access(engine, models=[model(), model(workload="letters")], tags={"team": "ml"})
    for workload in ("claims", "letters"):
        made = engine.only("InferenceProfile", f"a-haiku-{workload}").inputs
        assert made["modelSource"] == {"copyFrom": SYSTEM}
        assert made["tags"] == {
            "team": "ml",
            "isthmus.dev/class": "internal",
            "isthmus.dev/workload": workload,
        }
        assert made["region"] == "eu-central-1"
    assert engine.outputs["model_ids"] == {"haiku--claims": CLAIMS, "haiku--letters": LETTERS}


def test_names_are_such_as_aws_takes(engine: Engine) -> None:
    long = model(id="haiku-" + "x" * 34, workload="a--b-" + "y" * 35)
    access(engine, name="isthmus-frankfurt-internal", models=[long], guardrail=MANAGED)
    made = engine.only("InferenceProfile").inputs
    assert re.fullmatch(r"([0-9a-zA-Z][ _-]?)+", made["name"])
    assert len(made["name"]) <= 64
    assert re.fullmatch(r"([0-9a-zA-Z:.][ _-]?)+", made["description"])
    assert len(made["description"]) <= 200
    assert len(engine.only("Guardrail").inputs["name"]) <= 50


def test_a_profile_of_another_source_has_another_name_so_that_both_can_be_there(engine: Engine) -> None:
    access(engine)
    other = Engine()
    access(other, models=[model(inference_profile="eu.amazon.nova-lite-v1:0")])
    again = Engine()
    access(again)
    names = [each.only("InferenceProfile").inputs["name"] for each in (engine, other, again)]
    assert names[0] != names[1]
    assert names[0] == names[2]


def test_a_model_is_called_through_its_profile_in_each_region_and_not_past_it(engine: Engine) -> None:
    access(engine)
    assert may(engine, CLAIMS)
    for resource in (SYSTEM, foundation("eu-central-1"), foundation("eu-west-1")):
        assert may(engine, resource, bedrock_InferenceProfileArn=CLAIMS)
        assert not may(engine, resource), "the model could be called past its profile"
        assert not may(engine, resource, bedrock_InferenceProfileArn=SYSTEM), "its cost would be nobody's"
    assert not may(engine, foundation("us-east-1"), bedrock_InferenceProfileArn=CLAIMS)
    assert not may(engine, foundation("eu-west-1", "other"), bedrock_InferenceProfileArn=CLAIMS)


def test_a_model_without_a_profile_is_called_in_its_region_alone(engine: Engine) -> None:
    access(engine, "public", models=[PLAIN])
    nova = foundation("eu-central-1", "amazon.nova-lite-v1:0")
    own = "arn:aws:bedrock/inferenceProfile:::a-nova-claims"
    assert engine.only("InferenceProfile").inputs["modelSource"] == {"copyFrom": nova}
    assert may(engine, nova, bedrock_InferenceProfileArn=own)
    assert engine.outputs["model_arns"] == sorted([own, nova])


def test_one_workloads_profile_is_no_way_to_anothers_model(engine: Engine) -> None:
    access(engine, models=[model(), {**PLAIN, "workload": "letters"}])
    nova = foundation("eu-central-1", "amazon.nova-lite-v1:0")
    assert not may(engine, nova, bedrock_InferenceProfileArn=CLAIMS)


def test_no_allowance_has_a_wildcard_and_no_key_is_made(engine: Engine) -> None:
    access(engine, guardrail=MANAGED, source_vpc="vpc-1")
    for each in policy(engine)["Statement"]:
        assert not [action for action in each["Action"] if "*" in action]
        if each["Effect"] == "Allow":
            assert not [arn for arn in listed(each["Resource"]) if "*" in arn]
    assert {made.kind for made in engine.made} == {
        "Guardrail",
        "GuardrailVersion",
        "InferenceProfile",
        "RolePolicy",
    }
    assert engine.only("RolePolicy").inputs["role"] == "internal-role"


def test_all_that_may_be_invoked_is_told_for_the_private_endpoint(engine: Engine) -> None:
    access(engine, models=[model(), model(workload="letters")], guardrail=MANAGED)
    assert engine.outputs["model_arns"] == sorted(
        [CLAIMS, LETTERS, SYSTEM, foundation("eu-central-1"), foundation("eu-west-1"), GUARDRAIL]
    )


# -- where calls come from


def test_calls_from_another_network_are_denied(engine: Engine) -> None:
    access(engine, source_vpc="vpc-1", guardrail=MANAGED)
    assert may(engine, CLAIMS, aws_SourceVpc="vpc-1", **FILTERED)
    assert not may(engine, CLAIMS, aws_SourceVpc="vpc-2", **FILTERED)
    assert not may(engine, CLAIMS, **FILTERED), "a call over the internet has no VPC"
    assert not allowed(policy(engine), "bedrock:ApplyGuardrail", GUARDRAIL)
    assert allowed(policy(engine), "bedrock:ApplyGuardrail", GUARDRAIL, aws_SourceVpc="vpc-1")


# -- the guardrail


def test_a_call_past_the_guardrail_or_through_another_version_is_denied(engine: Engine) -> None:
    access(engine, guardrail=MANAGED)
    assert may(engine, CLAIMS, **FILTERED)
    for named in (
        {},
        {"bedrock_GuardrailIdentifier": GUARDRAIL},
        {"bedrock_GuardrailIdentifier": f"{GUARDRAIL}:2"},
    ):
        assert not may(engine, CLAIMS, **named)
        assert not may(engine, SYSTEM, bedrock_InferenceProfileArn=CLAIMS, **named)
    denied = policy(engine)
    denied["Statement"].append({"Effect": "Allow", "Action": ["bedrock:InvokeModel"], "Resource": ["*"]})
    assert not allowed(denied, "bedrock:InvokeModel", CLAIMS), "another policy could let it past"
    assert allowed(policy(engine), "bedrock:ApplyGuardrail", GUARDRAIL)
    assert not allowed(policy(engine), "bedrock:ApplyGuardrail", f"{OWN}:guardrail/other")
    assert (engine.outputs["guardrail_id"], engine.outputs["guardrail_version"]) == (GUARDRAIL, "1")


def test_an_earlier_version_may_be_named_while_pods_roll(engine: Engine) -> None:
    access(engine, guardrail={**MANAGED, "earlier_versions": ["3"]})
    for version, good in (("1", True), ("3", True), ("2", False)):
        assert may(engine, CLAIMS, bedrock_GuardrailIdentifier=f"{GUARDRAIL}:{version}") is good


def test_a_guardrail_filters_attacks_content_and_personal_data_in_its_own_region(engine: Engine) -> None:
    access(engine, guardrail={**MANAGED, "grounding": 0.7, "attack_strength": "medium"}, tags={"team": "ml"})
    made = engine.only("Guardrail", "a-guardrail").inputs
    filters = {each["type"]: each for each in made["contentPolicyConfig"]["filtersConfigs"]}
    assert (filters["PROMPT_ATTACK"]["inputStrength"], filters["PROMPT_ATTACK"]["outputStrength"]) == (
        "MEDIUM",
        "NONE",
    )
    assert {filters[kind]["outputStrength"] for kind in filters if kind != "PROMPT_ATTACK"} == {"MEDIUM"}
    assert len(filters) == 6
    assert made["sensitiveInformationPolicyConfig"]["piiEntitiesConfigs"] == [
        {"type": "EMAIL", "action": "ANONYMIZE"}
    ]
    grounding = made["contextualGroundingPolicyConfig"]["filtersConfigs"]
    assert grounding == [{"type": kind, "threshold": 0.7} for kind in ("GROUNDING", "RELEVANCE")]
    assert "crossRegionConfig" not in made, "content would be looked at in another region"
    assert made["region"] == "eu-central-1"
    assert made["tags"] == {"team": "ml", "isthmus.dev/class": "internal"}


def test_what_is_not_asked_for_is_not_filtered(engine: Engine) -> None:
    access(engine, guardrail={"mode": "manage", "content_strength": "none"})
    made = engine.only("Guardrail").inputs
    assert [each["type"] for each in made["contentPolicyConfig"]["filtersConfigs"]] == ["PROMPT_ATTACK"]
    assert "sensitiveInformationPolicyConfig" not in made
    assert "contextualGroundingPolicyConfig" not in made


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
    other = list(kinds)
    chance.shuffle(other)
    one = settings_of({"mode": "manage", "pii": kinds, "attack_strength": strength}, "g")
    two = settings_of({"attack_strength": strength, "pii": other, "mode": "manage"}, "g")
    assert digest(one) == digest(two)
    if kinds:
        flipped = [{**kinds[0], "action": "block" if kinds[0]["action"] == "anonymize" else "anonymize"}]
        three = settings_of(
            {"mode": "manage", "pii": flipped + kinds[1:], "attack_strength": strength},  # type: ignore[typeddict-item]
            "g",
        )
        assert digest(one) != digest(three)


@pytest.mark.parametrize("id", ["g7", f"{OWN}:guardrail/g7"])
def test_an_existing_guardrail_is_named_by_id_or_arn_and_none_is_made(engine: Engine, id: str) -> None:
    access(engine, guardrail={"mode": "existing", "guardrail_id": id, "version": "4"})
    assert not engine.all("Guardrail")
    assert engine.outputs["guardrail_id"] == f"{OWN}:guardrail/g7"
    assert may(engine, CLAIMS, bedrock_GuardrailIdentifier=f"{OWN}:guardrail/g7:4")
    assert not may(engine, CLAIMS)


def test_who_calls_through_a_guardrail_under_a_key_may_open_that_key_and_no_other(engine: Engine) -> None:
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


# -- throughput bought ahead


def bought(**more: Any) -> dict[str, Any]:
    return {"name": "nova", "endpoint": "nova", "model_units": 2, "commitment": "none", **more}


def test_an_endpoint_with_throughput_is_called_there_and_has_no_profile(engine: Engine) -> None:
    access(engine, models=[model(), PLAIN], provisioned=[bought()])
    made = engine.only("ProvisionedModelThroughput", "a-nova")
    arn = f"{OWN}:provisioned-model/p1"
    assert made.inputs["modelArn"] == foundation("eu-central-1", "amazon.nova-lite-v1:0")
    assert made.inputs["modelUnits"] == 2
    assert "commitmentDuration" not in made.inputs
    assert made.inputs["tags"]["isthmus.dev/workload"] == "claims"
    assert engine.outputs["model_ids"] == {"haiku--claims": CLAIMS, "nova--claims": arn}
    assert [each.name for each in engine.all("InferenceProfile")] == ["a-haiku-claims"]
    assert may(engine, arn)
    assert not may(engine, foundation("eu-central-1", "amazon.nova-lite-v1:0"))
    assert not made.retained
    assert engine.outputs["retained"] == []


def test_throughput_that_workloads_share_bears_no_ones_name(engine: Engine) -> None:
    access(engine, models=[PLAIN, {**PLAIN, "workload": "letters"}], provisioned=[bought()])
    assert "isthmus.dev/workload" not in engine.only("ProvisionedModelThroughput").inputs["tags"]
    assert len(set(engine.outputs["model_ids"].values())) == 1


def test_committed_throughput_is_left_when_the_stack_goes_and_said_so(engine: Engine) -> None:
    access(engine, models=[PLAIN], provisioned=[bought(commitment="six-months")])
    made = engine.only("ProvisionedModelThroughput")
    assert made.inputs["commitmentDuration"] == "SixMonths"
    assert made.retained
    assert engine.outputs["retained"] == [f"{OWN}:provisioned-model/p1"]


def test_other_units_have_another_name_so_that_both_can_be_there(engine: Engine) -> None:
    names = set()
    for units in (1, 2):
        one = Engine()
        access(one, models=[PLAIN], provisioned=[bought(model_units=units)])
        names.add(one.only("ProvisionedModelThroughput").inputs["provisionedModelName"])
    assert len(names) == 2


# -- refusals


@pytest.mark.parametrize("sensitivity", ["confidential", "restricted"])
def test_a_class_that_may_not_use_aws_gets_no_access(engine: Engine, sensitivity: str) -> None:
    with pytest.raises(AnswerIsNo, match="must not reach AWS"):
        access(engine, sensitivity)
    assert not engine.made


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"models": []}, "names no models"),
        ({"models": [model(destination_regions=[])]}, "names no destination regions"),
        ({"models": [model(model="anthropic.*")]}, "more than one model"),
        ({"models": [model(inference_profile="global.x")]}, "every commercial region"),
        ({"models": [model(), model()]}, "haiku--claims: named twice"),
        ({"provisioned": [bought()]}, "none of its endpoints. Its endpoints: haiku"),
        ({"models": [PLAIN], "provisioned": [bought(), bought(name="b")]}, "throughput twice"),
        ({"models": [PLAIN], "provisioned": [bought(model_units=0)]}, "less than one unit"),
        ({"models": [PLAIN], "provisioned": [bought(commitment="a-year")]}, "'a-year' is not known"),
        (
            {"models": [model(), {**PLAIN, "region": "eu-west-1"}], "guardrail": MANAGED},
            "one guardrail for calls in eu-central-1 and eu-west-1",
        ),
        (
            {"guardrail": {"mode": "manage", "pii": [{"name": "EMAI", "action": "block"}]}},
            "Did you mean `EMAIL`",
        ),
        (
            {"guardrail": {"mode": "manage", "pii": [{"name": "EMAIL", "action": "drop"}]}},
            "'drop' is not known",
        ),
        ({"guardrail": {"mode": "manage", "pii": [*MANAGED["pii"], *MANAGED["pii"]]}}, "'EMAIL' twice"),
        ({"guardrail": {"mode": "manage", "attack_strength": "none"}}, "'none' is not known"),
        ({"guardrail": {"mode": "manage", "grounding": 1.0}}, "a score of 1.0"),
        ({"guardrail": {"mode": "manage", "blocked_message": ""}}, "a message of 0 characters"),
        (
            {"models": [{**PLAIN, "model": "amazon.titan-embed-text-v2:0"}], "guardrail": MANAGED},
            "nova: a model that takes no guardrail",
        ),
        ({"guardrail": {"mode": "existing", "version": "1"}}, "names no guardrail_id"),
        (
            {"guardrail": {"mode": "existing", "guardrail_id": "g", "version": "DRAFT"}},
            "not a numbered version",
        ),
        ({"guardrail": {"mode": "existing", "guardrail_id": "g"}}, "not a numbered version"),
        (
            {
                "guardrail": {
                    "mode": "existing",
                    "guardrail_id": "arn:aws:bedrock:us-east-1:1:guardrail/g",
                    "version": "1",
                }
            },
            "does not stand in eu-central-1",
        ),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(engine: Engine, more: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        access(engine, **more)
    assert not engine.made


def test_more_models_than_a_policy_holds_are_named(engine: Engine) -> None:
    many = [model(id=f"model-{at}", model=f"anthropic.model-{at}") for at in range(60)]
    with pytest.raises(InputError, match="AWS takes 10,240"):
        access(engine, models=many)
    assert not engine.made


def test_as_many_models_as_a_policy_holds_are_made(engine: Engine) -> None:
    many = [model(id=f"model-{at}", model=f"anthropic.model-{at}") for at in range(12)]
    access(engine, models=many, guardrail=MANAGED, source_vpc="vpc-1")
    assert len(engine.all("InferenceProfile")) == 12


def test_arns_are_of_the_regions_partition() -> None:
    assert partition("eu-central-1") == "aws"
    assert partition("eusc-de-east-1") == "aws-eusc"
