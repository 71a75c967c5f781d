"""Whether every AWS resource has the tags of its stack."""

from __future__ import annotations

import functools

from isthmus.graph.resources.resources import Fault, Graph

TYPES_WITHOUT_TAGS = frozenset(
    (
        "aws:bedrock/guardrailVersion:GuardrailVersion",
        "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration",
        "aws:cloudwatch/eventTarget:EventTarget",
        "aws:cloudwatch/logMetricFilter:LogMetricFilter",
        "aws:costexplorer/costAllocationTag:CostAllocationTag",
        "aws:ec2/route:Route",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:ec2transitgateway/route:Route",
        "aws:ec2transitgateway/routeTableAssociation:RouteTableAssociation",
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:route53/record:Record",
        "aws:route53/resolverFirewallConfig:ResolverFirewallConfig",
        "aws:route53/resolverFirewallRule:ResolverFirewallRule",
        "aws:route53/resolverQueryLogConfigAssociation:ResolverQueryLogConfigAssociation",
        "aws:route53/resolverRuleAssociation:ResolverRuleAssociation",
        "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "aws:s3/bucketVersioning:BucketVersioning",
        "aws:sns/topicPolicy:TopicPolicy",
        "aws:sns/topicSubscription:TopicSubscription",
    )
)
"""Types without tags that stacks use. Listed here, because loading pulumi-aws to ask takes a second."""


def everything_is_tagged(graph: Graph) -> list[Fault]:
    """Find AWS resources without the two tags (stack, and name in the stack), although their type supports tags."""
    broken: list[Fault] = []
    for resource in graph.resources:
        tags = resource.inputs.get("tags") or {}
        is_tagged = tags.get("isthmus-resource") == resource.name and tags.get("isthmus-stack")
        if (
            resource.type.startswith("aws:")
            and not is_tagged
            and resource.type not in TYPES_WITHOUT_TAGS
            and bears_tags(resource.type)
        ):
            broken.append(Fault(f"{resource.type} {resource.name} bears no tags of the stack's", resource))
    return broken


@functools.cache
def bears_tags(token: str) -> bool:
    """Whether a type supports tags, by pulumi-aws."""
    import importlib
    import inspect
    import keyword

    package, path, name = token.split(":")
    folder = path.split("/")[0]
    # A module that would be called like a word of Python ends with an underscore: `lambda_`.
    module = importlib.import_module(f"pulumi_{package}.{folder}{'_' if keyword.iskeyword(folder) else ''}")
    parameter = inspect.signature(getattr(module, name)._internal_init).parameters.get("tags")
    return parameter is not None and "Mapping" in str(parameter.annotation)
