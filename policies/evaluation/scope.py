"""Which resources a rule is asked of, so that its silence about one says something.

A rule yields what is broken. Of what it says nothing, it has either looked at it and found nothing, or never looked at
it: an auditor must be told which. Most rules look at every resource of their types (`Rule.each`); here stands what is
asked by those that look at fewer, at others, or at the stack as a whole. What a rule leaves to another, or passes over
because nothing can be decided there (a disk that AWS refuses to seal, a policy that cannot be read), it is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from isthmus.graph.resources.resources import Graph, Resource, place
from policies.audit import storage as audit_storage
from policies.cost import limits as limit_rules
from policies.encryption import at_rest as encryption_at_rest
from policies.encryption import in_transit as encryption_in_transit
from policies.evaluation.stated_scope import ASKED, Asked
from policies.identity import aws_permissions
from policies.inputs import operators as stated_operators
from policies.inputs.documents import configurations, containers, principals, statements
from policies.inputs.pods import KINDS, Pod, pods
from policies.inputs.values import at, unknown
from policies.network import exposure as network_exposure
from policies.release import provenance as release_provenance
from policies.reliability import availability
from policies.rules.rule import Rule, Subject
from policies.workload import hardening as workload_hardening
from policies.workload import origin


def asked(rule: Rule, subject: Subject) -> list[Resource | None]:
    """What the rule is asked of, each once; nothing where it does not apply."""
    chosen = _ASKED.get(rule.id)
    found: Asked = chosen(subject) if chosen else subject.graph.of(*rule.each) if rule.each else [None]
    return list({each.urn if each else "": each for each in found}.values())


def _whole(*kinds: str) -> Callable[[Subject], Asked]:
    """The stack, where it has something of these types."""
    return lambda subject: [None] if any(True for _ in subject.graph.of(*kinds)) else []


def _aws(subject: Subject) -> Asked:
    return [None] if any(each.type.startswith("aws:") for each in subject.graph.resources) else []


def _running(subject: Subject) -> Asked:
    """The stack, where something runs in it: in a cluster or as a task."""
    return (
        [None] if pods(subject.graph) or any(True for _ in subject.graph.of(workload_hardening.TASK)) else []
    )


def _where(wanted: Callable[[Pod], Any], *, tasks: bool = False) -> Callable[[Subject], Asked]:
    """Resources with a pod of which this is so; `tasks`: those whose containers can be read as well."""

    def found(subject: Subject) -> Iterator[Resource]:
        yield from (pod.resource for pod in pods(subject.graph) if wanted(pod))
        yield from _tasks(subject.graph) if tasks else ()

    return found


def _tasks(graph: Graph) -> Iterator[Resource]:
    return (each for each in graph.of(workload_hardening.TASK) if containers(each))


def _boxes(pod: Pod) -> bool:
    return bool(pod.boxes)


def _any(pod: Pod) -> bool:
    return True


def _configured(wanted: Callable[[Any], Any], *, unread: bool = False) -> Callable[[Subject], Asked]:
    """Resources with a configuration of which this is so; `unread`: those that cannot be read as well."""
    return lambda subject: [
        resource
        for resource, _, config in configurations(subject.graph)
        if (config is None and unread) or (config is not None and wanted(config))
    ]


def _only(wanted: Callable[[Resource], Any], *kinds: str) -> Callable[[Subject], Asked]:
    return lambda subject: [each for each in subject.graph.of(*kinds) if wanted(each)]


def _spaces(subject: Subject) -> Iterator[Resource]:
    """Namespaces, and what stands in one that the stack does not make; an operator's are left out."""
    spaces = {place(each)[0]: each for each in subject.graph.of("kubernetes:core/v1:Namespace")}
    for pod in pods(subject.graph):
        spaces.setdefault(pod.namespace, pod.resource)
    return (each for name, each in spaces.items() if name not in stated_operators.namespaces(subject))


def _shut(subject: Subject) -> Iterator[Resource]:
    """What decides whether a bucket can be made public: what blocks it, and the bucket where nothing does."""
    for bucket in subject.graph.of(*encryption_at_rest.BUCKETS):
        blocks = encryption_at_rest.attached(subject.graph, bucket, ":BucketPublicAccessBlock")
        yield from blocks or [bucket]


def _sealed_disks(config: Resource) -> bool:
    kinds = [str(at(each, "instanceType")) for each in config.inputs.get("productionVariants") or []]
    return bool(config.inputs.get("kmsKeyArn")) or any(
        not each.startswith(encryption_at_rest.OWN_DISKS) for each in kinds
    )


def _granted(subject: Subject) -> Iterator[Resource]:
    """What gives rights in words that can be read; of the rest `identity/can-be-read` tells."""
    return (each for each, _, document in aws_permissions.documents(subject) if document is not None)


