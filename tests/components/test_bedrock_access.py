"""What a class's translator may call on Amazon Bedrock, on whose account, through which guardrail."""

import re
from typing import Any

import pytest

from components.aws.common.names import aws_name, partition
from isthmus.core.errors import InputError, Refused
from tests.components.bedrock import (
    CLAIMS,
    FILTERED,
    GUARDRAIL,
    LETTERS,
    MANAGED,
    OWN,
    PLAIN,
    SYSTEM,
    access,
    foundation,
    may,
    model,
    policy,
)
from tests.components.conftest import Engine
from tests.components.policies import allowed, listed

# -- profiles


def test_each_workload_calls_a_model_by_a_profile_that_bears_its_name_on_the_bill(engine: Engine) -> None:
    access(engine, models=[model(), model(workload="letters")], tags={"team": "ml"})
    for workload in ("claims", "letters"):
        profile = engine.only("InferenceProfile", f"a-haiku-{workload}").inputs
        assert profile["modelSource"] == {"copyFrom": SYSTEM}
        assert profile["tags"] == {
            "team": "ml",
            "isthmus.dev/class": "internal",
            "isthmus.dev/workload": workload,
        }
        assert profile["region"] == "eu-central-1"
    assert engine.outputs["model_ids"] == {"haiku--claims": CLAIMS, "haiku--letters": LETTERS}


def test_names_are_valid_in_aws(engine: Engine) -> None:
    long = model(id="haiku-" + "x" * 34, workload="a--b-" + "y" * 35)
    access(engine, name="isthmus-frankfurt-internal", models=[long], guardrail=MANAGED)
    profile = engine.only("InferenceProfile").inputs
    assert re.fullmatch(r"([0-9a-zA-Z][ _-]?)+", profile["name"])
    assert len(profile["name"]) <= 64
    assert re.fullmatch(r"([0-9a-zA-Z:.][ _-]?)+", profile["description"])
    assert len(profile["description"]) <= 200
    assert len(engine.only("Guardrail").inputs["name"]) <= 50


def test_a_profile_of_another_source_has_another_name_so_that_both_can_be_there(engine: Engine) -> None:
    access(engine)
    other_engine = Engine()
    access(other_engine, models=[model(inference_profile="eu.amazon.nova-lite-v1:0")])
    again = Engine()
    access(again)
    names = [run.only("InferenceProfile").inputs["name"] for run in (engine, other_engine, again)]
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
    profile_arn = f"{OWN}:application-inference-profile/a-nova-claims"
    assert engine.only("InferenceProfile").inputs["modelSource"] == {"copyFrom": nova}
    assert may(engine, nova, bedrock_InferenceProfileArn=profile_arn)
    assert engine.outputs["model_arns"] == sorted([profile_arn, nova])


def test_a_workload_cannot_use_the_profile_of_another(engine: Engine) -> None:
    access(engine, models=[model(), {**PLAIN, "workload": "letters"}])
    nova = foundation("eu-central-1", "amazon.nova-lite-v1:0")
    assert not may(engine, nova, bedrock_InferenceProfileArn=CLAIMS)


def test_no_allowance_has_a_wildcard_and_no_key_is_made(engine: Engine) -> None:
    access(engine, guardrail=MANAGED, source_vpc="vpc-1")
    for statement in policy(engine)["Statement"]:
        assert not [action for action in statement["Action"] if "*" in action]
        if statement["Effect"] == "Allow":
            assert not [arn for arn in listed(statement["Resource"]) if "*" in arn]
    assert {resource.kind for resource in engine.made} == {
        "Guardrail",
        "GuardrailVersion",
        "InferenceProfile",
        "RolePolicy",
    }
    written = engine.only("RolePolicy")
    assert written.inputs["role"] == "internal-role"
    # Two accesses (of two regions, say) may write to one role.
    assert written.inputs["name"] == aws_name(written.name, 128)


def test_all_invokable_models_are_output_for_the_private_endpoint(engine: Engine) -> None:
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


ELSEWHERE = {"aws_RequestedRegion": "eu-west-1"}
AT_HOME = {"aws_RequestedRegion": "eu-central-1"}


