"""Lists the resources that each rule applies to, so that evidence can show passes.

A rule yields violations only, so a resource without violation has either passed or was not checked. Most
rules check every resource of their types (`Rule.resource_types`). This module covers the rules that check fewer or
other resources, or the stack as a whole. A resource is left out if another rule covers it, or if nothing can be
decided there (a disk that AWS refuses to encrypt, a policy that cannot be read).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from isthmus.graph.resources.resources import Graph, Resource, name_and_namespace
from policies.audit import storage as audit_storage
from policies.cost import limits as limit_rules
from policies.encryption import at_rest as encryption_at_rest
from policies.encryption import in_transit as encryption_in_transit
from policies.evaluation.stated_scope import APPLICABLE, Applicable
from policies.identity import aws_permissions
from policies.inputs import operators as stated_operators
from policies.inputs.documents import containers, gateway_configurations, principals, statements
from policies.inputs.pods import POD_KINDS, Pod, pods
from policies.inputs.values import at, is_unknown
from policies.network import exposure as network_exposure
from policies.release import provenance as release_provenance
from policies.reliability import availability
from policies.rules.rule import Rule, Subject
from policies.workload import hardening as workload_hardening
from policies.workload import origin


def applicable_resources(rule: Rule, subject: Subject) -> list[Resource | None]:
    """The resources that a rule applies to, without duplicates. None stands for the whole stack."""
    select = _APPLICABLE.get(rule.id)
    resources: Applicable = (
        select(subject)
        if select
        else subject.graph.of(*rule.resource_types)
        if rule.resource_types
        else [None]
    )
    return list({resource.urn if resource else "": resource for resource in resources}.values())


def _stack_with(*kinds: str) -> Callable[[Subject], Applicable]:
    """Selects the stack as a whole if it has a resource of these types."""
    return lambda subject: [None] if any(True for _ in subject.graph.of(*kinds)) else []


def _stack_in_aws(subject: Subject) -> Applicable:
    return [None] if any(resource.type.startswith("aws:") for resource in subject.graph.resources) else []


def _stack_with_workloads(subject: Subject) -> Applicable:
    """The stack as a whole, if it has pods or tasks."""
    return (
        [None] if pods(subject.graph) or any(True for _ in subject.graph.of(workload_hardening.TASK)) else []
    )


def _pods_where(condition: Callable[[Pod], Any], *, tasks: bool = False) -> Callable[[Subject], Applicable]:
    """Selects resources with a pod that meets the condition; `tasks`: also tasks with readable containers."""

    def select(subject: Subject) -> Iterator[Resource]:
        yield from (pod.resource for pod in pods(subject.graph) if condition(pod))
        yield from _tasks(subject.graph) if tasks else ()

    return select


def _tasks(graph: Graph) -> Iterator[Resource]:
    return (task for task in graph.of(workload_hardening.TASK) if containers(task))


def _has_containers(pod: Pod) -> bool:
    return bool(pod.containers)


def _always(pod: Pod) -> bool:
    return True


def _configurations_where(
    condition: Callable[[Any], Any], *, unread: bool = False
) -> Callable[[Subject], Applicable]:
    """Selects resources with an edge configuration that meets the condition; `unread`: also unreadable ones."""
    return lambda subject: [
        resource
        for resource, _, config in gateway_configurations(subject.graph)
        if (config is None and unread) or (config is not None and condition(config))
    ]


def _resources_where(condition: Callable[[Resource], Any], *kinds: str) -> Callable[[Subject], Applicable]:
    return lambda subject: [resource for resource in subject.graph.of(*kinds) if condition(resource)]


def _namespaces(subject: Subject) -> Iterator[Resource]:
    """Namespaces, or a pod of each namespace that the stack does not create. Operators' namespaces are left out."""
    by_namespace = {
        name_and_namespace(resource)[0]: resource
        for resource in subject.graph.of("kubernetes:core/v1:Namespace")
    }
    for pod in pods(subject.graph):
        by_namespace.setdefault(pod.namespace, pod.resource)
    return (
        resource
        for name, resource in by_namespace.items()
        if name not in stated_operators.operator_namespaces(subject)
    )


