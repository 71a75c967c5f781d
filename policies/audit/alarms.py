"""Audit: alarms watch what somebody counts, people read them, and every task keeps a log."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.graph.iam.permissions import covers
from isthmus.graph.resources.resources import Graph, Resource
from policies.inputs.documents import actions, conditions, containers, statements
from policies.inputs.links import referred
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
_FILTER = "aws:cloudwatch/logMetricFilter:LogMetricFilter"
_TOPIC = "aws:sns/topic:Topic"
_TASK = "aws:ecs/taskDefinition:TaskDefinition"
_SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"


def counted_by_us(alarm: Resource) -> bool:
    """Whether an alarm watches a figure of our own, or may; AWS counts its own."""
    space, name = alarm.inputs.get("namespace"), alarm.inputs.get("metricName")
    return unknown(space) or unknown(name) or bool(space and not str(space).startswith("AWS/"))


def _fed(subject: Subject) -> Iterator[Broken]:
    graph = subject.graph
    counted = {
        (
            str(at(each.inputs, "metricTransformation.namespace")),
            str(at(each.inputs, "metricTransformation.name")),
        )
        for each in graph.of(_FILTER)
    }
    put = set(_namespaces_put(graph))
    for alarm in graph.of(ALARM):
        space, name = alarm.inputs.get("namespace"), alarm.inputs.get("metricName")
        if unknown(space) or unknown(name):
            yield Broken(f"what {alarm.name} watches is not known yet", alarm, "undecided")
        elif counted_by_us(alarm):
            if (str(space), str(name)) in counted or {str(space), "*"} & put:
                continue
            yield Broken(f"{alarm.name} watches {name} of {space}, which nobody counts", alarm)


def _namespaces_put(graph: Graph) -> Iterator[str]:
    """Namespaces into which a role of the graph may put figures of its own; `*` for any."""
    for each in graph.of("aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy"):
        for said in statements(each.inputs.get("policy")) or []:
            if said.get("Effect") == "Allow" and any(
                covers(a, "cloudwatch:PutMetricData") for a in actions(said)
            ):
                named = [value for _, key, value in conditions(said) if key.lower() == "cloudwatch:namespace"]
                for value in named or ["*"]:
                    yield from map(str, value if isinstance(value, list) else [value])


def spoken(graph: Graph) -> dict[str, Resource]:
    """Topics that alarms and rules of events speak to."""
    found: dict[str, Resource] = {}
    for alarm in graph.of(ALARM):
        found |= {each.urn: each for each in referred(graph, alarm, "alarmActions", ":Topic")}
    for target in graph.of("aws:cloudwatch/eventTarget:EventTarget"):
        found |= {each.urn: each for each in referred(graph, target, "arn", ":Topic")}
    return found


def _read(subject: Subject) -> Iterator[Broken]:
    """Who is subscribed to what alarms speak to."""
    graph = subject.graph
    heard: dict[str, set[str]] = {}
    for each in graph.of(_SUBSCRIPTION):
        for topic in referred(graph, each, "topic", ":Topic"):
            heard.setdefault(topic.urn, set()).add(str(each.inputs.get("endpoint")))
    wanted = set(subject.platform.contacts.security) if subject.platform else set()
    for urn, topic in sorted(spoken(graph).items()):
        if not heard.get(urn):
            yield Broken(f"nobody is subscribed to {topic.name}, to which alarms speak", topic)
        elif missing := sorted(wanted - heard[urn]):
            yield Broken(f"{', '.join(missing)} of the platform's contacts does not hear {topic.name}", topic)


def _tasks_logged(subject: Subject) -> Iterator[Broken]:
    for task in subject.graph.of(_TASK):
        for box in containers(task) or []:
            if not at(box, "logConfiguration.logDriver"):
                yield Broken(f"container {box.get('name')} of {task.name} writes no log that is kept", task)


RULES = (
    Rule(
        "audit/alarms-fed",
        "Alarms watch figures that somebody counts",
        "high",
        (
            *fw.nist("AU-6(1)", "SI-4(5)"),
            *fw.pci("10.4.1.1"),
            *fw.iso_27001("A.8.16"),
            *fw.dora("Art. 10(1)"),
        ),
        "An alarm on a figure that nobody writes never sounds, and looks as if all were well",
        "Add the LogMetricFilter that counts it, under the same namespace and name",
        _fed,
        (ALARM,),
    ),
    Rule(
        "audit/alarms-read",
        "People are subscribed to what alarms speak to",
        "high",
        (*fw.nist("AU-5", "SI-4(5)"), *fw.pci("10.7.2"), *fw.iso_27001("A.8.16"), *fw.dora("Art. 10(2)")),
        "A topic without a subscriber swallows every alarm",
        "Add a TopicSubscription for each of the platform's security contacts",
        _read,
        (_TOPIC, _SUBSCRIPTION),
    ),
    Rule(
        "audit/tasks-logged",
        "Every container of a task keeps a log",
        "medium",
        (*fw.fsbp("ECS.9"), *fw.nist("AU-12"), *fw.pci("10.2.1"), *fw.iso_27001("A.8.15")),
        "What a task on Fargate wrote is gone with it",
        "Set logConfiguration with awslogs and a log group",
        _tasks_logged,
        (_TASK,),
    ),
)
