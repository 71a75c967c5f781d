"""The component BedrockAccess: which Bedrock models a class's translator may call, and with which guardrail."""

import json
import re
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.bedrock.call_policy import (
    INLINE_CHARACTERS,
    BedrockModel,
    RequiredGuardrail,
    RequiredNetwork,
    attach,
    bedrock_arn,
    call_policy,
    foundation_arn,
    model_key,
    source_arn,
)
from components.aws.bedrock.guardrail import UNFILTERED, GuardrailInUse, GuardrailSettings, guardrail
from components.aws.common.names import aws_name
from components.aws.identity.boundary import compact_policy
from components.base.argument_checks import check_choice, check_sensitivity, may_use_aws
from isthmus.contracts.reference import guardrail_tiers
from isthmus.core.errors import InputError

_COMMITMENTS = {"none": None, "one-month": "OneMonth", "six-months": "SixMonths"}


class ProvisionedSettings(TypedDict):
    """Provisioned throughput of a model."""

    name: str
    """Name of the provisioned throughput."""
    endpoint: str
    """Id of the endpoint, whose calls all use it."""
    model_units: int
    """Number of model units."""
    commitment: str
    """Term: `none`, `one-month` or `six-months`. AWS does not delete it earlier."""


CONDITIONS = ("own-region", "every-region")


