"""The policy of who calls models on Amazon Bedrock: what is called, and what may be reached only through it."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.names import partition

ACTIONS = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
"""Leave to invoke; Converse and ConverseStream are allowed and denied by the same two."""
INLINE_CHARACTERS = 10_240
"""All inline policies of a role together (IAM's quotas, not adjustable, 2026-11)."""


class BedrockModel(TypedDict):
    """A model of Amazon Bedrock that one workload may call."""

    id: str
    """Id of the endpoint."""
    workload: str
    """The workload on whose account it is called."""
    model: str
    """Id of the foundation model, e.g. amazon.nova-lite-v1:0."""
    region: str
    """Region in which it is called."""
    inference_profile: NotRequired[str]
    """Id of the system's inference profile; absent, the model is called in its region itself."""
    destination_regions: NotRequired[list[str]]
    """Every region that the profile may route to; with a profile at least one."""


def call_policy(
    models: list[BedrockModel],
    called: Mapping[str, Any],
    bought: set[str],
    guarded: tuple[Any, list[Any]] | None,
    vpc: pulumi.Input[str] | None,
    account: pulumi.Input[str],
    key: pulumi.Input[str] | None = None,
    profiles: Sequence[pulumi.Input[str]] = (),
    guardrail_regions: Sequence[str] = (),
    network_condition: str = "own-region",
) -> dict[str, Any]:
    """The role's policy: what is called, what may be reached through it only, and two denials above both.

    A call by an application profile is asked of the profile, of the system's profile that it copies and of
    the model in each region that this may route to; `bedrock:InferenceProfileArn` is then the application
    profile (Bedrock user guide, prerequisites for inference profiles; "Enforce Amazon Bedrock usage through
    tagged application inference profiles", AWS re:Post; read 2026-11). `guarded`: the guardrail's ARN, and
    the values of `bedrock:GuardrailIdentifier` that a call may have; `key`: what seals its settings; `profiles`: of the
    guardrail's profile in each region (user guide, "Permissions for using cross-Region inference with Guardrails").

    `network_condition`: where Bedrock routes a call on, it asks IAM again in the destination, whose region is then
    `aws:RequestedRegion` (AWS samples, service-control-policy-examples #26, tried on an organisation, 2026-04). Whether
    that request still says `aws:SourceVpc` AWS does not document. With `own-region` it need not: a call enters by an
    application profile in the own region, from the VPC, and goes elsewhere through that profile only.
    """
    named = guarded[1] if guarded else []
    when: dict[str, Any] = {"bedrock:GuardrailIdentifier": named} if named else {}
    own = list({id(arn): arn for arn in called.values()}.values())
    statements = [_allow("Call", ACTIONS, own, when)]
    through: dict[tuple[str, ...], tuple[list[Any], list[Any]]] = {}
    for model in models:
        if model["id"] in bought:
            continue
        profile = model.get("inference_profile")
        regions = model.get("destination_regions") or [model["region"]]
        route = (model["model"], model["region"], profile or "", *regions)
        below: list[Any] = [foundation_arn(region, model["model"]) for region in regions]
        if profile:
            below.append(source_arn(model, account))
        through.setdefault(route, (below, []))[1].append(called[model_key(model)])
    for at, (below, above) in enumerate(through.values()):
        only = {"bedrock:InferenceProfileArn": above}
        statements.append(_allow(f"OnlyThrough{at}", ACTIONS, below, {**only, **when}))
    denied = list(ACTIONS)
    if guarded:
        statements.append(_allow("ApplyGuardrail", ["bedrock:ApplyGuardrail"], [guarded[0], *profiles], {}))
        statements.append(_deny("NoCallPastTheGuardrail", ACTIONS, {"bedrock:GuardrailIdentifier": named}))
        denied.append("bedrock:ApplyGuardrail")
        if key is not None:
            statements.append(open_guardrail(key))
    if vpc is not None:
        elsewhere = routed_regions(models, guardrail_regions)
        if network_condition == "every-region" or not elsewhere:
            statements.append(_deny("NoCallFromElsewhere", denied, {"aws:SourceVpc": vpc}))
        else:
            both = {"aws:SourceVpc": vpc, "aws:RequestedRegion": elsewhere}
            statements.append(_deny("NoCallFromElsewhere", denied, both))
            own = sorted({model["region"] for model in models})
            statements.append(_past_the_profile(own, elsewhere, account))
    return {"Version": "2012-10-17", "Statement": statements}


def routed_regions(models: Sequence[BedrockModel], more: Sequence[str] = ()) -> list[str]:
    """Regions to which Bedrock may route what is called in another. `more`: those of a guardrail's profile."""
    own = {model["region"] for model in models}
    found = {region for model in models for region in model.get("destination_regions") or []}
    return sorted((found | set(more)) - own)


def _past_the_profile(own: list[str], elsewhere: list[str], account: pulumi.Input[str]) -> dict[str, Any]:
    """No call in a destination that does not come through an application profile of the account's own regions."""
    profiles = [bedrock_arn(region, account, "application-inference-profile/*") for region in own]
    return {
        "Sid": "NoCallPastTheProfile",
        "Effect": "Deny",
        "Action": ACTIONS,
        "Resource": "*",
        "Condition": {
            "StringEquals": {"aws:RequestedRegion": elsewhere},
            "ArnNotLike": {"bedrock:InferenceProfileArn": profiles},
        },
    }


def open_guardrail(key: pulumi.Input[str]) -> dict[str, Any]:
    """Leave to use a guardrail under a key (user guide, "customer managed key for your guardrail", 2026-11)."""
    return _allow("OpenGuardrail", ["kms:Decrypt"], [key], {})


def _allow(sid: str, actions: list[str], resources: list[Any], when: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return {**made, "Condition": {"StringEquals": when}} if when else made


def _deny(sid: str, actions: list[str], unless: dict[str, Any]) -> dict[str, Any]:
    """Denied on everything where a key has another value, and where the request has none."""
    condition = {"StringNotEquals": unless}
    return {"Sid": sid, "Effect": "Deny", "Action": actions, "Resource": "*", "Condition": condition}


def model_key(model: BedrockModel) -> str:
    return f"{model['id']}--{model['workload']}"


def bedrock_arn(region: str, account: pulumi.Input[str], rest: str) -> pulumi.Input[str]:
    """The ARN of something of the account's on Bedrock; text where the account is."""
    form = f"arn:{partition(region)}:bedrock:{region}:{{}}:{rest}"
    return form.format(account) if isinstance(account, str) else pulumi.Output.format(form, account)


def foundation_arn(region: str, model: str) -> str:
    return f"arn:{partition(region)}:bedrock:{region}::foundation-model/{model}"


def source_arn(model: BedrockModel, account: pulumi.Input[str]) -> pulumi.Input[str]:
    """What an application profile copies: the system's profile, or the model in its region."""
    profile = model.get("inference_profile")
    if not profile:
        return foundation_arn(model["region"], model["model"])
    return bedrock_arn(model["region"], account, f"inference-profile/{profile}")
