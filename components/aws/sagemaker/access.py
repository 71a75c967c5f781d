"""What a class's translator may call on Amazon SageMaker: its own endpoints, and no other."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.identity.boundary import fitting
from components.base.argument_checks import may_use_aws, sensitivity
from isthmus.core.errors import InputError, Refused

CALLS = ["sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream"]
"""Whole answers, and answers as they come."""


class SageMakerAccessArgs(TypedDict):
    """What a class's translator may call on Amazon SageMaker."""

    name: str
    """Name of the identity."""
    sensitivity: str
    """The class whose translator assumes the role."""
    role: pulumi.Input[str]
    """Name of the role that gets the policy."""
    endpoints: list[pulumi.Input[str]]
    """ARNs of the endpoints that it may call."""
    source_vpc: NotRequired[pulumi.Input[str]]
    """Id of the VPC whose endpoints calls must come through; absent: from anywhere."""
    tags: NotRequired[dict[str, str]]
    """Tags of what is made."""


class SageMakerAccess(pulumi.ComponentResource):
    """The role's policy: these endpoints by name, and from another network nothing."""

    endpoint_arns: pulumi.Output[list[str]]
    """All that may be called: for a private endpoint's policy."""

    def __init__(
        self, name: str, args: SageMakerAccessArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:SageMakerAccess", name, dict(args), opts)
        from pulumi_aws.iam import Policy, RolePolicyAttachment

        where = f"identities.{args['name']}"
        may_use_aws(sensitivity(args["sensitivity"], where), where, target="sagemaker")
        if not args["endpoints"]:
            raise InputError("names no endpoints", where=where, fix="Name those that its class calls")
        for at, each in enumerate(args["endpoints"]):
            if isinstance(each, str):
                _named(each, f"{where}.endpoints.{at}")
        self.endpoint_arns = pulumi.Output.all(*args["endpoints"]).apply(
            lambda arns: sorted({_named(each, where) for each in arns})
        )
        child = pulumi.ResourceOptions(parent=self)
        # Beside the inline policies, whose length BedrockAccess counts on for itself.
        policy = Policy(
            f"{name}-sagemaker-policy",
            description=f"{args['name']}: its endpoints on SageMaker",
            policy=pulumi.Output.json_dumps(call_policy(self.endpoint_arns, args.get("source_vpc"))).apply(
                lambda text: fitting(text, f"{where} (policy)")
            ),
            tags={**args.get("tags", {}), "isthmus.dev/class": args["sensitivity"]},
            opts=child,
        )
        RolePolicyAttachment(f"{name}-sagemaker", role=args["role"], policy_arn=policy.arn, opts=child)
        self.register_outputs({"endpoint_arns": self.endpoint_arns})


def call_policy(endpoints: Any, vpc: pulumi.Input[str] | None) -> dict[str, Any]:
    """Leave to call the endpoints, and a denial of any call from elsewhere."""
    statements: list[dict[str, Any]] = [
        {"Sid": "CallEndpoints", "Effect": "Allow", "Action": CALLS, "Resource": endpoints}
    ]
    if vpc is not None:
        statements.append(
            {
                "Sid": "NoCallOfEndpointsFromElsewhere",
                "Effect": "Deny",
                "Action": CALLS,
                "Resource": "*",
                "Condition": {"StringNotEquals": {"aws:SourceVpc": vpc}},
            }
        )
    return {"Version": "2012-10-17", "Statement": statements}


def _named(arn: str, where: str) -> str:
    if ":endpoint/" not in arn or "*" in arn or "?" in arn:
        raise Refused(f"'{arn}' is not one endpoint", where=where, fix="Name each by its ARN")
    return arn