def _public_access_blocks(subject: Subject) -> Iterator[Resource]:
    """Public access blocks, and buckets without one."""
    for bucket in subject.graph.of(*encryption_at_rest.BUCKETS):
        blocks = encryption_at_rest.attached(subject.graph, bucket, ":BucketPublicAccessBlock")
        yield from blocks or [bucket]


def _has_encryptable_disks(config: Resource) -> bool:
    instance_types = [
        str(at(variant, "instanceType")) for variant in config.inputs.get("productionVariants") or []
    ]
    return bool(config.inputs.get("kmsKeyArn")) or any(
        not instance_type.startswith(encryption_at_rest.NVME_INSTANCES) for instance_type in instance_types
    )


def _readable_grants(subject: Subject) -> Iterator[Resource]:
    """Resources that grant permissions by a readable document; `identity/can-be-read` covers the others."""
    return (
        resource
        for resource, _, document in aws_permissions.policy_documents(subject)
        if document is not None
    )


def _attaches_managed_policy(resource: Resource) -> bool:
    return bool(resource.inputs.get("policyArn") or resource.inputs.get("managedPolicyArns"))


def _trusts_a_service(role: Resource) -> bool:
    names = [
        name
        for statement in statements(role.inputs.get("assumeRolePolicy")) or []
        for name in principals(statement)
    ]
    own_services = (*aws_permissions.SERVICES_WITHOUT_SOURCE, "rolesanywhere.amazonaws.com")
    return any(name.endswith(".amazonaws.com") and name not in own_services for name in names)


def _first_trail(subject: Subject) -> Iterator[Resource]:
    """The first trail, which stands for all: together they must record the events."""
    if (
        subject.platform
        or audit_storage.bedrock_resources(subject.graph)
        or any(subject.graph.of(audit_storage.HOSTED))
    ):
        yield from list(subject.graph.of("aws:cloudtrail/trail:Trail"))[:1]


def _locks_and_lifecycles(subject: Subject) -> Iterator[Resource]:
    for bucket in audit_storage.record_buckets(subject.graph):
        yield from encryption_at_rest.attached(
            subject.graph, bucket, audit_storage.LOCK, *audit_storage.LIFECYCLE
        )


def _first_bedrock_use_by_region(subject: Subject) -> Iterable[Resource]:
    """The first resource that uses Bedrock in each region."""
    first_by_region: dict[str, Resource] = {}
    for resource in audit_storage.bedrock_resources(subject.graph):
        first_by_region.setdefault(audit_storage.region_of(resource), resource)
    return first_by_region.values()


def _prompt_logs(subject: Subject) -> Iterator[Resource]:
    yield from subject.graph.of(*audit_storage.LOGGING)
    yield from (pod.resource for pod in pods(subject.graph) if pod.containers)


def _alarms(subject: Subject) -> Iterator[Resource]:
    for alarm in subject.graph.of("aws:cloudwatch/metricAlarm:MetricAlarm"):
        if alarm.inputs.get("alarmActions") or "isthmus.dev/audit" in (at(alarm.inputs, "tags") or {}):
            yield alarm
    yield from subject.graph.of("aws:cloudwatch/eventRule:EventRule")


def _stack_with_managed_trails(subject: Subject) -> Applicable:
    trails = subject.platform.trails if subject.platform else []
    return [None] if any(trail.mode == "manage" for trail in trails) else []


def _workload_kinds(subject: Subject) -> Iterator[Resource]:
    for resource in subject.graph.of(*POD_KINDS, workload_hardening.TASK, ":Release"):
        if resource.type.startswith(("kubernetes:", "aws:")):
            yield resource


def _exec_targets(subject: Subject) -> Iterator[Resource]:
    yield from subject.graph.of("aws:ecs/service:Service")
    yield from (pod.resource for pod in pods(subject.graph))


def _images(subject: Subject) -> Iterator[Resource]:
    return (resource for resource, _, _ in origin.images(subject))


def _images_if_registries_stated(subject: Subject) -> Applicable:
    return _images(subject) if origin.registries(subject) else []


