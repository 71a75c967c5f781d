"""Creates the CloudTrail of an account, stored in the audit store and searchable in a log group."""

from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.log_group import LogGroupOptions, create_log_group
from components.aws.common.names import aws_name, partition
from components.aws.common.role_policy import role_policy
from components.aws.identity.boundary import boundary_arn
from components.aws.records.store import CLOUDTRAIL, AuditOptions, Delivery, Store
from isthmus.core.errors import InputError, Refused

PREFIX = "cloudtrail"
"""Folder of the bucket. Other records are beside it."""
BEDROCK_DATA = [
    "AWS::Bedrock::AgentAlias",
    "AWS::Bedrock::AsyncInvoke",
    "AWS::Bedrock::FlowAlias",
    "AWS::Bedrock::FlowExecution",
    "AWS::Bedrock::Guardrail",
    "AWS::Bedrock::InlineAgent",
    "AWS::Bedrock::KnowledgeBase",
    "AWS::Bedrock::Model",
    "AWS::Bedrock::PromptVersion",
    "AWS::Bedrock::Session",
]
"""Resource types of Bedrock's data events: agents, flows, guardrails, knowledge bases, prompts, and model calls
other than InvokeModel and Converse, which are management events. Source: CloudTrail User Guide, "Logging data
events" (read 2026-11-25). `AWS::Bedrock::Prompt`, which other pages mention, is not in this list, and users report
that CloudTrail refuses it. One unknown type would make CloudTrail refuse all selectors."""
SAGEMAKER_DATA = ["AWS::SageMaker::Endpoint"]
"""Model calls on SageMaker. CloudTrail records InvokeEndpointWithResponseStream with this type. For InvokeEndpoint
nothing is documented, but the gateway's own records have it. Source: CloudTrail User Guide, "CloudTrail concepts",
table of data events (read 2026-11-29)."""


class TrailSettings(TypedDict):
    """The trail of the account's API calls."""

    mode: str
    """`manage`: created here. `existing`: the organisation's. `off`: none."""
    organization: bool
    """Whether it is a trail of the whole organisation, created in its management account or CloudTrail's delegate."""
    retention_days: int
    """Retention of the searchable copy in CloudWatch Logs in days. Not shorter than the store's."""
    notify: list[str]
    """`manage`: e-mail addresses that get an alarm when the trail is switched off or weakened."""
    permissions_boundary: NotRequired[pulumi.Input[str]]
    """ARN of the permissions boundary of CloudTrail's role. Absent: one is created."""
    arn: NotRequired[str]
    """`existing`: ARN of the trail, for the outputs."""


@dataclass(frozen=True)
class Trail:
    """The created trail."""

    arn: pulumi.Output[str]
    log_group: pulumi.Output[str]
    """Name of the log group."""
    retained: list[pulumi.Output[str]]
    """ARNs of resources that a destroy retains."""


def check_trail(trail: TrailSettings, store_mode: str, endpoint: str, store_days: int, where: str) -> None:
    """Raise an error for a trail that the store cannot hold, or a searchable copy that is deleted before the
    store's records.
    """
    if store_mode == "off" or endpoint:
        raise InputError(
            "CloudTrail delivers only to a bucket of Amazon S3, but the store is "
            + (f"at {endpoint}" if endpoint else "off"),
            where=f"{where}.trail",
            fix="Set the store of the AWS site to `manage`, or to `existing` with an S3 bucket and no endpoint",
        )
    if trail["retention_days"] < store_days:
        raise Refused(
            f"the trail's searchable copy would be kept {trail['retention_days']} days, but the store's records "
            f"{store_days}",
            where=f"{where}.trail.retention_days",
            fix=f"Set retention_days to {store_days} or more",
        )


def trail_name(name: str) -> str:
    """The trail's name, which is known before creation, so that bucket, key and role can contain it."""
    return aws_name(name, 128)


def delivery(name: str, organization: bool, region: str, account: pulumi.Input[str], parent: Any) -> Delivery:
    """The trail's names before it is created. An organisation's trail belongs to its management account, whoever
    creates it.
    """
    owner: pulumi.Input[str] = account
    folders = [pulumi.Output.from_input(account)]
    if organization:
        from pulumi_aws.organizations import get_organization_output

        organization_info = get_organization_output(opts=pulumi.InvokeOutputOptions(parent=parent))
        owner = organization_info.master_account_id
        folders = [owner, organization_info.id]
    arn = "arn:{}:cloudtrail:{}:{}:trail/{}"
    aws_partition = partition(region)
    return Delivery(
        pulumi.Output.format(arn, aws_partition, region, owner, trail_name(name)),
        pulumi.Output.format(arn, aws_partition, "*", owner, trail_name(name)),
        PREFIX,
        folders,
    )