def _managed(each: Resource) -> bool:
    return bool(each.inputs.get("policyArn") or each.inputs.get("managedPolicyArns"))


def _deputies(role: Resource) -> bool:
    said = [who for each in statements(role.inputs.get("assumeRolePolicy")) or [] for who in principals(each)]
    ours = (*aws_permissions.SERVICES, "rolesanywhere.amazonaws.com")
    return any(who.endswith(".amazonaws.com") and who not in ours for who in said)


def _first_trail(subject: Subject) -> Iterator[Resource]:
    """All trails together see what is to be seen, and the first answers for them."""
    if (
        subject.platform
        or audit_storage.bedrock(subject.graph)
        or any(subject.graph.of(audit_storage.HOSTED))
    ):
        yield from list(subject.graph.of("aws:cloudtrail/trail:Trail"))[:1]


def _locks(subject: Subject) -> Iterator[Resource]:
    for bucket in audit_storage.record_buckets(subject.graph):
        yield from encryption_at_rest.attached(
            subject.graph, bucket, audit_storage.LOCK, *audit_storage.LIFECYCLE
        )


def _by_region(subject: Subject) -> Iterable[Resource]:
    """Of each region in which Bedrock is used, what uses it first."""
    found: dict[str, Resource] = {}
    for each in audit_storage.bedrock(subject.graph):
        found.setdefault(audit_storage.region(each), each)
    return found.values()


def _logs_prompts(subject: Subject) -> Iterator[Resource]:
    yield from subject.graph.of(*audit_storage.LOGGING)
    yield from (pod.resource for pod in pods(subject.graph) if pod.boxes)


def _alarms(subject: Subject) -> Iterator[Resource]:
    for each in subject.graph.of("aws:cloudwatch/metricAlarm:MetricAlarm"):
        if each.inputs.get("alarmActions") or "isthmus.dev/audit" in (at(each.inputs, "tags") or {}):
            yield each
    yield from subject.graph.of("aws:cloudwatch/eventRule:EventRule")


def _trails_stated(subject: Subject) -> Asked:
    stated = subject.platform.trails if subject.platform else []
    return [None] if any(each.mode == "manage" for each in stated) else []


def _readable(subject: Subject) -> Iterator[Resource]:
    for each in subject.graph.of(*KINDS, workload_hardening.TASK, ":Release"):
        if each.type.startswith(("kubernetes:", "aws:")):
            yield each


def _stepped_into(subject: Subject) -> Iterator[Resource]:
    yield from subject.graph.of("aws:ecs/service:Service")
    yield from (pod.resource for pod in pods(subject.graph))


def _images(subject: Subject) -> Iterator[Resource]:
    return (resource for resource, _, _ in origin.images(subject))


def _images_of_ours(subject: Subject) -> Asked:
    return _images(subject) if origin.registries(subject) else []


def _guards(subject: Subject) -> Iterator[Resource]:
    yield from subject.graph.of(":ValidatingAdmissionPolicyBinding")
    for each in subject.graph.of(":ValidatingAdmissionPolicy", ":ValidatingWebhookConfiguration"):
        if each.type.startswith("kubernetes:admissionregistration.k8s.io/"):
            yield each


def _queued(subject: Subject) -> Asked:
    shared = any(True for _ in subject.graph.of(":LocalQueue"))
    return [each.resource for each in pods(subject.graph) if limit_rules.gpus(each)] if shared else []


def _spends(subject: Subject) -> list[Resource]:
    return list(subject.graph.of(*limit_rules.SPENDS))[:1]


def _keda(each: Resource) -> bool:
    return each.type.startswith(("kubernetes:keda.sh/", "kubernetes:autoscaling/v2:"))


def _replicated(subject: Subject) -> Iterator[Resource]:
    serving = (pod.resource for pod in availability.serving(subject))
    yield from (each for each in serving if each.type.endswith(availability.DEPLOYED))
    yield from subject.graph.of("aws:sagemaker/endpointConfiguration:EndpointConfiguration")
    yield from availability.services(subject)


def _drained(subject: Subject) -> Iterator[Resource]:
    """What decides how many replicas a drain may end: their budgets, and they themselves where there is none."""
    yield from subject.graph.of(":PodDisruptionBudget")
    for pod, budgets in availability.drained(subject):
        yield from budgets or [pod.resource]


def _spread(pod: Pod) -> bool:
    """What is bound to one place on purpose is not spread, and nobody says that it is."""
    spread = pod.spec.get("topologySpreadConstraints") or at(pod.spec, "affinity.podAntiAffinity")
    pinned = at(pod.spec, "affinity.podAffinity") or at(pod.spec, "affinity.nodeAffinity")
    return availability.many(pod) and bool(spread or not pinned)


