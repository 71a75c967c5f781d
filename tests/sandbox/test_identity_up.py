"""Identity, models, guardrail and log of calls with the stack's own provider, through the sandbox's plugin."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws_sandbox.authority import Authority, create_session
from tests.aws_sandbox.stack import Stack, endpoint, kinds

pytestmark = pytest.mark.sandbox

REGION = "eu-central-1"
SUBJECT = "internal-translator.isthmus-internal.svc"
HAIKU = {
    "id": "haiku",
    "model": "anthropic.claude-haiku-4-5-20251001-v1:0",
    "region": REGION,
    "inference_profile": "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
    "destination_regions": ["eu-central-1", "eu-north-1", "eu-south-1", "eu-west-1"],
}
NOVA = "amazon.nova-lite-v1:0"
BANK = Authority("Bank LLM identities")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with endpoint() as url:
        new_stack = Stack(tmp_path, url)
        yield new_stack
        new_stack.stack.destroy()


def site(strength: str = "medium", workloads: tuple[str, ...] = ("claims", "letters")) -> None:
    """One identity of the internal class, what it may call, and the log of calls."""
    import pulumi

    from components import BedrockAccess, InvocationLogging, TrustAnchor, WorkloadIdentity
    from isthmus.contracts.platform.model.platform import Site
    from stacks import providers

    place = Site(name="frankfurt", kind="aws", jurisdiction="de", region=REGION)
    opts = pulumi.ResourceOptions(
        providers=[providers.aws(place, {"isthmus-platform": "bank"}, sandbox=True)]
    )
    tags = {"team": "ml"}
    anchor = TrustAnchor(
        "bank-trust",
        {"name": "bank", "region": REGION, "mode": "manage", "ca_certificates": BANK.pem, "tags": tags},
        opts,
    )
    identity = WorkloadIdentity(
        "bank-internal-identity",
        {
            "name": "internal",
            "sensitivity": "internal",
            "trust_anchor": anchor.arn,
            "subject": SUBJECT,
            "actions": [
                "bedrock:InvokeModel",
                "bedrock:InvokeModelWithResponseStream",
                "bedrock:ApplyGuardrail",
            ],
            "resources": [
                f"arn:aws:bedrock:{REGION}:123456789012:application-inference-profile/*",
                f"arn:aws:bedrock:{REGION}:123456789012:guardrail/*",
                "arn:aws:bedrock:eu-*::foundation-model/*",
            ],
            "session_seconds": 1800,
            "source_vpc": "vpc-0a1b2c3d4e5f60718",
            "tags": tags,
        },
        opts,
    )
    access = BedrockAccess(
        "bank-internal",
        {
            "name": "internal",
            "sensitivity": "internal",
            "role": identity.role_name,
            "models": [
                *({**HAIKU, "workload": workload} for workload in workloads),  # type: ignore[typeddict-item]
                {"id": "nova", "workload": "claims", "model": NOVA, "region": REGION},
            ],
            "provisioned": [{"name": "nova", "endpoint": "nova", "model_units": 1, "commitment": "none"}],
            "guardrail": {
                "mode": "manage",
                "pii": [{"name": "EMAIL", "action": "anonymize"}, {"name": "PASSWORD", "action": "block"}],
                "content_strength": strength,
                "grounding": 0.5,
            },
            "source_vpc": "vpc-0a1b2c3d4e5f60718",
            "tags": tags,
        },
        opts,
    )
    calls = InvocationLogging(
        "bank-calls",
        {
            "name": "frankfurt",
            "region": REGION,
            "mode": "manage",
            "text": False,
            "retention_days": 400,
            "tags": tags,
        },
        opts,
    )
    for name in ("role_arn", "role_name", "profile_arn"):
        pulumi.export(name, getattr(identity, name))
    pulumi.export("anchor", anchor.arn)
    for name in ("guardrail_id", "guardrail_version", "model_ids"):
        pulumi.export(name, getattr(access, name))
    pulumi.export("log_group", calls.log_group)
    pulumi.export("retained", calls.retained)


def policy(stack: Stack, role: str) -> dict[str, Any]:
    iam = stack.boto("iam")
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    return iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]


def session(stack: Stack, created: dict[str, Any], common_name: str, by: Authority = BANK) -> int:
    arns = {
        "trustAnchorArn": created["anchor"],
        "profileArn": created["profile_arn"],
        "roleArn": created["role_arn"],
    }
    return create_session(stack.url, by.issue(common_name), arns)[0]


def test_an_identity_goes_up_serves_its_bearer_changes_its_guardrail_and_goes(stack: Stack) -> None:
    stack.own(site)
    stack.up()
    before = stack.outputs()
    assert set(kinds(stack.stack.preview(refresh=True, expect_no_changes=True).change_summary)) == {"same"}

    # Only the bearer of the right certificate of the right authority gets the role.
    assert session(stack, before, SUBJECT) == 201
    assert session(stack, before, "public-translator.isthmus-public.svc") == 403
    assert session(stack, before, SUBJECT, Authority("Bank LLM identities")) == 403

    bedrock = stack.boto("bedrock")
    assert set(before["model_ids"]) == {"haiku--claims", "haiku--letters", "nova--claims"}
    bought = before["model_ids"]["nova--claims"]
    assert bedrock.get_provisioned_model_throughput(provisionedModelId=bought)["modelUnits"] == 1
    for key in ("haiku--claims", "haiku--letters"):
        arn = before["model_ids"][key]
        profile = bedrock.get_inference_profile(inferenceProfileIdentifier=arn)
        assert profile["type"] == "APPLICATION"
        tags = {tag["key"]: tag["value"] for tag in bedrock.list_tags_for_resource(resourceARN=arn)["tags"]}
        assert tags["isthmus.dev/workload"] == key.partition("--")[2]
        assert (tags["isthmus.dev/class"], tags["team"]) == ("internal", "ml")

    logging = bedrock.get_model_invocation_logging_configuration()["loggingConfig"]
    assert logging["textDataDeliveryEnabled"] is logging["imageDataDeliveryEnabled"] is False
    assert logging["cloudWatchConfig"]["logGroupName"] == before["log_group"]

    # Another setting: a new version, which the policy names at once; the old one stays for pods that roll.
    assert before["guardrail_version"] == "1"
    stack.own(lambda: site(strength="high"))
    changes = kinds(stack.up().summary.resource_changes)
    assert changes.get("replace") == 1, changes
    after = stack.outputs()
    assert after["guardrail_version"] == "2"
    assert {key: after[key] for key in after if key != "guardrail_version"} == {
        key: before[key] for key in before if key != "guardrail_version"
    }
    for version, strength in (("1", "MEDIUM"), ("2", "HIGH")):
        retained = bedrock.get_guardrail(guardrailIdentifier=after["guardrail_id"], guardrailVersion=version)
        (hate,) = [
            filter_entry
            for filter_entry in retained["contentPolicy"]["filters"]
            if filter_entry["type"] == "HATE"
        ]
        assert hate["inputStrength"] == strength
    text = json.dumps(policy(stack, after["role_name"]))
    assert f"{after['guardrail_id']}:2" in text
    assert f"{after['guardrail_id']}:1" not in text
    assert set(kinds(stack.stack.preview(refresh=True, expect_no_changes=True).change_summary)) == {"same"}

    # A workload less: its profile goes and no policy names it.
    stack.own(lambda: site(strength="high", workloads=("claims",)))
    assert kinds(stack.up().summary.resource_changes)["delete"] == 1
    assert before["model_ids"]["haiku--letters"] not in json.dumps(policy(stack, after["role_name"]))

    stack.stack.destroy()
    iam = stack.boto("iam")
    assert iam.list_roles()["Roles"] == []
    assert iam.list_policies(Scope="Local")["Policies"] == []
    assert bedrock.list_guardrails()["guardrails"] == []
    assert bedrock.list_inference_profiles(typeEquals="APPLICATION")["inferenceProfileSummaries"] == []
    assert not bedrock.get_model_invocation_logging_configuration().get("loggingConfig")
    assert bedrock.list_provisioned_model_throughputs()["provisionedModelSummaries"] == []
    assert stack.boto("rolesanywhere").list_trust_anchors()["trustAnchors"] == []
    groups = [group["logGroupName"] for group in stack.boto("logs").describe_log_groups()["logGroups"]]
    assert groups == [before["log_group"]], "the log of calls stays, and nothing else"
    key = before["retained"][1]
    assert stack.boto("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"


@pytest.mark.soak
def test_a_guardrail_edited_by_hand_is_set_back_and_its_version_never_knew(stack: Stack) -> None:
    stack.own(site)
    stack.up()
    outputs, bedrock = stack.outputs(), stack.boto("bedrock")
    bedrock.update_guardrail(
        guardrailIdentifier=outputs["guardrail_id"],
        name="weaker",
        blockedInputMessaging="no",
        blockedOutputsMessaging="no",
        contentPolicyConfig={
            "filtersConfig": [{"type": "PROMPT_ATTACK", "inputStrength": "LOW", "outputStrength": "NONE"}]
        },
    )
    names = bedrock.get_guardrail(guardrailIdentifier=outputs["guardrail_id"], guardrailVersion="1")
    assert len(names["contentPolicy"]["filters"]) == 6, "calls name the version, which nobody can edit"
    stack.stack.up(refresh=True)
    draft = bedrock.get_guardrail(guardrailIdentifier=outputs["guardrail_id"])
    assert len(draft["contentPolicy"]["filters"]) == 6
    assert stack.outputs()["guardrail_version"] == "1"