def make_trail(
    name: str,
    trail: TrailSettings,
    store: Store,
    delivery_names: Delivery,
    options: AuditOptions,
    where: str,
) -> Trail:
    """The trail `trail_name(name)`, its log group, and the role with which it writes there."""
    from pulumi_aws import cloudtrail

    logs = create_log_group(
        name,
        f"/isthmus/{name}-",
        trail["retention_days"],
        f"{where}.trail.retention_days",
        LogGroupOptions(
            options.region, options.account, options.tags, options.retained_opts(), options.kms_key
        ),
    )
    writes = _stream_writes(delivery_names, logs.arn, options.region)
    role, policy = _create_role(name, trail, delivery_names, writes, options)
    trail_resource = cloudtrail.Trail(
        name,
        name=trail_name(name),
        s3_bucket_name=store.bucket,
        s3_key_prefix=delivery_names.prefix,
        is_multi_region_trail=True,
        include_global_service_events=True,
        is_organization_trail=trail["organization"],
        enable_logging=True,
        enable_log_file_validation=True,
        kms_key_id=store.key_arn,
        cloud_watch_logs_group_arn=pulumi.Output.concat(logs.arn, ":*"),
        cloud_watch_logs_role_arn=role.arn,
        advanced_event_selectors=event_selectors(store.bucket_arn, delivery_names.prefix),
        tags=options.tags,
        # CloudTrail tests bucket, key and role at creation, and fails if one of them denies access.
        opts=pulumi.ResourceOptions(parent=options.parent, depends_on=[*store.ready, policy]),
    )
    return Trail(trail_resource.arn, logs.name, logs.made)


def event_selectors(bucket: pulumi.Input[str], prefix: str) -> list[Any]:
    """All management events, read and write (including model calls on Bedrock), and data events of Bedrock,
    SageMaker endpoints and the store.

    Events of the store exclude CloudTrail's own deliveries: each delivery would be an event, which would be
    delivered, and so on.
    """
    objects = pulumi.Output.concat(bucket, "/")
    store_selectors = [{"field": "resources.ARN", "starts_withs": [objects]}]
    delivered_selector = {
        "field": "resources.ARN",
        "starts_withs": [objects],
        "not_starts_withs": [pulumi.Output.concat(objects, prefix, "/")],
    }
    return [
        {
            "name": "Management events",
            "field_selectors": [{"field": "eventCategory", "equals": ["Management"]}],
        },
        *(_data(f"Bedrock {kind.rpartition(':')[2]}", kind, []) for kind in BEDROCK_DATA),
        *(_data(f"SageMaker {kind.rpartition(':')[2]}", kind, []) for kind in SAGEMAKER_DATA),
        _data(
            "Audit store, all but writes",
            "AWS::S3::Object",
            [*store_selectors, {"field": "eventName", "not_equals": ["PutObject"]}],
        ),
        _data(
            "Audit store, writes beside the trail's",
            "AWS::S3::Object",
            [delivered_selector, {"field": "eventName", "equals": ["PutObject"]}],
        ),
    ]


def _data(name: str, kind: str, selectors: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "field_selectors": [
            {"field": "eventCategory", "equals": ["Data"]},
            {"field": "resources.type", "equals": [kind]},
            *selectors,
        ],
    }


def _create_role(
    name: str,
    trail: TrailSettings,
    delivery_names: Delivery,
    writes: dict[str, Any],
    options: AuditOptions,
) -> tuple[Any, Any]:
    """The role that CloudTrail assumes for this trail only, and its policy, which allows `writes`."""
    from pulumi_aws.iam import Role

    child = pulumi.ResourceOptions(parent=options.parent)
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "ThisTrail",
                "Effect": "Allow",
                "Principal": CLOUDTRAIL,
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceArn": delivery_names.trail}},
            }
        ],
    }
    role = Role(
        f"{name}-role",
        name=aws_name(f"{name}-role", 64),
        description=f"CloudTrail writes to the log group of {name}",
        assume_role_policy=pulumi.Output.json_dumps(trust),
        permissions_boundary=boundary_arn(
            name, trail.get("permissions_boundary"), [writes], child, tags=options.tags
        ),
        tags=options.tags,
        opts=child,
    )
    return role, role_policy(f"{name}-role-policy", role, [writes], child)


def _stream_writes(delivery_names: Delivery, group: pulumi.Output[str], region: str) -> dict[str, Any]:
    """The statement with which CloudTrail writes to its own streams of the log group.

    CloudTrail names the stream by the account's id, `_CloudTrail_` and the region. For an organisation's trail the
    name is the organisation's id, `_` and a part that AWS does not document (CloudTrail User Guide, "Role policy
    document for CloudTrail to use CloudWatch Logs for monitoring").
    """
    account, *organizations = delivery_names.folders
    return {
        "Sid": "WriteItsStreams",
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": [
            pulumi.Output.format("{}:log-stream:{}_CloudTrail_{}*", group, account, region),
            *(pulumi.Output.format("{}:log-stream:{}_*", group, id_) for id_ in organizations),
        ],
    }