def _probed(pod: Pod) -> bool:
    kinds = (*availability.DEPLOYED, ":LeaderWorkerSet")
    return pod.resource.type.endswith(kinds) and bool(pod.spec.get("containers"))


def _zoned(subject: Subject) -> Iterator[Resource]:
    for each, subnets in availability.zoned(subject):
        if unknown(subnets) or isinstance(subnets, list):
            yield each


def _rolled(subject: Subject) -> Iterator[Resource]:
    yield from (pod.resource for pod in availability.rolled(subject))
    yield from subject.graph.of("aws:ecs/service:Service")


def _models(
    wanted: Callable[[Pod], Any], hosted: Callable[[Any], Any] | None = None
) -> Callable[[Subject], Asked]:
    """Model servers, and models on SageMaker whose container this is so of."""

    def found(subject: Subject) -> Iterator[Resource]:
        yield from (pod.resource for pod in release_provenance.models(subject) if wanted(pod))
        for each in subject.graph.of("aws:sagemaker/model:Model") if hosted else ():
            if hosted and hosted(at(each.inputs, "primaryContainer") or {}):
                yield each

    return found


def _from_s3(box: Any) -> bool:
    return bool(at(box, "modelDataSource") or at(box, "modelDataUrl"))


def _vllm(box: Any) -> bool:
    said = at(box, "environment")
    return isinstance(said, Mapping) and any(str(key).startswith("SM_VLLM_") for key in said)


def _told(box: Any) -> bool:
    return isinstance(at(box, "environment"), Mapping)


def _claims(pod: Pod) -> bool:
    return any(at(each, "persistentVolumeClaim") for each in pod.spec.get("volumes") or [])


def _released(subject: Subject) -> Iterator[Resource]:
    for each in subject.graph.of("aws:codepipeline/pipeline:Pipeline"):
        acts = [act for stage in at(each.inputs, "stages") or [] for act in at(stage, "actions") or []]
        if unknown(each.inputs.get("stages")) or any(at(act, "category") == "Deploy" for act in acts):
            yield each
    yield from subject.graph.of("aws:bedrock/agentAgent:AgentAgent")
    yield from subject.graph.of("aws:bedrock/agentAgentActionGroup:AgentAgentActionGroup")


def _grounded(subject: Subject) -> list[Resource]:
    """Every guardrail where documents are answered from; else those that check it."""
    answered = any(True for _ in subject.graph.of("aws:bedrock/agentKnowledgeBase:AgentKnowledgeBase"))
    key = "contextualGroundingPolicyConfig.filtersConfigs"
    guards = subject.graph.of("aws:bedrock/guardrail:Guardrail")
    return [each for each in guards if answered or at(each.inputs, key)]


def _guarded(config: Any) -> bool:
    return any(at(model, "provider") != "sagemaker" for model in at(config, "models") or [])


def _past_guardrails(subject: Subject) -> Asked:
    guards = any(True for _ in subject.graph.of("aws:bedrock/guardrail:Guardrail"))
    return _configured(_guarded)(subject) if guards else []


def _proxies(each: Resource) -> bool:
    data = each.inputs.get("data")
    texts = data.items() if isinstance(data, Mapping) else ()
    return any("model_list" in str(text) and str(key).endswith((".yaml", ".yml")) for key, text in texts)