def test_a_call_that_bedrock_routes_on_need_not_name_the_vpc_where_it_is_served(engine: Engine) -> None:
    access(engine, source_vpc="vpc-1", guardrail=MANAGED)
    through = {"bedrock_InferenceProfileArn": CLAIMS, **FILTERED}
    assert may(engine, foundation("eu-west-1"), **through, **ELSEWHERE)
    assert may(engine, foundation("eu-west-1"), **through, **ELSEWHERE, aws_SourceVpc="vpc-1")
    assert not may(engine, foundation("eu-central-1"), **through, **AT_HOME), "made from elsewhere"
    assert not may(engine, CLAIMS, **FILTERED, **AT_HOME), "nobody enters from elsewhere"
    assert not may(engine, foundation("us-east-1"), **through, aws_RequestedRegion="us-east-1")


def test_no_other_policy_lets_a_call_past_the_profile_in_a_destination(engine: Engine) -> None:
    access(engine, source_vpc="vpc-1")
    wide = policy(engine)
    wide["Statement"].append({"Effect": "Allow", "Action": ["bedrock:InvokeModel"], "Resource": ["*"]})
    direct = foundation("eu-west-1")
    assert not allowed(wide, "bedrock:InvokeModel", direct, **ELSEWHERE)
    assert not allowed(wide, "bedrock:InvokeModel", direct, **ELSEWHERE, aws_SourceVpc="vpc-1")
    assert not allowed(wide, "bedrock:InvokeModel", direct, **ELSEWHERE, bedrock_InferenceProfileArn=SYSTEM)
    assert allowed(wide, "bedrock:InvokeModel", direct, **ELSEWHERE, bedrock_InferenceProfileArn=CLAIMS)


def test_every_region_asks_for_the_vpc_where_that_is_chosen(engine: Engine) -> None:
    access(engine, source_vpc="vpc-1", network_condition="every-region")
    through = {"bedrock_InferenceProfileArn": CLAIMS, **ELSEWHERE}
    assert not may(engine, foundation("eu-west-1"), **through)
    assert may(engine, foundation("eu-west-1"), **through, aws_SourceVpc="vpc-1")


def test_a_model_that_is_served_in_its_region_is_asked_for_the_vpc_always(engine: Engine) -> None:
    access(engine, source_vpc="vpc-1", models=[PLAIN])
    (denial,) = [statement for statement in policy(engine)["Statement"] if statement["Effect"] == "Deny"]
    assert denial["Condition"] == {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}


# -- throughput bought ahead


def bought(**more: Any) -> dict[str, Any]:
    return {"name": "nova", "endpoint": "nova", "model_units": 2, "commitment": "none", **more}


def test_an_endpoint_with_throughput_is_called_there_and_has_no_profile(engine: Engine) -> None:
    access(engine, models=[model(), PLAIN], provisioned=[bought()])
    throughput = engine.only("ProvisionedModelThroughput", "a-nova")
    arn = f"{OWN}:provisioned-model/p1"
    assert throughput.inputs["modelArn"] == foundation("eu-central-1", "amazon.nova-lite-v1:0")
    assert throughput.inputs["modelUnits"] == 2
    assert "commitmentDuration" not in throughput.inputs
    assert throughput.inputs["tags"]["isthmus.dev/workload"] == "claims"
    assert engine.outputs["model_ids"] == {"haiku--claims": CLAIMS, "nova--claims": arn}
    assert [profile.name for profile in engine.all("InferenceProfile")] == ["a-haiku-claims"]
    assert may(engine, arn)
    assert not may(engine, foundation("eu-central-1", "amazon.nova-lite-v1:0"))
    assert not throughput.retained
    assert engine.outputs["retained"] == []


def test_throughput_that_workloads_share_bears_no_ones_name(engine: Engine) -> None:
    access(engine, models=[PLAIN, {**PLAIN, "workload": "letters"}], provisioned=[bought()])
    assert "isthmus.dev/workload" not in engine.only("ProvisionedModelThroughput").inputs["tags"]
    assert len(set(engine.outputs["model_ids"].values())) == 1


