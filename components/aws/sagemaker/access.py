"""The component SageMakerAccess: which SageMaker endpoints a class's translator may call."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.actions import CALLS
from components.aws.identity.boundary import compact_policy
from components.base.argument_checks import check_sensitivity, may_use_aws
from isthmus.core.errors import InputError, Refused


class SageMakerAccessArgs(TypedDict):
    """The SageMaker endpoints that a class's translator may call."""

    name: str
    """Name of the identity."""
    sensitivity: str
    """The class whose translator assumes the role."""
    role: pulumi.Input[str]
    """Name of the role that gets the policy."""
    endpoints: list[pulumi.Input[str]]
    """ARNs of the endpoints that it may call."""
    source_vpc: NotRequired[pulumi.Input[str]]
    """Id of the VPC from whose endpoints calls must come. Absent: from anywhere."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class SageMakerAccess(pulumi.ComponentResource):
    """The role's policy: it may call these endpoints by name, from the VPC only."""

    endpoint_arns: pulumi.Output[list[str]]
    """ARNs of all endpoints that may be called: for a private endpoint's policy."""

    def __init__(
        self, name: str, args: SageMakerAccessArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:SageMakerAccess", name, dict(args), opts)
        from pulumi_aws.iam import Policy, RolePolicyAttachment

        where = f"identities.{args['name']}"
        may_use_aws(check_sensitivity(args["sensitivity"], where), where, target="sagemaker")
        if not args["endpoints"]:
            raise InputError(
                "the identity lists no endpoints", where=where, fix="Add the endpoints that its class calls"
            )
        for index, endpoint in enumerate(args["endpoints"]):
            if isinstance(endpoint, str):
                _check_endpoint_arn(endpoint, f"{where}.endpoints.{index}")
        self.endpoint_arns = pulumi.Output.all(*args["endpoints"]).apply(
            lambda arns: sorted({_check_endpoint_arn(arn, where) for arn in arns})
        )
        child = pulumi.ResourceOptions(parent=self)
        # A managed policy, because BedrockAccess uses the whole length of the inline policies.
        policy = Policy(
            f"{name}-sagemaker-policy",
            description=f"{args['name']}: its endpoints on SageMaker",
            policy=pulumi.Output.json_dumps(call_policy(self.endpoint_arns, args.get("source_vpc"))).apply(
                lambda text: compact_policy(text, f"{where} (policy)")
            ),
            tags={**args.get("tags", {}), "isthmus.dev/class": args["sensitivity"]},
            opts=child,
        )
        RolePolicyAttachment(f"{name}-sagemaker", role=args["role"], policy_arn=policy.arn, opts=child)
        self.register_outputs({"endpoint_arns": self.endpoint_arns})


def call_policy(endpoints: Any, vpc: pulumi.Input[str] | None) -> dict[str, Any]:
    """Allow calls of the endpoints, and deny calls from outside the VPC."""
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


def _check_endpoint_arn(arn: str, where: str) -> str:
    if ":endpoint/" not in arn or "*" in arn or "?" in arn:
        raise Refused(
            f"'{arn}' is not the ARN of one endpoint", where=where, fix="List each endpoint by its full ARN"
        )
    return arn
