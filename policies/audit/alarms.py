"""Audit rules for alarms and task logs: metrics are written, topics have subscribers, tasks write logs."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.graph.iam.permissions import covers
from isthmus.graph.resources.resources import Graph, Resource
from policies.inputs.aws_reach import is_of_component
from policies.inputs.declared import tag
from policies.inputs.documents import actions, conditions, containers, statements
from policies.inputs.links import referenced_resources
from policies.inputs.selectors import readable_tasks, resources_where
from policies.inputs.values import at, is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Applicable, Rule, Subject, Violation

_ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
_FILTER = "aws:cloudwatch/logMetricFilter:LogMetricFilter"
_EVENT_RULE = "aws:cloudwatch/eventRule:EventRule"
_TARGET = "aws:cloudwatch/eventTarget:EventTarget"
_TOPIC = "aws:sns/topic:Topic"
_AUDIT = "isthmus.dev/audit"
_SERVING_NAMESPACES = frozenset({"AWS/Bedrock", "AWS/ECS", "AWS/SageMaker"})
"""Of the metrics of what serves callers. Their alarms are for operations; all others are for security."""
_TASK = "aws:ecs/taskDefinition:TaskDefinition"
_SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"


def _is_custom_metric(alarm: Resource) -> bool:
    """Whether an alarm watches (or may watch) a custom metric. AWS writes the metrics of its own namespaces."""
    namespace, name = alarm.inputs.get("namespace"), alarm.inputs.get("metricName")
    return (
        is_unknown(namespace) or is_unknown(name) or bool(namespace and not str(namespace).startswith("AWS/"))
    )


def _check_alarms_fed(subject: Subject) -> Iterator[Violation]:
    graph = subject.graph
    filtered_metrics = {
        (
            str(at(metric_filter.inputs, "metricTransformation.namespace")),
            str(at(metric_filter.inputs, "metricTransformation.name")),
        )
        for metric_filter in graph.of(_FILTER)
    }
    writable_namespaces = set(_metric_namespaces_of_roles(graph))
    for alarm in graph.of(_ALARM):
        namespace, name = alarm.inputs.get("namespace"), alarm.inputs.get("metricName")
        if is_unknown(namespace) or is_unknown(name):
            yield Violation(f"the metric that {alarm.name} watches is not known yet", alarm, "undecided")
        elif _is_custom_metric(alarm):
            if (str(namespace), str(name)) in filtered_metrics or {str(namespace), "*"} & writable_namespaces:
                continue
            yield Violation(f"{alarm.name} watches metric {name} in {namespace}, which nobody writes", alarm)


def _metric_namespaces_of_roles(graph: Graph) -> Iterator[str]:
    """Metric namespaces that a role of the graph may write to; `*` for any."""
    for policy in graph.of("aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy"):
        for statement in statements(policy.inputs.get("policy")) or []:
            if statement.get("Effect") == "Allow" and any(
                covers(a, "cloudwatch:PutMetricData") for a in actions(statement)
            ):
                namespaces = [
                    value for _, key, value in conditions(statement) if key.lower() == "cloudwatch:namespace"
                ]
                for value in namespaces or ["*"]:
                    yield from map(str, value if isinstance(value, list) else [value])


def _publishers(graph: Graph) -> Iterator[tuple[Resource, Resource]]:
    """Each alarm, and each target of an event rule, with a topic that it publishes to."""
    for alarm in graph.of(_ALARM):
        for topic in referenced_resources(graph, alarm, "alarmActions", ":Topic"):
            yield alarm, topic
    for target in graph.of(_TARGET):
        for topic in referenced_resources(graph, target, "arn", ":Topic"):
            yield target, topic


def _alarm_topics(graph: Graph) -> dict[str, Resource]:
    """Topics that alarms and event rules publish to, by URN."""
    return {topic.urn: topic for _, topic in _publishers(graph)}


def _topics_of_components(graph: Graph) -> set[str]:
    """URNs of topics that a component makes, or that an alarm or an event rule of one publishes to."""
    return {
        topic.urn
        for publisher, topic in _publishers(graph)
        if any(map(_is_of_platform, (topic, publisher, *_rules_of(graph, publisher))))
    }


def _topics_of_serving(graph: Graph) -> set[str]:
    """URNs of topics to which only alarms on what serves callers publish."""
    publishers: dict[str, list[Resource]] = {}
    for publisher, topic in _publishers(graph):
        publishers.setdefault(topic.urn, []).append(publisher)
    return {
        urn
        for urn, alarms in publishers.items()
        if all(str(alarm.inputs.get("namespace")) in _SERVING_NAMESPACES for alarm in alarms)
    }


def _rules_of(graph: Graph, target: Resource) -> list[Resource]:
    """The event rules that a target names, by reference or by name."""
    named = target.inputs.get("rule")
    if target.type != _TARGET:
        return []
    referred = referenced_resources(graph, target, "rule", ":EventRule")
    return referred or [rule for rule in graph.of(_EVENT_RULE) if named in (None, rule.inputs.get("name"))]


def _is_of_platform(resource: Resource) -> bool:
    """Whether a component made a resource, or it bears a tag of the platform's audit."""
    return is_of_component(resource) or bool(tag(resource, _AUDIT))


