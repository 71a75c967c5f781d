"""CloudWatch alarms on what serves callers in AWS: Bedrock, SageMaker endpoints, and gateways on Fargate.

They say that a part fails, by the name of the Prometheus alert if one has the same condition. How well a workload is
served, its own gateway measures, wherever the model runs.
"""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.names import aws_name, partition
from components.aws.common.topic import Publisher, Topic, check_emails, sealed_topic
from components.aws.sagemaker.rollout import VARIANT
from components.observability.rules import GATEWAY_DOWN, SERVICE_DOWN

BAD_EVENTS = 10
"""Failed or throttled calls within five minutes. Fewer, as in a quiet night, alarm nobody."""
PERIOD_S = 300
SILENT_MINUTES = 3
"""Minutes without a running task. ECS sends no metric of a service without one (Amazon ECS developer guide, "Amazon
ECS CloudWatch metrics", read 2026-12-01)."""
MEMORY_PCT = 90
MEMORY_MINUTES = 15


class WatchedProfile(TypedDict):
    """An application inference profile: the calls of one workload to one model on Bedrock."""

    name: str
    """ENDPOINT--WORKLOAD."""
    profile: pulumi.Input[str]
    """ARN of the profile, or of provisioned throughput."""


class WatchedEndpoint(TypedDict):
    """A SageMaker endpoint."""

    name: str
    """Id of the plan's endpoint."""
    endpoint: pulumi.Input[str]
    """Name of the SageMaker endpoint."""


class WatchedService(TypedDict):
    """An ECS service of a gateway on Fargate."""

    name: str
    """CLASS-TASK, e.g. `internal-edge`."""
    service: pulumi.Input[str]
    """CLUSTER/SERVICE."""