def _admission_objects(subject: Subject) -> Iterator[Resource]:
    yield from subject.graph.of(":ValidatingAdmissionPolicyBinding")
    for resource in subject.graph.of(":ValidatingAdmissionPolicy", ":ValidatingWebhookConfiguration"):
        if resource.type.startswith("kubernetes:admissionregistration.k8s.io/"):
            yield resource


def _gpu_pods_if_queues_exist(subject: Subject) -> Applicable:
    shared = any(True for _ in subject.graph.of(":LocalQueue"))
    return [pod.resource for pod in pods(subject.graph) if limit_rules.gpu_resources(pod)] if shared else []


def _first_spending_resource(subject: Subject) -> list[Resource]:
    return list(subject.graph.of(*limit_rules.SPENDS))[:1]


def _is_autoscaler(resource: Resource) -> bool:
    return resource.type.startswith(("kubernetes:keda.sh/", "kubernetes:autoscaling/v2:"))


def _replicated(subject: Subject) -> Iterator[Resource]:
    serving = (pod.resource for pod in availability.serving_pods(subject))
    yield from (resource for resource in serving if resource.type.endswith(availability.DEPLOYED))
    yield from subject.graph.of("aws:sagemaker/endpointConfiguration:EndpointConfiguration")
    yield from availability.serving_services(subject)


def _disruption_budgets(subject: Subject) -> Iterator[Resource]:
    """PodDisruptionBudgets, and workloads with several replicas that have none."""
    yield from subject.graph.of(":PodDisruptionBudget")
    for pod, budgets in availability.pods_with_budgets(subject):
        yield from budgets or [pod.resource]


def _should_spread(pod: Pod) -> bool:
    """Whether replicas should be spread: not if they are pinned to one place on purpose."""
    spread = pod.spec.get("topologySpreadConstraints") or at(pod.spec, "affinity.podAntiAffinity")
    pinned = at(pod.spec, "affinity.podAffinity") or at(pod.spec, "affinity.nodeAffinity")
    return availability.has_several_replicas(pod) and bool(spread or not pinned)


def _should_be_probed(pod: Pod) -> bool:
    kinds = (*availability.DEPLOYED, ":LeaderWorkerSet")
    return pod.resource.type.endswith(kinds) and bool(pod.spec.get("containers"))


def _zoned_resources(subject: Subject) -> Iterator[Resource]:
    for resource, subnets in availability.resources_in_zones(subject):
        if is_unknown(subnets) or isinstance(subnets, list):
            yield resource


def _rolling_workloads(subject: Subject) -> Iterator[Resource]:
    yield from (pod.resource for pod in availability.rolling_pods(subject))
    yield from subject.graph.of("aws:ecs/service:Service")


def _models_where(
    condition: Callable[[Pod], Any], hosted: Callable[[Any], Any] | None = None
) -> Callable[[Subject], Applicable]:
    """Selects model servers that meet the condition, and SageMaker models whose container meets `hosted`."""

    def select(subject: Subject) -> Iterator[Resource]:
        yield from (pod.resource for pod in release_provenance.model_pods(subject) if condition(pod))
        for model in subject.graph.of("aws:sagemaker/model:Model") if hosted else ():
            if hosted and hosted(at(model.inputs, "primaryContainer") or {}):
                yield model

    return select


def _loads_from_s3(container: Any) -> bool:
    return bool(at(container, "modelDataSource") or at(container, "modelDataUrl"))


def _has_vllm_settings(container: Any) -> bool:
    environment = at(container, "environment")
    return isinstance(environment, Mapping) and any(str(key).startswith("SM_VLLM_") for key in environment)


def _has_environment(container: Any) -> bool:
    return isinstance(at(container, "environment"), Mapping)


def _mounts_claim(pod: Pod) -> bool:
    return any(at(volume, "persistentVolumeClaim") for volume in pod.spec.get("volumes") or [])


def _release_pipelines(subject: Subject) -> Iterator[Resource]:
    for pipeline in subject.graph.of("aws:codepipeline/pipeline:Pipeline"):
        acts = [act for stage in at(pipeline.inputs, "stages") or [] for act in at(stage, "actions") or []]
        if is_unknown(pipeline.inputs.get("stages")) or any(at(act, "category") == "Deploy" for act in acts):
            yield pipeline
    yield from subject.graph.of("aws:bedrock/agentAgent:AgentAgent")
    yield from subject.graph.of("aws:bedrock/agentAgentActionGroup:AgentAgentActionGroup")


