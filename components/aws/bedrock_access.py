"""The AWS role by which a class's translator calls its models on Amazon Bedrock, and nothing else."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.checks import may_use_aws, sensitivity
from isthmus.contracts.errors import InputError

ACTIONS = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "RolesAnywhere",
            "Effect": "Allow",
            "Principal": {"Service": "rolesanywhere.amazonaws.com"},
            # The certificate's subject becomes session tags and source identity, for the trail.
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
        }
    ],
}


class BedrockModel(TypedDict):
    """A model of Amazon Bedrock that may be called."""

    id: str
    """Id of the endpoint."""
    model: str
    """Id of the foundation model, e.g. amazon.nova-lite-v1:0."""
    region: str
    """Region in which it is called."""
    inference_profile: NotRequired[str]
    """Id of the inference profile; absent, the model is called in its region itself."""
    destination_regions: NotRequired[list[str]]
    """Every region that the profile may route to; with a profile at least one."""


class BedrockAccessArgs(TypedDict):
    """What a class's translator may call on Amazon Bedrock."""

    sensitivity: str
    """The class whose translator assumes the role."""
    models: list[BedrockModel]
    """The models that it may call."""
    permissions_boundary: NotRequired[pulumi.Input[str]]
    """ARN of the policy that bounds the role, whatever its own policy says."""
    exception: NotRequired[str]
    """Reference of the recorded exception by which a confidential class may use AWS."""
    tags: NotRequired[dict[str, str]]
    """Tags of the role."""


class BedrockAccess(pulumi.ComponentResource):
    """A role that trusts IAM Roles Anywhere, with a policy over the named inference profiles only.

    Trust anchor, profile and credential helper are not part of it yet; no access key stands in for them.
    """

    role_arn: pulumi.Output[str]
    """ARN of the role."""

    def __init__(
        self, name: str, args: BedrockAccessArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:BedrockAccess", name, dict(args), opts)
        from pulumi_aws import get_caller_identity_output
        from pulumi_aws.iam import Role, RolePolicy

        held = sensitivity(args["sensitivity"], name)
        may_use_aws(held, name, args.get("exception", ""))
        for model in args["models"]:
            _check(model, name)
        child = pulumi.ResourceOptions(parent=self)
        account = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id
        role = Role(
            f"{name}-role",
            description=f"Calls the {held} models of Isthmus on Amazon Bedrock",
            assume_role_policy=pulumi.Output.json_dumps(_TRUST),
            max_session_duration=3600,
            permissions_boundary=args.get("permissions_boundary"),
            tags={**args.get("tags", {}), "isthmus.dev/class": held},
            opts=child,
        )
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                statement
                for at, model in enumerate(args["models"])
                for statement in _statements(at, model, account)
            ],
        }
        RolePolicy(f"{name}-policy", role=role.name, policy=pulumi.Output.json_dumps(policy), opts=child)
        self.role_arn = role.arn
        self.register_outputs({"role_arn": self.role_arn})


def _statements(at: int, model: BedrockModel, account: pulumi.Output[str]) -> list[dict[str, Any]]:
    """Leave to call the profile, and through it alone the model in each region that it routes to."""
    region = model["region"]
    profile = model.get("inference_profile")
    regions = model.get("destination_regions") or [region]
    models = [f"arn:{partition(r)}:bedrock:{r}::foundation-model/{model['model']}" for r in regions]
    if not profile:
        return [{"Sid": f"Model{at}", "Effect": "Allow", "Action": ACTIONS, "Resource": models}]
    arn = pulumi.Output.format(
        "arn:{}:bedrock:{}:{}:inference-profile/{}", partition(region), region, account, profile
    )
    return [
        {"Sid": f"Profile{at}", "Effect": "Allow", "Action": ACTIONS, "Resource": [arn]},
        {
            "Sid": f"ModelThroughProfile{at}",
            "Effect": "Allow",
            "Action": ACTIONS,
            "Resource": models,
            "Condition": {"StringEquals": {"bedrock:InferenceProfileArn": arn}},
        },
    ]


def _check(model: BedrockModel, where: str) -> None:
    place = f"{where}.models.{model['id']}"
    profile = model.get("inference_profile")
    if "*" in model["model"] + (profile or ""):
        raise InputError("a wildcard names more than one model", where=place, todo="Name the model itself")
    if profile and not model.get("destination_regions"):
        raise InputError(
            f"inference profile '{profile}' names no destination regions",
            where=place,
            todo="Name every region that it may route to (destination_regions)",
        )


def partition(region: str) -> str:
    """The AWS partition of a region, e.g. `aws-eusc` for the European Sovereign Cloud."""
    for prefix, found in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("eusc-", "aws-eusc")):
        if region.startswith(prefix):
            return found
    return "aws"
