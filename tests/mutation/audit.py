"""Faults in auditing: trail, bucket, alarms, logs and retention."""

from __future__ import annotations

from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.parts import TASKS
from tests.broken_graphs.resources import copied
from tests.mutation.shapes import Context, Family

FAMILY = Family("audit")
TRAIL = "aws:cloudtrail/trail:Trail"
LOCK = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
CALLS = "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration"
LOG = "aws:cloudwatch/logGroup:LogGroup"


@FAMILY.drops(TRAIL)
def trail_that_is_left_out(inputs: Any, context: Context) -> None:
    """The audit trail is left out."""


@FAMILY.changes(TRAIL)
def trail_of_one_region(inputs: Any, context: Context) -> None:
    """The trail records the calls of one region only."""
    inputs["isMultiRegionTrail"] = False


@FAMILY.changes(TRAIL)
def trail_that_can_be_forged(inputs: Any, context: Context) -> None:
    """The files of the trail are not validated."""
    inputs["enableLogFileValidation"] = False


@FAMILY.changes(TRAIL)
def trail_without_global_services(inputs: Any, context: Context) -> None:
    """The trail leaves out IAM and the other global services."""
    inputs["includeGlobalServiceEvents"] = False


def chosen(category: str, inputs: Any) -> list[dict[str, Any]]:
    """The trail's selectors of a category of events."""
    field = {"field": "eventCategory", "equals": [category]}
    return [
        selector
        for selector in inputs.get("advancedEventSelectors") or []
        if field in selector["fieldSelectors"]
    ]


@FAMILY.changes(TRAIL, where=lambda inputs, _: chosen("Management", inputs))
def trail_of_writes_alone(inputs: Any, context: Context) -> None:
    """The trail leaves out management events that read, calls of models among them."""
    for selector in chosen("Management", inputs):
        selector["fieldSelectors"].append({"field": "readOnly", "equals": ["false"]})


@FAMILY.changes(TRAIL, where=lambda inputs, _: chosen("Data", inputs))
def trail_without_agents_and_guardrails(inputs: Any, context: Context) -> None:
    """The trail leaves out Bedrock's data events: agents, guardrails, knowledge bases."""
    inputs["advancedEventSelectors"] = chosen("Management", inputs)


@FAMILY.drops(LOCK)
def records_that_are_not_locked(inputs: Any, context: Context) -> None:
    """The lock of the audit bucket is left out."""


@FAMILY.changes(LOCK)
def records_locked_for_a_month(inputs: Any, context: Context) -> None:
    """The records of the audit bucket are locked for thirty days only."""
    inputs["rule"]["defaultRetention"].update(days=30)


@FAMILY.changes("aws:s3/bucket:Bucket")
def bucket_that_goes_with_its_records(inputs: Any, context: Context) -> None:
    """The audit bucket may be destroyed with what is in it."""
    inputs["forceDestroy"] = True


@FAMILY.changes("aws:s3/bucketVersioning:BucketVersioning")
def bucket_that_keeps_no_versions(inputs: Any, context: Context) -> None:
    """The versioning of the audit bucket is suspended."""
    inputs["versioningConfiguration"]["status"] = "Suspended"


@FAMILY.changes(LOG)
def log_kept_for_a_week(inputs: Any, context: Context) -> None:
    """A log is kept for seven days."""
    inputs["retentionInDays"] = 7


@FAMILY.changes(CALLS, also=["data-path"])
def model_calls_recorded_with_their_text(inputs: Any, context: Context) -> None:
    """The record of model calls of the region holds whole prompts and answers."""
    inputs["loggingConfig"]["textDataDeliveryEnabled"] = True


@FAMILY.drops("aws:ec2/flowLog:FlowLog")
def network_that_nobody_watches(inputs: Any, context: Context) -> None:
    """The flow log of a network is left out."""


@FAMILY.changes("aws:ec2/flowLog:FlowLog")
def flow_log_of_refusals_alone(inputs: Any, context: Context) -> None:
    """The flow log records what was refused, not what got through."""
    inputs["trafficType"] = "REJECT"


@FAMILY.drops("aws:route53/resolverQueryLogConfigAssociation:ResolverQueryLogConfigAssociation")
def questions_that_nobody_logs(inputs: Any, context: Context) -> None:
    """The names that are asked for in a network are not logged."""


@FAMILY.changes("aws:eks/cluster:Cluster", where=lambda inputs, _: inputs.get("enabledClusterLogTypes"))
def cluster_without_an_audit_log(inputs: Any, context: Context) -> None:
    """The control plane of a cluster writes no audit log."""
    inputs["enabledClusterLogTypes"] = ["scheduler", "controllerManager"]


@FAMILY.changes("aws:cloudwatch/eventRule:EventRule")
def alarm_rule_that_is_switched_off(inputs: Any, context: Context) -> None:
    """A rule that tells of a call against the audit trail is disabled."""
    inputs["state"] = "DISABLED"


@FAMILY.changes("aws:cloudwatch/metricAlarm:MetricAlarm", where=lambda inputs, _: inputs.get("alarmActions"))
def alarm_that_tells_nobody(inputs: Any, context: Context) -> None:
    """An alarm has no action."""
    inputs.update(alarmActions=[], okActions=[])


@FAMILY.changes("aws:cloudwatch/metricAlarm:MetricAlarm", where=lambda inputs, _: inputs.get("alarmActions"))
def alarm_whose_actions_are_off(inputs: Any, context: Context) -> None:
    """The actions of an alarm are switched off."""
    inputs["actionsEnabled"] = False


@FAMILY.drops("aws:cloudwatch/logMetricFilter:LogMetricFilter")
def tampering_that_is_not_counted(inputs: Any, context: Context) -> None:
    """What counts calls against the audit trail in its log is left out."""


@FAMILY.drops("aws:sns/topicSubscription:TopicSubscription")
def alarms_that_nobody_reads(inputs: Any, context: Context) -> None:
    """Nobody is subscribed to the alarms any more."""


@FAMILY.changes(
    "aws:ecs/taskDefinition:TaskDefinition",
    lens=TASKS,
    where=lambda container, _: "logConfiguration" in container,
)
def task_without_a_log(container: Any, context: Context) -> None:
    """A container of a gateway's task writes no log."""
    del container["logConfiguration"]


@FAMILY.adds("aws:s3/bucket:Bucket", also=["encryption"])
def bucket_beside_the_audit_store(inputs: Any, context: Context) -> list[Resource]:
    """A bucket for exported records is made with nothing but a name."""
    return [copied(context.resource, "exports", {"bucket": "llm-exports", "tags": inputs["tags"]})]