class BedrockAccessArgs(TypedDict):
    """The Bedrock models that a class's translator may call."""

    name: str
    """Name of the identity."""
    sensitivity: str
    """The class whose translator assumes the role."""
    role: pulumi.Input[str]
    """Name of the role that gets the policy."""
    models: list[BedrockModel]
    """The models that it may call, with the workload of each."""
    guardrail: NotRequired[GuardrailSettings]
    """The guardrail that every call must use. Absent: none."""
    provisioned: NotRequired[list[ProvisionedSettings]]
    """Provisioned throughput for endpoints among the models."""
    source_vpc: NotRequired[pulumi.Input[str]]
    """Id of the VPC from whose endpoints calls must come. Absent: from anywhere."""
    network_condition: NotRequired[str]
    """Where the VPC is required: `own-region` (default), the calling region; `every-region`, destinations too."""
    exception: NotRequired[str]
    """Reference of the recorded exception that allows a confidential class to use AWS."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class BedrockAccess(pulumi.ComponentResource):
    """An application inference profile for each workload and model, the class's guardrail, and the role's policy.

    A profile has the tags of its workload, so AWS's bill shows the cost of each workload. Models cannot be called
    without their profile, without the guardrail, or from another network.
    """

    guardrail_id: pulumi.Output[str]
    """ARN of the guardrail. Empty without one."""
    guardrail_version: pulumi.Output[str]
    """Version that calls must use. Empty without a guardrail."""
    model_ids: pulumi.Output[dict[str, str]]
    """ARN to call, by `ENDPOINT--WORKLOAD`: an inference profile or provisioned throughput."""
    model_arns: pulumi.Output[list[str]]
    """ARNs of everything that may be invoked, and of the guardrail: for a private endpoint's policy."""
    retained: pulumi.Output[list[str]]
    """ARNs of resources that a destroy retains: provisioned throughput, which AWS deletes at the end of its term."""

    def __init__(
        self, name: str, args: BedrockAccessArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:BedrockAccess", name, dict(args), opts)
        from pulumi_aws import get_caller_identity_output

        where = f"identities.{args['name']}"
        sensitivity = check_sensitivity(args["sensitivity"], where)
        may_use_aws(sensitivity, where, args.get("exception", ""))
        _check(args, where)
        self._name, self._child = name, pulumi.ResourceOptions(parent=self)
        self._tags = {**args.get("tags", {}), "isthmus.dev/class": sensitivity}
        self._account = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id
        self._retained: list[pulumi.Output[str]] = []
        # The guardrail first, so that errors in its settings are reported before anything is created.
        guardrail_in_use = self._guardrail(args, where)
        bought = self._provisioned(args)
        model_ids = {
            model_key(model): bought.get(model["id"]) or self._profile(model) for model in args["models"]
        }
        policy = call_policy(
            args["models"],
            model_ids,
            set(bought),
            self._account,
            _required_guardrail(args, guardrail_in_use),
            _required_network(args, where),
        )
        attach(self._name, policy, args["role"], f"{where} (policy)", self._child)
        self.model_ids = pulumi.Output.all(**model_ids)
        self._set_outputs(policy, guardrail_in_use)

    def _set_outputs(self, policy: dict[str, Any], guardrail_in_use: GuardrailInUse | None) -> None:
        no_guardrail = pulumi.Output.from_input("")
        self.guardrail_id = guardrail_in_use.arn if guardrail_in_use else no_guardrail
        self.guardrail_version = guardrail_in_use.version if guardrail_in_use else no_guardrail
        invocable_arns = [
            arn
            for statement in policy["Statement"]
            if statement["Effect"] == "Allow" and statement["Action"] != ["kms:Decrypt"]
            for arn in statement["Resource"]
        ]
        self.model_arns = pulumi.Output.all(*invocable_arns).apply(lambda arns: sorted(set(arns)))
        self.retained = pulumi.Output.all(*self._retained)
        self.register_outputs(
            {
                "guardrail_id": self.guardrail_id,
                "guardrail_version": self.guardrail_version,
                "model_ids": self.model_ids,
                "model_arns": self.model_arns,
                "retained": self.retained,
            }
        )

    def _guardrail(self, args: BedrockAccessArgs, where: str) -> GuardrailInUse | None:
        settings = args.get("guardrail")
        if settings is None:
            return None
        region = args["models"][0]["region"]

        def arn_in(resource_region: str, resource: str) -> pulumi.Input[str]:
            return bedrock_arn(resource_region, self._account, resource)

        return guardrail(self._name, settings, f"{where}.guardrail", region, arn_in, self._tags, self._child)

    def _provisioned(self, args: BedrockAccessArgs) -> dict[str, pulumi.Output[str]]:
        """ARNs of provisioned throughput by endpoint."""
        from pulumi_aws.bedrock import ProvisionedModelThroughput

        arns: dict[str, pulumi.Output[str]] = {}
        for purchase in args.get("provisioned", []):
            models = [model for model in args["models"] if model["id"] == purchase["endpoint"]]
            model, workloads = models[0], {model["workload"] for model in models}
            commitment = _COMMITMENTS[purchase["commitment"]]
            # Workloads share it. Only if there is a single one does it have the workload's name.
            workload_tag = {"isthmus.dev/workload": workloads.pop()} if len(workloads) == 1 else {}
            bought = ProvisionedModelThroughput(
                f"{self._name}-{purchase['name']}",
                provisioned_model_name=aws_name(
                    f"{self._name}-{purchase['name']}",
                    63,
                    model["model"],
                    purchase["model_units"],
                    commitment,
                ),
                model_arn=foundation_arn(model["region"], model["model"]),
                model_units=purchase["model_units"],
                commitment_duration=commitment,
                region=model["region"],
                tags={**self._tags, **workload_tag},
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=commitment is not None),
            )
            arns[purchase["endpoint"]] = bought.provisioned_model_arn
            if commitment is not None:
                self._retained.append(bought.provisioned_model_arn)
        return arns

    def _profile(self, model: BedrockModel) -> pulumi.Output[str]:
        """ARN of the profile with which one workload calls one model."""
        from pulumi_aws.bedrock import InferenceProfile

        source = source_arn(model, self._account)
        within = model.get("inference_profile") or model["model"]
        profile = InferenceProfile(
            f"{self._name}-{model['id']}-{model['workload']}",
            # Another source creates a new profile beside the old one.
            name=aws_name(f"{model['workload']}-{model['id']}-{self._name}", 64, within, model["region"]),
            # AWS refuses two consecutive special characters.
            description=re.sub(r"-{2,}", "-", f"{model['id']} for {model['workload']}"),
            model_source={"copy_from": source},
            region=model["region"],
            tags={**self._tags, "isthmus.dev/workload": model["workload"]},
            opts=self._child,
        )
        return profile.arn


def _check(args: BedrockAccessArgs, where: str) -> None:
    if not args["models"]:
        raise InputError(
            "the identity lists no models", where=where, fix="Add the models that its class calls on Bedrock"
        )
    for model in args["models"]:
        _check_model(model, where)
    keys = [model_key(model) for model in args["models"]]
    duplicates = sorted({key for key in keys if keys.count(key) > 1})
    if duplicates:
        raise InputError(
            f"{', '.join(duplicates)}: listed twice", where=f"{where}.models", fix="Remove one of the entries"
        )
    regions = sorted({model["region"] for model in args["models"]})
    has_guardrail = args.get("guardrail", {}).get("mode", "off") != "off"
    if has_guardrail and len(regions) > 1:
        raise InputError(
            f"one guardrail cannot filter calls in {' and '.join(regions)}",
            where=f"{where}.guardrail",
            fix="Create one identity per region: a call is filtered by a guardrail of its own region",
        )
    unfiltered_models = [
        model["id"] for model in args["models"] if any(kind in model["model"] for kind in UNFILTERED)
    ]
    if has_guardrail and unfiltered_models:
        raise InputError(
            f"{', '.join(unfiltered_models)}: a guardrail is set, but Bedrock applies none to this model",
            where=f"{where}.guardrail",
            fix="Serve embeddings, reranking and speech on-prem, or without a guardrail",
        )
    endpoints = {model["id"] for model in args["models"]}
    bought: set[str] = set()
    for index, purchase in enumerate(args.get("provisioned", [])):
        place = f"{where}.provisioned.{index}"
        check_choice(purchase["commitment"], tuple(_COMMITMENTS), f"{place}.commitment")
        if purchase["endpoint"] not in endpoints:
            raise InputError(
                f"'{purchase['endpoint']}' is not an endpoint of this identity",
                where=place,
                fix=f"Use one of its endpoints: {', '.join(sorted(endpoints))}",
            )
        if purchase["endpoint"] in bought or purchase["model_units"] < 1:
            raise InputError(
                f"'{purchase['endpoint']}' has throughput twice, or less than one unit",
                where=place,
                fix="Buy all units of an endpoint in one entry, with at least 1 unit",
            )
        bought.add(purchase["endpoint"])
    _check_length(args, bought, where)


