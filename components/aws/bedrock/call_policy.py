"""Builds the policy of a role that calls models on Amazon Bedrock.

The policy does not contain the class of the data. The platform decides by the class which models a role may call,
and `may_use_aws` has checked that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.actions import INVOKE, open_guardrail
from components.aws.common.names import aws_name, partition
from components.aws.identity.boundary import compact_policy

INLINE_CHARACTERS = 10_240
"""Maximum characters of all inline policies of a role together (IAM's quotas, not adjustable, 2026-11)."""


class BedrockModel(TypedDict):
    """A model of Amazon Bedrock that one workload may call."""

    id: str
    """Id of the endpoint."""
    workload: str
    """The workload to which its cost is accounted."""
    model: str
    """Id of the foundation model, e.g. amazon.nova-lite-v1:0."""
    region: str
    """Region of the calls."""
    inference_profile: NotRequired[str]
    """Id of the system's inference profile. Absent: the model is called directly in its region."""
    destination_regions: NotRequired[list[str]]
    """Every region to which the profile may route. At least one with a profile."""


@dataclass(frozen=True)
class RequiredGuardrail:
    """The guardrail that every call must use."""

    arn: Any
    identifiers: list[Any]
    """Values of `bedrock:GuardrailIdentifier` that a call may have."""
    key: pulumi.Input[str] | None = None
    """ARN of the key that encrypts its settings. None: AWS's own."""
    profiles: Sequence[pulumi.Input[str]] = ()
    """ARNs of its profile in each region (user guide, "Permissions for using cross-Region inference with
    Guardrails")."""
    regions: Sequence[str] = ()
    """Regions to which its profile may route content."""

    @property
    def condition(self) -> dict[str, Any]:
        return {"bedrock:GuardrailIdentifier": self.identifiers}


@dataclass(frozen=True)
class RequiredNetwork:
    """The VPC from whose endpoints calls must come.

    When Bedrock routes a call to another region, it asks IAM again there, and `aws:RequestedRegion` is the
    destination (AWS samples, service-control-policy-examples #26, tried on an organisation, 2026-04). AWS does not
    document whether that request still has `aws:SourceVpc`. `own-region` does not depend on it: a call enters
    through an application profile in its own region, from the VPC, and is routed through that profile only.
    """

    vpc: pulumi.Input[str]
    condition: str = "own-region"
    """`own-region`: the VPC is required in the calling region only. `every-region`: also in regions to which
    Bedrock routes."""


def call_policy(
    models: list[BedrockModel],
    model_ids: Mapping[str, Any],
    bought: set[str],
    account: pulumi.Input[str],
    guardrail: RequiredGuardrail | None,
    network: RequiredNetwork | None,
) -> dict[str, Any]:
    """The role's policy: the models it may call, models that it may reach only through profiles, and two denials.

    `model_ids`: ARN to call, by `model_key`. `bought`: ids of endpoints with provisioned throughput.
    """
    condition = guardrail.condition if guardrail else {}
    called_arns = list({id(arn): arn for arn in model_ids.values()}.values())
    statements = [
        _allow("Call", INVOKE, called_arns, condition),
        *_routed_statements(
            [model for model in models if model["id"] not in bought], model_ids, account, condition
        ),
    ]
    denied_actions = list(INVOKE)
    if guardrail:
        statements += _guardrail_statements(guardrail)
        denied_actions.append("bedrock:ApplyGuardrail")
    if network:
        guardrail_regions = guardrail.regions if guardrail else ()
        statements += _network_denials(network, denied_actions, models, guardrail_regions, account)
    return {"Version": "2012-10-17", "Statement": statements}


def _routed_statements(
    models: list[BedrockModel],
    model_ids: Mapping[str, Any],
    account: pulumi.Input[str],
    condition: dict[str, Any],
) -> list[dict[str, Any]]:
    """Models and system profiles that may be reached through application profiles only.

    For a call through an application profile, IAM checks the profile, the system profile that it copies, and the
    model in each destination region. `bedrock:InferenceProfileArn` is then the application profile (Bedrock user
    guide, prerequisites for inference profiles; "Enforce Amazon Bedrock usage through tagged application inference
    profiles", AWS re:Post; read 2026-11).
    """
    routes: dict[tuple[str, ...], tuple[list[Any], list[Any]]] = {}
    for model in models:
        profile = model.get("inference_profile")
        regions = model.get("destination_regions") or [model["region"]]
        route = (model["model"], model["region"], profile or "", *regions)
        underlying: list[Any] = [foundation_arn(region, model["model"]) for region in regions]
        if profile:
            underlying.append(source_arn(model, account))
        routes.setdefault(route, (underlying, []))[1].append(model_ids[model_key(model)])
    return [
        _allow(
            f"OnlyThrough{index}", INVOKE, underlying, {"bedrock:InferenceProfileArn": callers, **condition}
        )
        for index, (underlying, callers) in enumerate(routes.values())
    ]


def _guardrail_statements(guardrail: RequiredGuardrail) -> list[dict[str, Any]]:
    """Allow the guardrail, and deny calls without it."""
    return [
        _allow("ApplyGuardrail", ["bedrock:ApplyGuardrail"], [guardrail.arn, *guardrail.profiles], {}),
        _deny("NoCallPastTheGuardrail", INVOKE, guardrail.condition),
        *([open_guardrail(guardrail.key)] if guardrail.key is not None else []),
    ]


def _network_denials(
    network: RequiredNetwork,
    actions: list[str],
    models: Sequence[BedrockModel],
    guardrail_regions: Sequence[str],
    account: pulumi.Input[str],
) -> list[dict[str, Any]]:
    """Deny calls from outside the VPC."""
    other_regions = routed_regions(models, guardrail_regions)
    if network.condition == "every-region" or not other_regions:
        return [_deny("NoCallFromElsewhere", actions, {"aws:SourceVpc": network.vpc})]
    required = {"aws:SourceVpc": network.vpc, "aws:RequestedRegion": other_regions}
    own_regions = sorted({model["region"] for model in models})
    return [
        _deny("NoCallFromElsewhere", actions, required),
        _deny_without_profile(own_regions, other_regions, account),
    ]


def routed_regions(models: Sequence[BedrockModel], guardrail_regions: Sequence[str] = ()) -> list[str]:
    """Other regions to which Bedrock may route calls. `guardrail_regions`: regions of a guardrail's profile."""
    own_regions = {model["region"] for model in models}
    routed = {region for model in models for region in model.get("destination_regions") or []}
    return sorted((routed | set(guardrail_regions)) - own_regions)


def _deny_without_profile(
    own_regions: list[str], other_regions: list[str], account: pulumi.Input[str]
) -> dict[str, Any]:
    """Deny calls in a destination region that do not come through an application profile of the account's own
    regions.
    """
    profiles = [bedrock_arn(region, account, "application-inference-profile/*") for region in own_regions]
    return {
        "Sid": "NoCallPastTheProfile",
        "Effect": "Deny",
        "Action": INVOKE,
        "Resource": "*",
        "Condition": {
            "StringEquals": {"aws:RequestedRegion": other_regions},
            "ArnNotLike": {"bedrock:InferenceProfileArn": profiles},
        },
    }


def _allow(sid: str, actions: list[str], resources: list[Any], condition: dict[str, Any]) -> dict[str, Any]:
    statement: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": {"StringEquals": condition}} if condition else statement


def _deny(sid: str, actions: list[str], required: dict[str, Any]) -> dict[str, Any]:
    """A denial of everything if a key has another value or is missing in the request."""
    condition = {"StringNotEquals": required}
    return {"Sid": sid, "Effect": "Deny", "Action": actions, "Resource": "*", "Condition": condition}


def model_key(model: BedrockModel) -> str:
    return f"{model['id']}--{model['workload']}"


def bedrock_arn(region: str, account: pulumi.Input[str], resource: str) -> pulumi.Input[str]:
    """The ARN of a resource of the account on Bedrock. A plain string if the account is one."""
    form = f"arn:{partition(region)}:bedrock:{region}:{{}}:{resource}"
    return form.format(account) if isinstance(account, str) else pulumi.Output.format(form, account)


def foundation_arn(region: str, model: str) -> str:
    return f"arn:{partition(region)}:bedrock:{region}::foundation-model/{model}"


def source_arn(model: BedrockModel, account: pulumi.Input[str]) -> pulumi.Input[str]:
    """The source of an application profile: the system profile, or the model in its region."""
    profile = model.get("inference_profile")
    if not profile:
        return foundation_arn(model["region"], model["model"])
    return bedrock_arn(model["region"], account, f"inference-profile/{profile}")


def attach(
    name: str, policy: dict[str, Any], role: pulumi.Input[str], where: str, opts: pulumi.ResourceOptions
) -> None:
    """Attach the policy of the identity `name` to its role. Raises `InputError` if it is longer than IAM allows."""
    from pulumi_aws.iam import RolePolicy

    RolePolicy(
        f"{name}-policy",
        # The role is shared: another region's access may attach its policy too.
        name=aws_name(f"{name}-policy", 128),
        role=role,
        policy=pulumi.Output.json_dumps(policy).apply(
            lambda text: compact_policy(text, where, INLINE_CHARACTERS)
        ),
        opts=opts,
    )