class ServingAlarmsArgs(TypedDict):
    """What is watched at one site, and who is told."""

    name: str
    """Name of the site or account."""
    region: str
    """Region of the site."""
    account: NotRequired[str]
    """Id of the account. Absent: the provider's."""
    notify: list[str]
    """E-mail addresses that get alarms; each must confirm its subscription."""
    profiles: NotRequired[list[WatchedProfile]]
    """Inference profiles on Bedrock."""
    endpoints: NotRequired[list[WatchedEndpoint]]
    """SageMaker endpoints."""
    services: NotRequired[list[WatchedService]]
    """Services of gateways on Fargate."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class ServingAlarms(pulumi.ComponentResource):
    """Alarms on failed and throttled calls of models, on services without a task, and on tasks short of memory.

    All go to one encrypted topic, which sends e-mails and may feed a pager.
    """

    topic_arn: pulumi.Output[str]
    """ARN of the topic of the alarms, for pagers and chats. Empty if nothing is watched."""

    def __init__(
        self, name: str, args: ServingAlarmsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:ServingAlarms", name, dict(args), opts)
        self.topic_arn = pulumi.Output.from_input("")
        where = f"serving_alarms.{args['name']}"
        alarms = _settings(args)
        if alarms:
            emails = check_emails(args["notify"], where, "nobody would be told that a model fails")
            self.topic_arn = self._create(name, args, alarms, emails)
        self.register_outputs({"topic_arn": self.topic_arn})

    def _create(
        self, name: str, args: ServingAlarmsArgs, alarms: dict[str, dict[str, Any]], emails: list[str]
    ) -> pulumi.Output[str]:
        from pulumi_aws import get_caller_identity_output
        from pulumi_aws.cloudwatch import MetricAlarm
        from pulumi_aws.sns import TopicSubscription

        identity = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self))
        account = pulumi.Output.from_input(args.get("account") or identity.account_id)
        tags = args.get("tags", {})
        names = {suffix: aws_name(f"{name}-{suffix}", 255) for suffix in alarms}
        topic = self._topic(name, args["region"], account, list(names.values()), tags)
        for address in emails:
            TopicSubscription(
                f"{name}-{address}",
                topic=topic.arn,
                protocol="email",
                endpoint=address,
                opts=pulumi.ResourceOptions(parent=self),
            )
        options = pulumi.ResourceOptions(parent=self, depends_on=[topic.ready])
        for suffix, settings in alarms.items():
            MetricAlarm(
                f"{name}-{suffix}",
                name=names[suffix],
                alarm_actions=[topic.arn],
                ok_actions=[topic.arn],
                tags=tags,
                opts=options,
                **settings,
            )
        return topic.arn

    def _topic(
        self, name: str, region: str, account: pulumi.Output[str], alarms: list[str], tags: dict[str, str]
    ) -> Topic:
        """The topic, to which these alarms of this account alone publish."""
        arns = [
            pulumi.Output.format(
                "arn:{}:cloudwatch:{}:{}:alarm:{}", partition(region), region, account, alarm
            )
            for alarm in alarms
        ]
        this_account = {"StringEquals": {"aws:SourceAccount": account}}
        publisher = Publisher(
            "Alarms",
            "cloudwatch.amazonaws.com",
            publishing={**this_account, "ArnEquals": {"aws:SourceArn": arns}},
            sealing=this_account,
        )
        return sealed_topic(
            f"{name}-alarms",
            "Isthmus serving",
            [publisher],
            account=account,
            partition=partition(region),
            tags=tags,
            parent=self,
        )


def _settings(args: ServingAlarmsArgs) -> dict[str, dict[str, Any]]:
    """The settings of each alarm, by the suffix of its name."""
    alarms: dict[str, dict[str, Any]] = {}
    for profile in args.get("profiles", []):
        # CloudWatch knows a profile by the last part of its ARN.
        model_id = pulumi.Output.from_input(profile["profile"]).apply(lambda arn: arn.rpartition("/")[2])
        called = _model_name(profile["name"])
        for suffix, metric, problem in (
            ("ModelFails", "InvocationServerErrors", "fails at Bedrock"),
            ("ModelThrottled", "InvocationThrottles", "is throttled by Bedrock"),
        ):
            alarms[f"{profile['name']}-{suffix}"] = _count(
                f"{called} {problem}: {BAD_EVENTS} calls or more in five minutes",
                "AWS/Bedrock",
                metric,
                {"ModelId": model_id},
            )
    for endpoint in args.get("endpoints", []):
        alarms[f"{endpoint['name']}-ModelFails"] = _count(
            f"Model {endpoint['name']} fails at SageMaker: {BAD_EVENTS} calls or more in five minutes",
            "AWS/SageMaker",
            "Invocation5XXErrors",
            {"EndpointName": endpoint["endpoint"], "VariantName": VARIANT},
        )
    for service in args.get("services", []):
        alarms |= _service(service)
    return alarms


def _model_name(name: str) -> str:
    endpoint, _, workload = name.partition("--")
    return f"Model {endpoint} of workload {workload}"


def _count(
    description: str, namespace: str, metric: str, dimensions: dict[str, pulumi.Input[str]]
) -> dict[str, Any]:
    """An alarm on a number of bad events."""
    return {
        "alarm_description": description,
        "namespace": namespace,
        "metric_name": metric,
        "dimensions": dimensions,
        "statistic": "Sum",
        "period": PERIOD_S,
        "evaluation_periods": 1,
        "comparison_operator": "GreaterThanOrEqualToThreshold",
        "threshold": BAD_EVENTS,
        # No bad event sends no metric.
        "treat_missing_data": "notBreaching",
    }


def _service(service: WatchedService) -> dict[str, dict[str, Any]]:
    cluster_and_name = pulumi.Output.from_input(service["service"])
    dimensions = {
        "ClusterName": cluster_and_name.apply(lambda text: text.partition("/")[0]),
        "ServiceName": cluster_and_name.apply(lambda text: text.partition("/")[2]),
    }
    common = {"namespace": "AWS/ECS", "dimensions": dimensions, "period": 60}
    down = GATEWAY_DOWN if service["name"].endswith("-edge") else SERVICE_DOWN
    return {
        f"{service['name']}-{down}": {
            **common,
            "alarm_description": f"No task of gateway {service['name']} runs for {SILENT_MINUTES} minutes",
            "metric_name": "CPUUtilization",
            "statistic": "SampleCount",
            "evaluation_periods": SILENT_MINUTES,
            "comparison_operator": "LessThanThreshold",
            "threshold": 1,
            # Without a task the metric is missing, which is what this alarm detects.
            "treat_missing_data": "breaching",
        },
        f"{service['name']}-MemoryNearlyUsed": {
            **common,
            "alarm_description": f"A task of gateway {service['name']} uses {MEMORY_PCT} % of its memory or more "
            f"for {MEMORY_MINUTES} minutes: at 100 % it is killed",
            "metric_name": "MemoryUtilization",
            "statistic": "Maximum",
            "evaluation_periods": MEMORY_MINUTES,
            "comparison_operator": "GreaterThanOrEqualToThreshold",
            "threshold": MEMORY_PCT,
            "treat_missing_data": "notBreaching",
        },
    }