def _required_guardrail(
    args: BedrockAccessArgs, guardrail_in_use: GuardrailInUse | None
) -> RequiredGuardrail | None:
    """The guardrail that the policy requires. None without a guardrail."""
    if guardrail_in_use is None:
        return None
    return RequiredGuardrail(
        guardrail_in_use.arn,
        guardrail_in_use.identifiers(),
        args.get("guardrail", {}).get("kms_key"),
        guardrail_in_use.profiles,
        _guardrail_regions(args),
    )


def _required_network(args: BedrockAccessArgs, where: str) -> RequiredNetwork | None:
    """The VPC that the policy requires. None: calls may come from anywhere."""
    condition = check_choice(
        args.get("network_condition", "own-region"), CONDITIONS, f"{where}.network_condition"
    )
    vpc = args.get("source_vpc")
    return RequiredNetwork(vpc, condition) if vpc is not None else None


def _guardrail_regions(args: BedrockAccessArgs) -> tuple[str, ...]:
    """Regions in which a created guardrail checks content. Empty in the Classic tier, which stays in its region."""
    settings = args.get("guardrail")
    if settings is None or settings["mode"] != "manage" or settings.get("tier") != "standard":
        return ()
    return guardrail_tiers.guardrail_profile(args["models"][0]["region"])[1]


def _check_length(args: BedrockAccessArgs, bought: set[str], where: str) -> None:
    """Compute the policy's length with ARNs of AWS's maximum length, so that a policy that is too long fails before
    anything is created.
    """
    account = "0" * 12
    model_ids = {
        model_key(model): bedrock_arn(model["region"], account, f"application-inference-profile/{index:012}")
        for index, model in enumerate(args["models"])
    }
    network = None
    if args.get("source_vpc") is not None:
        network = RequiredNetwork(f"vpc-{0:017}", args.get("network_condition", "own-region"))
    guardrail = _longest_guardrail(args, account)
    policy = call_policy(args["models"], model_ids, bought, account, guardrail, network)
    compact_policy(json.dumps(policy), f"{where} (policy)", INLINE_CHARACTERS)


def _longest_guardrail(args: BedrockAccessArgs, account: str) -> RequiredGuardrail | None:
    """The guardrail with ARNs of AWS's maximum length. None if it is off."""
    settings = args.get("guardrail")
    if settings is None or settings["mode"] == "off":
        return None
    arn = bedrock_arn(args["models"][0]["region"], account, f"guardrail/{0:012}")
    versions = ("1", *settings.get("earlier_versions", []))
    regions = _guardrail_regions(args)
    profiles = [
        bedrock_arn(region, account, f"guardrail-profile/{guardrail_tiers.guardrail_profile(region)[0]}")
        for region in regions
    ]
    identifiers = [f"{arn}:{version}" for version in versions]
    return RequiredGuardrail(arn, identifiers, profiles=profiles, regions=regions)


def _check_model(model: BedrockModel, where: str) -> None:
    place = f"{where}.models.{model['id']}"
    profile = model.get("inference_profile")
    if "*" in model["model"] + (profile or ""):
        raise InputError("a wildcard matches more than one model", where=place, fix="Set the exact model id")
    if profile and profile.startswith("global."):
        raise InputError(
            f"inference profile '{profile}' routes to every commercial region, including future ones",
            where=place,
            fix="Use a geographic profile (eu., us., …), whose destinations are fixed",
        )
    if profile and not model.get("destination_regions"):
        raise InputError(
            f"inference profile '{profile}' has no destination regions",
            where=place,
            fix="List every region that it may route to in destination_regions",
        )