def _grounding_guardrails(subject: Subject) -> list[Resource]:
    """Every guardrail if the stack has a knowledge base; otherwise those that check grounding."""
    has_knowledge_base = any(
        True for _ in subject.graph.of("aws:bedrock/agentKnowledgeBase:AgentKnowledgeBase")
    )
    key = "contextualGroundingPolicyConfig.filtersConfigs"
    guardrails = subject.graph.of("aws:bedrock/guardrail:Guardrail")
    return [guardrail for guardrail in guardrails if has_knowledge_base or at(guardrail.inputs, key)]


def _calls_bedrock(config: Any) -> bool:
    return any(at(model, "provider") != "sagemaker" for model in at(config, "models") or [])


def _configurations_beside_guardrails(subject: Subject) -> Applicable:
    guards = any(True for _ in subject.graph.of("aws:bedrock/guardrail:Guardrail"))
    return _configurations_where(_calls_bedrock)(subject) if guards else []


def _is_proxy_configuration(config_map: Resource) -> bool:
    data = config_map.inputs.get("data")
    texts = data.items() if isinstance(data, Mapping) else ()
    return any("model_list" in str(text) and str(key).endswith((".yaml", ".yml")) for key, text in texts)


_APPLICABLE: dict[str, Callable[[Subject], Applicable]] = {
    "data-path/stays-where-it-may": lambda subject: (
        [None] if list(gateway_configurations(subject.graph)) else []
    ),
    "data-path/own-network": _stack_with_workloads,
    "data-path/no-cloud-names": _stack_with_workloads,
    "identity/translators-only": _stack_with_workloads,
    "data-path/private-endpoints": _stack_with("aws:ec2/vpcEndpoint:VpcEndpoint"),
    "data-path/calls-by-private-endpoints": lambda subject: (
        [None] if any(at(config, "models") for _, _, config in gateway_configurations(subject.graph)) else []
    ),
    "data-path/no-way-to-the-internet": _stack_with("aws:ec2/vpc:Vpc"),
    "data-path/fargate-network": _stack_with("aws:ecs/service:Service"),
    "data-path/hosted-models": _stack_with("aws:sagemaker/model:Model"),
    "identity/no-access-keys": lambda subject: [None] if subject.graph.resources else [],
    "identity/no-users": _stack_in_aws,
    "audit/trail-out-of-reach": _stack_in_aws,
    "audit/trail-stands": _stack_with_managed_trails,
    "audit/everything-is-tagged": lambda subject: _stack_in_aws(subject) if subject.platform else [],
    "workload/tasks-are-bare": _stack_with(workload_hardening.TASK),
    "network/default-deny": _namespaces,
    "network/buckets-shut": _public_access_blocks,
    "network/groups-named": lambda subject: subject.graph.of(*_SECURITY_GROUP_TYPES),
    "network/dns-firewall": network_exposure.managed_networks,
    "audit/names-logged": network_exposure.managed_networks,
    "encryption/keys-rotate": _resources_where(
        lambda key: key.inputs.get("keyUsage", "ENCRYPT_DECRYPT") == "ENCRYPT_DECRYPT", "aws:kms/key:Key"
    ),
    "encryption/endpoint-disks": _resources_where(
        _has_encryptable_disks, "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
    ),
    "encryption/listeners-tls": _resources_where(
        encryption_in_transit.terminates_tls, *encryption_in_transit.LISTENER, ":Ingress", ":Gateway"
    ),
    "encryption/mutual-tls": _configurations_where(
        lambda config: at(config, "mode") not in (None, "sealer") or at(config, "routes"), unread=True
    ),
    "encryption/peers-named": _configurations_where(
        lambda config: at(config, "mode") in ("sidecar", "translator") or at(config, "routes")
    ),
    "identity/can-be-read": lambda subject: [
        resource for resource, _, _ in aws_permissions.policy_documents(subject)
    ],
    "identity/no-wildcard-action": _readable_grants,
    "identity/no-wildcard-resource": _readable_grants,
    "identity/no-wide-managed-policy": lambda subject: [
        resource
        for resource in subject.graph.resources
        if resource.type.startswith("aws:iam/") and _attaches_managed_policy(resource)
    ],
    "identity/no-confused-deputy": _resources_where(_trusts_a_service, "aws:iam/role:Role"),
    "audit/trail-sees-bedrock": _first_trail,
    "audit/write-once": lambda subject: audit_storage.record_buckets(subject.graph),
    "audit/locked-long-enough": _locks_and_lifecycles,
    "audit/calls-logged": _first_bedrock_use_by_region,
    "audit/no-prompts-in-logs": _prompt_logs,
    "audit/alarms-heard": _alarms,
    "workload/can-be-read": _workload_kinds,
    "workload/no-privilege": _pods_where(_has_containers, tasks=True),
    "workload/no-capability": _pods_where(_has_containers, tasks=True),
    "workload/not-root": _pods_where(_has_containers, tasks=True),
    "workload/no-host": _pods_where(_always),
    "workload/confined": _pods_where(_has_containers),
    "workload/read-only-root": _pods_where(
        lambda pod: any(container.get("ports") for container in pod.containers), tasks=True
    ),
    "workload/nobody-steps-in": _exec_targets,
    "workload/images-by-digest": _images,
    "workload/our-registries": _images_if_registries_stated,
    "workload/no-token": _pods_where(_always),
    "workload/own-account": _pods_where(_always),
    "workload/not-default-namespace": _pods_where(_always),
    "workload/no-secret-in-environment": _pods_where(_has_containers, tasks=True),
    "workload/namespaces-restricted": lambda subject: [
        namespace
        for namespace in subject.graph.of("kubernetes:core/v1:Namespace")
        if name_and_namespace(namespace)[0] not in stated_operators.operator_namespaces(subject)
    ],
    "workload/admission-denies": _admission_objects,
    "cost/limits": _pods_where(_has_containers),
    "cost/namespace-quota": limit_rules.used_namespaces,
    "cost/gpus-bounded": _pods_where(limit_rules.gpu_resources),
    "cost/gpus-queued": _gpu_pods_if_queues_exist,
    "cost/budgeted": _first_spending_resource,
    "cost/scaling-ends": _resources_where(_is_autoscaler, ":ScaledObject", ":HorizontalPodAutoscaler"),
    "cost/gateways-limited": _configurations_where(
        lambda config: at(config, "mode") not in (None, "sealer", "detector")
    ),
    "reliability/replicas": _replicated,
    "reliability/drains": _disruption_budgets,
    "reliability/spread": _pods_where(_should_spread),
    "reliability/probed": _pods_where(_should_be_probed),
    "reliability/two-zones": _zoned_resources,
    "reliability/releases-roll": _rolling_workloads,
    "reliability/state-stays": lambda subject: subject.graph.of(
        *encryption_at_rest.BUCKETS, *_STATEFUL_TYPES
    ),
    "release/weights-by-digest": _models_where(_always, _loads_from_s3),
    "release/weights-agree": _models_where(_mounts_claim),
    "release/no-hub": _models_where(
        lambda pod: any(map(release_provenance.is_vllm_serve, pod.containers)), _has_vllm_settings
    ),
    "release/no-foreign-code": _models_where(_always, _has_environment),
    "release/no-inside": _models_where(_always),
    "release/people-approve": _release_pipelines,
    "release/guardrail-version": _configurations_where(
        lambda config: any(at(model, "guardrail") for model in at(config, "models") or [])
    ),
    "guardrail/grounding": _grounding_guardrails,
    "guardrail/asked": _configurations_beside_guardrails,
    **APPLICABLE,
    "guardrail/proxy-always-on": _resources_where(_is_proxy_configuration, "kubernetes:core/v1:ConfigMap"),
}
"""By rule id. A rule that is not listed applies to every resource of its types."""
_SECURITY_GROUP_TYPES = (
    *("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "aws:ec2/securityGroup:SecurityGroup"),
    *("aws:ec2/securityGroupRule:SecurityGroupRule", ":DefaultSecurityGroup"),
)
_STATEFUL_TYPES = ("aws:ecr/repository:Repository", "aws:rds/instance:Instance", "aws:rds/cluster:Cluster")
