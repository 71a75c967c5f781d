"""What a class's translator may call on Amazon Bedrock, on whose account, and through which guardrail."""

import json
import re
from typing import NotRequired, TypedDict

import pulumi

from components.aws.bedrock.guardrail import UNFILTERED, GuardrailInUse, GuardrailSettings, guardrail
from components.aws.common.names import aws_name
from components.aws.identity.bedrock_policy import (
    INLINE_CHARACTERS,
    BedrockModel,
    bedrock_arn,
    call_policy,
    foundation_arn,
    model_key,
    source_arn,
)
from components.aws.identity.boundary import fitting
from components.base.argument_checks import may_use_aws, one_of, sensitivity
from isthmus.contracts.reference import guardrail_tiers
from isthmus.core.errors import InputError

_COMMITMENTS = {"none": None, "one-month": "OneMonth", "six-months": "SixMonths"}


class ProvisionedSettings(TypedDict):
    """Throughput of a model that is bought ahead."""

    name: str
    """Name of it."""
    endpoint: str
    """Id of the endpoint, whose calls all go to it."""
    model_units: int
    """How many units."""
    commitment: str
    """`none`, `one-month` or `six-months`: AWS deletes it no earlier."""


CONDITIONS = ("own-region", "every-region")


class BedrockAccessArgs(TypedDict):
    """What a class's translator may call on Amazon Bedrock."""

    name: str
    """Name of the identity."""
    sensitivity: str
    """The class whose translator assumes the role."""
    role: pulumi.Input[str]
    """Name of the role that gets the policy."""
    models: list[BedrockModel]
    """The models that it may call, each for one workload."""
    guardrail: NotRequired[GuardrailSettings]
    """The guardrail that every call must name; absent: none."""
    provisioned: NotRequired[list[ProvisionedSettings]]
    """Throughput bought ahead, for endpoints among the models."""
    source_vpc: NotRequired[pulumi.Input[str]]
    """Id of the VPC whose endpoints calls must come through; absent: from anywhere."""
    network_condition: NotRequired[str]
    """Where calls must name the VPC: `own-region` (default), where they are made; `every-region`, where routed too."""
    exception: NotRequired[str]
    """Reference of the recorded exception by which a confidential class may use AWS."""
    tags: NotRequired[dict[str, str]]
    """Tags of what is made."""