def _check_topics_subscribed(subject: Subject) -> Iterator[Violation]:
    """Reports alarm topics without subscribers, or the platform's without one of those who must be told."""
    graph = subject.graph
    subscribers: dict[str, set[str]] = {}
    for subscription in graph.of(_SUBSCRIPTION):
        for topic in referenced_resources(graph, subscription, "topic", ":Topic"):
            subscribers.setdefault(topic.urn, set()).add(str(subscription.inputs.get("endpoint")))
    of_components = _topics_of_components(graph)
    of_serving = _topics_of_serving(graph)
    for urn, topic in sorted(_alarm_topics(graph).items()):
        if not subscribers.get(urn):
            yield Violation(f"alarm topic {topic.name} has no subscribers", topic)
        elif urn in of_components and subject.platform is not None:
            contacts = subject.platform.contacts
            kind, told = (
                ("operations", contacts.operations) if urn in of_serving else ("security", contacts.security)
            )
            if missing := sorted(set(told) - subscribers[urn]):
                problem = (
                    f"{', '.join(missing)} ({kind} contact of the platform) is not subscribed to {topic.name}"
                )
                yield Violation(problem, topic)


def _topics_of_alarms(subject: Subject) -> Applicable:
    return _alarm_topics(subject.graph).values()


def _check_tasks_logged(subject: Subject) -> Iterator[Violation]:
    for task in subject.graph.of(_TASK):
        for container in containers(task) or []:
            if not at(container, "logConfiguration.logDriver"):
                yield Violation(f"container {container.get('name')} of {task.name} writes no log", task)


RULES = (
    Rule(
        "audit/alarms-fed",
        "Every metric that an alarm watches is written",
        "high",
        (
            *fw.nist("AU-6(1)", "SI-4(5)"),
            *fw.pci("10.4.1.1"),
            *fw.iso_27001("A.8.16"),
            *fw.dora("Art. 10(1)"),
        ),
        "An alarm on a metric that nobody writes never fires, and looks healthy",
        "Add a LogMetricFilter that writes the metric, with the same namespace and name",
        _check_alarms_fed,
        (_ALARM,),
        applies_to=resources_where(_is_custom_metric, _ALARM),
    ),
    Rule(
        "audit/alarms-read",
        "Alarm topics have subscribers",
        "high",
        (*fw.nist("AU-5", "SI-4(5)"), *fw.pci("10.7.2"), *fw.iso_27001("A.8.16"), *fw.dora("Art. 10(2)")),
        "Alarms that are sent to a topic without subscribers reach nobody",
        "Add a TopicSubscription for each security contact of the platform (on serving: operations contact)",
        _check_topics_subscribed,
        (_TOPIC, _SUBSCRIPTION),
        applies_to=_topics_of_alarms,
    ),
    Rule(
        "audit/tasks-logged",
        "Every container of a task writes a log",
        "medium",
        (*fw.fsbp("ECS.9"), *fw.nist("AU-12"), *fw.pci("10.2.1"), *fw.iso_27001("A.8.15")),
        "The output of a Fargate task is lost when the task ends",
        "Set logConfiguration with awslogs and a log group",
        _check_tasks_logged,
        (_TASK,),
        applies_to=readable_tasks,
    ),
)