def test_committed_throughput_is_retained_and_reported(engine: Engine) -> None:
    access(engine, models=[PLAIN], provisioned=[bought(commitment="six-months")])
    throughput = engine.only("ProvisionedModelThroughput")
    assert throughput.inputs["commitmentDuration"] == "SixMonths"
    assert throughput.retained
    assert engine.outputs["retained"] == [f"{OWN}:provisioned-model/p1"]


def test_other_units_have_another_name_so_that_both_can_be_there(engine: Engine) -> None:
    names = set()
    for units in (1, 2):
        fresh = Engine()
        access(fresh, models=[PLAIN], provisioned=[bought(model_units=units)])
        names.add(fresh.only("ProvisionedModelThroughput").inputs["provisionedModelName"])
    assert len(names) == 2


# -- refusals


@pytest.mark.parametrize("sensitivity", ["confidential", "restricted"])
def test_a_class_that_may_not_use_aws_gets_no_access(engine: Engine, sensitivity: str) -> None:
    with pytest.raises(Refused, match=f"class {sensitivity} may not use bedrock"):
        access(engine, sensitivity)
    assert not engine.made


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"models": []}, "lists no models"),
        ({"models": [model(destination_regions=[])]}, "has no destination regions"),
        ({"models": [model(model="anthropic.*")]}, "more than one model"),
        ({"models": [model(inference_profile="global.x")]}, "every commercial region"),
        ({"models": [model(), model()]}, "haiku--claims: listed twice"),
        (
            {"provisioned": [bought()]},
            "not an endpoint of this identity. Fix: Use one of its endpoints: haiku",
        ),
        ({"models": [PLAIN], "provisioned": [bought(), bought(name="b")]}, "throughput twice"),
        ({"models": [PLAIN], "provisioned": [bought(model_units=0)]}, "less than one unit"),
        ({"models": [PLAIN], "provisioned": [bought(commitment="a-year")]}, "'a-year' is not known"),
        (
            {"models": [model(), {**PLAIN, "region": "eu-west-1"}], "guardrail": MANAGED},
            "one guardrail cannot filter calls in eu-central-1 and eu-west-1",
        ),
        (
            {"guardrail": {"mode": "manage", "pii": [{"name": "EMAI", "action": "block"}]}},
            "Did you mean `EMAIL`",
        ),
        (
            {"guardrail": {"mode": "manage", "pii": [{"name": "EMAIL", "action": "drop"}]}},
            "'drop' is not known",
        ),
        (
            {"guardrail": {"mode": "manage", "pii": [*MANAGED["pii"], *MANAGED["pii"]]}},
            "'EMAIL' is listed twice",
        ),
        ({"guardrail": {"mode": "manage", "attack_strength": "none"}}, "'none' is not known"),
        ({"guardrail": {"mode": "manage", "grounding": 1.0}}, "a score of 1.0"),
        ({"guardrail": {"mode": "manage", "blocked_message": ""}}, "a message of 0 characters"),
        (
            {"models": [{**PLAIN, "model": "amazon.titan-embed-text-v2:0"}], "guardrail": MANAGED},
            "nova: a guardrail is set, but Bedrock applies none",
        ),
        ({"guardrail": {"mode": "existing", "version": "1"}}, "guardrail_id is missing"),
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
            "is not in region eu-central-1",
        ),
    ],
)
def test_a_wrong_setting_is_named_before_anything_is_created(
    engine: Engine, more: dict[str, Any], match: str
) -> None:
    with pytest.raises(InputError, match=match):
        access(engine, **more)
    assert not engine.made


def test_more_models_than_a_policy_holds_are_named(engine: Engine) -> None:
    many = [model(id=f"model-{at}", model=f"anthropic.model-{at}") for at in range(60)]
    with pytest.raises(InputError, match="AWS accepts at most 10,240"):
        access(engine, models=many)
    assert not engine.made


def test_as_many_models_as_a_policy_holds_are_made(engine: Engine) -> None:
    many = [model(id=f"model-{at}", model=f"anthropic.model-{at}") for at in range(12)]
    access(engine, models=many, guardrail=MANAGED, source_vpc="vpc-1")
    assert len(engine.all("InferenceProfile")) == 12


def test_arns_are_of_the_regions_partition() -> None:
    assert partition("eu-central-1") == "aws"
    assert partition("eusc-de-east-1") == "aws-eusc"