class BedrockAccess(pulumi.ComponentResource):
    """An application inference profile for each workload and model, the class's guardrail, and the policy.

    A profile bears its workload's tags, so that AWS's bill can be told apart by them. Models cannot be
    called past their profiles, nor without the guardrail, nor from another network.
    """

    guardrail_id: pulumi.Output[str]
    """ARN of the guardrail; empty without one."""
    guardrail_version: pulumi.Output[str]
    """The version that calls must name; empty without one."""
    model_ids: pulumi.Output[dict[str, str]]
    """What is called, by `ENDPOINT--WORKLOAD`: the ARN of a profile or of throughput bought ahead."""
    model_arns: pulumi.Output[list[str]]
    """All that may be invoked, directly or through it, and the guardrail: for a private endpoint's policy."""
    retained: pulumi.Output[list[str]]
    """ARNs of what is left when the stack is destroyed: AWS deletes no throughput before its time."""

    def __init__(
        self, name: str, args: BedrockAccessArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:BedrockAccess", name, dict(args), opts)
        from pulumi_aws import get_caller_identity_output
        from pulumi_aws.iam import RolePolicy

        where = f"identities.{args['name']}"
        held = sensitivity(args["sensitivity"], where)
        may_use_aws(held, where, args.get("exception", ""))
        _check(args, where)
        self._name, self._child = name, pulumi.ResourceOptions(parent=self)
        self._tags = {**args.get("tags", {}), "isthmus.dev/class": held}
        self._account = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id
        self._kept: list[pulumi.Output[str]] = []
        # The guardrail first: what is wrong with its settings is said before anything is made.
        filtered = self._guardrail(args, where)
        bought = self._provisioned(args)
        called = {
            model_key(model): bought.get(model["id"]) or self._profile(model) for model in args["models"]
        }
        guarded = (filtered.arn, filtered.named()) if filtered else None
        vpc = args.get("source_vpc")
        key = args.get("guardrail", {}).get("kms_key")
        condition = one_of(
            args.get("network_condition", "own-region"), CONDITIONS, f"{where}.network_condition"
        )
        policy = call_policy(
            args["models"],
            called,
            set(bought),
            guarded,
            vpc,
            self._account,
            key,
            filtered.profiles if filtered else (),
            _guardrail_regions(args),
            condition,
        )
        RolePolicy(
            f"{name}-policy",
            # The role is not ours alone: another region's access may write its policy there too.
            name=aws_name(f"{name}-policy", 128),
            role=args["role"],
            policy=pulumi.Output.json_dumps(policy).apply(
                lambda text: fitting(text, f"{where} (policy)", INLINE_CHARACTERS)
            ),
            opts=self._child,
        )
        self.guardrail_id = filtered.arn if filtered else pulumi.Output.from_input("")
        self.guardrail_version = filtered.version if filtered else pulumi.Output.from_input("")
        self.model_ids = pulumi.Output.all(**called)
        reached = [
            arn
            for each in policy["Statement"]
            if each["Effect"] == "Allow" and each["Action"] != ["kms:Decrypt"]
            for arn in each["Resource"]
        ]
        self.model_arns = pulumi.Output.all(*reached).apply(lambda arns: sorted(set(arns)))
        self.retained = pulumi.Output.all(*self._kept)
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

        def named(of: str, rest: str) -> pulumi.Input[str]:
            return bedrock_arn(of, self._account, rest)

        return guardrail(self._name, settings, f"{where}.guardrail", region, named, self._tags, self._child)

    def _provisioned(self, args: BedrockAccessArgs) -> dict[str, pulumi.Output[str]]:
        """ARNs of throughput bought ahead, by endpoint."""
        from pulumi_aws.bedrock import ProvisionedModelThroughput

        made: dict[str, pulumi.Output[str]] = {}
        for each in args.get("provisioned", []):
            served = [model for model in args["models"] if model["id"] == each["endpoint"]]
            model, workloads = served[0], {model["workload"] for model in served}
            commitment = _COMMITMENTS[each["commitment"]]
            # Shared by its workloads: only where there is one does it bear its name.
            alone = {"isthmus.dev/workload": workloads.pop()} if len(workloads) == 1 else {}
            bought = ProvisionedModelThroughput(
                f"{self._name}-{each['name']}",
                provisioned_model_name=aws_name(
                    f"{self._name}-{each['name']}", 63, model["model"], each["model_units"], commitment
                ),
                model_arn=foundation_arn(model["region"], model["model"]),
                model_units=each["model_units"],
                commitment_duration=commitment,
                region=model["region"],
                tags={**self._tags, **alone},
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=commitment is not None),
            )
            made[each["endpoint"]] = bought.provisioned_model_arn
            if commitment is not None:
                self._kept.append(bought.provisioned_model_arn)
        return made

    def _profile(self, model: BedrockModel) -> pulumi.Output[str]:
        """ARN of the profile by which one workload calls one model."""
        from pulumi_aws.bedrock import InferenceProfile

        source = source_arn(model, self._account)
        within = model.get("inference_profile") or model["model"]
        made = InferenceProfile(
            f"{self._name}-{model['id']}-{model['workload']}",
            # Where the source changes the profile is made anew, beside the old one.
            name=aws_name(f"{model['workload']}-{model['id']}-{self._name}", 64, within, model["region"]),
            # AWS takes no two signs in a row.
            description=re.sub(r"-{2,}", "-", f"{model['id']} for {model['workload']}"),
            model_source={"copy_from": source},
            region=model["region"],
            tags={**self._tags, "isthmus.dev/workload": model["workload"]},
            opts=self._child,
        )
        return made.arn