_ASKED: dict[str, Callable[[Subject], Asked]] = {
    "data-path/stays-where-it-may": lambda subject: [None] if list(configurations(subject.graph)) else [],
    "data-path/own-network": _running,
    "data-path/no-cloud-names": _running,
    "identity/translators-only": _running,
    "data-path/private-endpoints": _whole("aws:ec2/vpcEndpoint:VpcEndpoint"),
    "data-path/calls-by-private-endpoints": lambda subject: (
        [None] if any(at(each, "models") for _, _, each in configurations(subject.graph)) else []
    ),
    "data-path/no-way-to-the-internet": _whole("aws:ec2/vpc:Vpc"),
    "data-path/fargate-network": _whole("aws:ecs/service:Service"),
    "data-path/hosted-models": _whole("aws:sagemaker/model:Model"),
    "identity/no-access-keys": lambda subject: [None] if subject.graph.resources else [],
    "identity/no-users": _aws,
    "audit/trail-out-of-reach": _aws,
    "audit/trail-stands": _trails_stated,
    "audit/everything-is-tagged": lambda subject: _aws(subject) if subject.platform else [],
    "workload/tasks-are-bare": _whole(workload_hardening.TASK),
    "network/default-deny": _spaces,
    "network/buckets-shut": _shut,
    "network/groups-named": lambda subject: subject.graph.of(*_GROUPS),
    "network/dns-firewall": network_exposure.networks_made,
    "audit/names-logged": network_exposure.networks_made,
    "encryption/keys-rotate": _only(
        lambda each: each.inputs.get("keyUsage", "ENCRYPT_DECRYPT") == "ENCRYPT_DECRYPT", "aws:kms/key:Key"
    ),
    "encryption/endpoint-disks": _only(
        _sealed_disks, "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
    ),
    "encryption/listeners-tls": _only(
        encryption_in_transit.listens, *encryption_in_transit.LISTENER, ":Ingress", ":Gateway"
    ),
    "encryption/mutual-tls": _configured(
        lambda each: at(each, "mode") not in (None, "sealer") or at(each, "routes"), unread=True
    ),
    "encryption/peers-named": _configured(
        lambda each: at(each, "mode") in ("sidecar", "translator") or at(each, "routes")
    ),
    "identity/can-be-read": lambda subject: [each for each, _, _ in aws_permissions.documents(subject)],
    "identity/no-wildcard-action": _granted,
    "identity/no-wildcard-resource": _granted,
    "identity/no-wide-managed-policy": lambda subject: [
        each for each in subject.graph.resources if each.type.startswith("aws:iam/") and _managed(each)
    ],
    "identity/no-confused-deputy": _only(_deputies, "aws:iam/role:Role"),
    "audit/trail-sees-bedrock": _first_trail,
    "audit/write-once": lambda subject: audit_storage.record_buckets(subject.graph),
    "audit/locked-long-enough": _locks,
    "audit/calls-logged": _by_region,
    "audit/no-prompts-in-logs": _logs_prompts,
    "audit/alarms-heard": _alarms,
    "workload/can-be-read": _readable,
    "workload/no-privilege": _where(_boxes, tasks=True),
    "workload/no-capability": _where(_boxes, tasks=True),
    "workload/not-root": _where(_boxes, tasks=True),
    "workload/no-host": _where(_any),
    "workload/confined": _where(_boxes),
    "workload/read-only-root": _where(lambda pod: any(box.get("ports") for box in pod.boxes), tasks=True),
    "workload/nobody-steps-in": _stepped_into,
    "workload/images-by-digest": _images,
    "workload/our-registries": _images_of_ours,
    "workload/no-token": _where(_any),
    "workload/own-account": _where(_any),
    "workload/not-default-namespace": _where(_any),
    "workload/no-secret-in-environment": _where(_boxes, tasks=True),
    "workload/namespaces-restricted": lambda subject: [
        each
        for each in subject.graph.of("kubernetes:core/v1:Namespace")
        if place(each)[0] not in stated_operators.namespaces(subject)
    ],
    "workload/admission-denies": _guards,
    "cost/limits": _where(_boxes),
    "cost/namespace-quota": limit_rules.used_spaces,
    "cost/gpus-bounded": _where(limit_rules.gpus),
    "cost/gpus-queued": _queued,
    "cost/budgeted": _spends,
    "cost/scaling-ends": _only(_keda, ":ScaledObject", ":HorizontalPodAutoscaler"),
    "cost/gateways-limited": _configured(lambda each: at(each, "mode") not in (None, "sealer", "detector")),
    "reliability/replicas": _replicated,
    "reliability/drains": _drained,
    "reliability/spread": _where(_spread),
    "reliability/probed": _where(_probed),
    "reliability/two-zones": _zoned,
    "reliability/releases-roll": _rolled,
    "reliability/state-stays": lambda subject: subject.graph.of(*encryption_at_rest.BUCKETS, *_STATE),
    "release/weights-by-digest": _models(_any, _from_s3),
    "release/weights-agree": _models(_claims),
    "release/no-hub": _models(lambda pod: any(map(release_provenance.serves, pod.boxes)), _vllm),
    "release/no-foreign-code": _models(_any, _told),
    "release/no-inside": _models(_any),
    "release/people-approve": _released,
    "release/guardrail-version": _configured(
        lambda each: any(at(model, "guardrail") for model in at(each, "models") or [])
    ),
    "guardrail/grounding": _grounded,
    "guardrail/asked": _past_guardrails,
    **ASKED,
    "guardrail/proxy-always-on": _only(_proxies, "kubernetes:core/v1:ConfigMap"),
}
"""By id of the rule; a rule that is not here is asked of every resource of its types."""
_GROUPS = (
    *("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "aws:ec2/securityGroup:SecurityGroup"),
    *("aws:ec2/securityGroupRule:SecurityGroupRule", ":DefaultSecurityGroup"),
)
_STATE = ("aws:ecr/repository:Repository", "aws:rds/instance:Instance", "aws:rds/cluster:Cluster")