def _check(args: BedrockAccessArgs, where: str) -> None:
    if not args["models"]:
        raise InputError("names no models", where=where, fix="Name those that its class calls on Bedrock")
    for model in args["models"]:
        _check_model(model, where)
    keys = [model_key(model) for model in args["models"]]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise InputError(f"{', '.join(twice)}: named twice", where=f"{where}.models", fix="Leave one out")
    regions = sorted({model["region"] for model in args["models"]})
    filtered = args.get("guardrail", {}).get("mode", "off") != "off"
    if filtered and len(regions) > 1:
        raise InputError(
            f"one guardrail for calls in {' and '.join(regions)}",
            where=f"{where}.guardrail",
            fix="A call is filtered by a guardrail of its own region: make an identity for each",
        )
    bare = [model["id"] for model in args["models"] if any(kind in model["model"] for kind in UNFILTERED)]
    if filtered and bare:
        raise InputError(
            f"{', '.join(bare)}: a model that takes no guardrail, among those that may be called with it only",
            where=f"{where}.guardrail",
            fix="Serve embeddings, reranking and speech on-prem, or without a guardrail",
        )
    endpoints = {model["id"] for model in args["models"]}
    bought: set[str] = set()
    for at, each in enumerate(args.get("provisioned", [])):
        place = f"{where}.provisioned.{at}"
        one_of(each["commitment"], tuple(_COMMITMENTS), f"{place}.commitment")
        if each["endpoint"] not in endpoints:
            raise InputError(
                f"'{each['endpoint']}' is none of its endpoints",
                where=place,
                fix=f"Its endpoints: {', '.join(sorted(endpoints))}",
            )
        if each["endpoint"] in bought or each["model_units"] < 1:
            raise InputError(
                f"'{each['endpoint']}' has throughput twice, or less than one unit",
                where=place,
                fix="Buy all units of an endpoint in one",
            )
        bought.add(each["endpoint"])
    _check_length(args, bought, where)


def _guardrail_regions(args: BedrockAccessArgs) -> tuple[str, ...]:
    """Where a guardrail made here looks at content; none in the Classic tier, which stays in its region."""
    settings = args.get("guardrail")
    if settings is None or settings["mode"] != "manage" or settings.get("tier") != "standard":
        return ()
    return guardrail_tiers.profile(args["models"][0]["region"])[1]


def _check_length(args: BedrockAccessArgs, bought: set[str], where: str) -> None:
    """The policy with ARNs of the length that AWS gives: too long is said before anything is made."""
    account = "0" * 12
    called = {
        model_key(model): bedrock_arn(model["region"], account, f"application-inference-profile/{at:012}")
        for at, model in enumerate(args["models"])
    }
    settings, guarded = args.get("guardrail"), None
    if settings is not None and settings["mode"] != "off":
        arn = bedrock_arn(args["models"][0]["region"], account, f"guardrail/{0:012}")
        versions = ("1", *settings.get("earlier_versions", []))
        guarded = (arn, [f"{arn}:{version}" for version in versions])
    vpc = None if args.get("source_vpc") is None else f"vpc-{0:017}"
    profiles: list[str] = []
    for each in _guardrail_regions(args):
        profile = guardrail_tiers.profile(each)[0]
        profiles.append(str(bedrock_arn(each, account, f"guardrail-profile/{profile}")))
    condition = args.get("network_condition", "own-region")
    policy = call_policy(
        args["models"],
        called,
        bought,
        guarded,
        vpc,
        account,
        None,
        profiles,
        _guardrail_regions(args),
        condition,
    )
    fitting(json.dumps(policy), f"{where} (policy)", INLINE_CHARACTERS)


def _check_model(model: BedrockModel, where: str) -> None:
    place = f"{where}.models.{model['id']}"
    profile = model.get("inference_profile")
    if "*" in model["model"] + (profile or ""):
        raise InputError("a wildcard names more than one model", where=place, fix="Name the model itself")
    if profile and profile.startswith("global."):
        raise InputError(
            f"inference profile '{profile}' routes to every commercial region, those to come included",
            where=place,
            fix="Use a geographic profile (eu., us., …), whose destinations are fixed",
        )
    if profile and not model.get("destination_regions"):
        raise InputError(
            f"inference profile '{profile}' names no destination regions",
            where=place,
            fix="Name every region that it may route to (destination_regions)",
        )
