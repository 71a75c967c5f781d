"""Audit rules for gateway records: gateways keep them, an isolated sealer seals them into the site's store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from isthmus.contracts.platform.model.aws.eks import POD_IDENTITY_AGENT_CIDR
from isthmus.contracts.platform.model.platform import AuditStore
from isthmus.contracts.reference import handling
from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.graph.network.reachability import POLICY
from isthmus.graph.resources.resources import Resource, name_and_namespace
from isthmus.graph.workloads import sealers as sealing
from policies.inputs.documents import gateway_configurations
from policies.inputs.isolation import IN_NAMESPACE, RBAC, intruders, is_single_allowed_address, pods_with_role
from policies.inputs.pods import POD_KINDS, Pod, pods
from policies.inputs.selectors import first_of_rows
from policies.inputs.values import at, is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_CONFIG, TASK = "kubernetes:core/v1:ConfigMap", "aws:ecs/taskDefinition:TaskDefinition"
_ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
_CLUSTER_ROLE = f"{RBAC}:ClusterRole"
_CLUSTER_ROLE_BINDING = f"{RBAC}:ClusterRoleBinding"
_READ_VERBS = {"get", "list", "watch"}
_POD_CONTROLS = {
    *("pods", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs", "configmaps"),
    *("secrets", "persistentvolumeclaims", "serviceaccounts", "networkpolicies", "roles", "rolebindings"),
}
"""Whoever may change one of these kinds controls what a pod of the namespace runs and may do."""

_READ_ONLY_FOLDERS = {"sealer": "records", "gateway": "audit.seals", "reviews": "audit.seals"}
"""By mode: the configuration key of the folder that this mode may only read."""


def edge_configurations(subject: Subject, mode: str) -> Iterator[tuple[Resource, Any]]:
    """Configurations of the edge in one mode, in clusters and on Fargate."""
    for resource, _, config in gateway_configurations(subject.graph):
        if at(config, "mode") == mode:
            yield resource, config


def _recording_gateways(subject: Subject) -> Iterator[tuple[Resource, Any]]:
    """Configurations of gateways and review services that must keep records.

    With a platform, those whose gateway has `audit` there. Without one, all.
    """
    for resource, config in (
        *edge_configurations(subject, "gateway"),
        *edge_configurations(subject, "reviews"),
    ):
        gateways = subject.platform.gateways if subject.platform else []
        location = (at(config, "class"), at(config, "site"))
        matching = [gateway for gateway in gateways if (gateway.class_, gateway.site) == location]
        if subject.platform is None or any(gateway.audit is not None for gateway in matching):
            yield resource, config


def _check_gateways_record(subject: Subject) -> Iterator[Violation]:
    for resource, config in _recording_gateways(subject):
        for key in ("records", "seals", "seal_key", "site_key"):
            value = at(config, f"audit.{key}")
            if is_unknown(value):
                yield Violation(f"audit.{key} of {resource.name} is not known yet", resource, "undecided")
            elif not value:
                yield Violation(f"{resource.name} keeps no records: audit.{key} is missing", resource)


def sealer_pods(subject: Subject) -> list[Pod]:
    """Pods with the role `sealer`."""
    return pods_with_role(subject, "sealer")


def _check_sealers_apart(subject: Subject) -> Iterator[Violation]:
    yield from intruders(subject, "sealer", "the sealer", "its")
    yield from _check_cluster_roles(subject) if sealer_pods(subject) else ()
    for mode, key in _READ_ONLY_FOLDERS.items():
        for resource, config in edge_configurations(subject, mode):
            if resource.type != _CONFIG:
                continue  # `policies.audit.aws_sealing` checks the folders of tasks
            yield from _check_folder_read_only(subject, mode, resource, str(at(config, key) or ""))


def _check_cluster_roles(subject: Subject) -> Iterator[Violation]:
    """Reports cluster roles that can change pods in every namespace, including the sealers'."""
    bound = {str(at(binding.inputs, "roleRef.name")) for binding in subject.graph.of(_CLUSTER_ROLE_BINDING)}
    for role in subject.graph.of(_CLUSTER_ROLE):
        if name_and_namespace(role)[0] not in bound:
            continue
        for rule in role.inputs.get("rules") or []:
            reached = _POD_CONTROLS & set(at(rule, "resources") or [])
            if set(at(rule, "verbs") or []) - _READ_VERBS and reached:
                kinds = ", ".join(sorted(reached))
                yield Violation(
                    f"{role.name} may change {kinds} in every namespace, including the sealer's", role
                )


def _check_folder_read_only(
    subject: Subject, mode: str, config: Resource, folder: str
) -> Iterator[Violation]:
    """Reports pods with this configuration that mount the folder writable."""
    name, namespace = name_and_namespace(config)
    for pod in pods(subject.graph):
        if pod.namespace != namespace or not _uses_config(pod, mode, name):
            continue
        for container in pod.containers:
            for mount in container.get("volumeMounts") or []:
                if folder and at(mount, "mountPath") == folder and at(mount, "readOnly") is not True:
                    yield Violation(
                        f"{pod.resource.name} can write {folder}, which only its own writer may change",
                        pod.resource,
                    )


def _uses_config(pod: Pod, mode: str, config: str) -> bool:
    """Whether a pod uses a configuration: by its role, or by the ConfigMap that it mounts."""
    volumes = pod.spec.get("volumes")
    config_maps = [at(volume, "configMap.name") for volume in volumes] if isinstance(volumes, list) else []
    return pod.role == mode or config in config_maps


def _check_sealed_at_home(subject: Subject) -> Iterator[Violation]:
    for resource, config in edge_configurations(subject, "sealer"):
        sensitivity, site = str(at(config, "class")), str(at(config, "site"))
        store = _audit_store(subject, site)
        for key in ("endpoint", "bucket"):
            value, expected = at(config, f"store.{key}"), getattr(store, key) if store else None
            if key == "bucket" and expected is None and _is_write_once_bucket(subject, value):
                continue
            if is_unknown(value):
                yield Violation(f"store.{key} of {resource.name} is not known yet", resource, "undecided")
            elif expected is not None and value != expected:
                yield Violation(
                    f"{resource.name} seals into {value}, but the store of {site} is {expected}", resource
                )
            elif (
                key == "endpoint"
                and store
                and expected is None
                and not _is_s3_of_region(subject, site, value)
            ):
                yield Violation(
                    f"{resource.name} seals into {value}, but the store of {site} is S3", resource
                )
        days = at(config, "store.retention_days")
        least = (
            handling.handling_of(sensitivity).records_months_min * 365 // 12
            if sensitivity in SENSITIVITIES
            else 0
        )
        if is_unknown(days):
            yield Violation(
                f"store.retention_days of {resource.name} is not known yet", resource, "undecided"
            )
        elif not isinstance(days, int | float) or days < least:
            yield Violation(
                f"{resource.name} locks seals for {days} days, and {sensitivity} records are kept {least}",
                resource,
            )
        if resource.type == _CONFIG:
            yield from _check_sealer_egress(subject, name_and_namespace(resource)[1], store)
    for resource in sealing.unread_pods(subject.graph):
        yield Violation(
            f"the configuration of {resource.name} is not known before it is created", resource, "undecided"
        )


def _is_write_once_bucket(subject: Subject, bucket: Any) -> bool:
    """Whether it is a write-once bucket of this stack."""
    buckets = subject.graph.referred(str(bucket or ""), ":Bucket")
    return bool(buckets) and all(at(candidate.inputs, "objectLockEnabled") is True for candidate in buckets)


def _is_s3_of_region(subject: Subject, site: str, endpoint: Any) -> bool:
    """Whether an endpoint is the S3 endpoint of the site's region, or not set."""
    if endpoint is None or subject.platform is None:
        return True
    region = next((candidate.region for candidate in subject.platform.sites if candidate.name == site), None)
    host = str(urlsplit(str(endpoint)).hostname)
    return any(host == f"s3.{region}.{end}" for end in ("amazonaws.com", "amazonaws.com.cn", "amazonaws.eu"))


def _audit_store(subject: Subject, site: str) -> AuditStore | None:
    stores = subject.platform.audit if subject.platform else []
    return next((store for store in stores if store.site == site), None)


def _check_sealer_egress(subject: Subject, namespace: str, store: AuditStore | None) -> Iterator[Violation]:
    """Reports egress of the sealer's namespace to anything but its store.

    On-prem that is the store's address, if the platform states it. In an EKS cluster these are the addresses of the
    S3 endpoint that the stack creates, and the pod identity agent of the node.
    """
    endpoint_addresses = {
        name for endpoint in subject.graph.of(_ENDPOINT) for name in sealing.fixed_addresses(endpoint)
    }
    identity_namespaces = {
        name_and_namespace(sealer.resource)[1] for sealer in sealing.sealers(subject.graph) if sealer.role
    }
    for policy in subject.graph.of(POLICY):
        if name_and_namespace(policy)[1] != namespace:
            continue
        for rule in at(policy.inputs, "spec.egress") or []:
            ports = [at(port, "port") for port in at(rule, "ports") or []]
            for peer in at(rule, "to") or []:
                block = at(peer, "ipBlock.cidr")
                if block == POD_IDENTITY_AGENT_CIDR and ports == [80] and namespace in identity_namespaces:
                    continue
                is_endpoint_address = (
                    isinstance(block, str) and block.removesuffix("/32") in endpoint_addresses
                )
                if is_endpoint_address and (store is None or store.address is None):
                    continue
                if is_unknown(block) or is_unknown(peer):
                    yield Violation(
                        f"the addresses that {policy.name} lets the sealer call are not known yet",
                        policy,
                        "undecided",
                    )
                elif not is_single_allowed_address(
                    block, [store.address] if store and store.address else None
                ) or (endpoint_addresses and namespace in identity_namespaces):
                    target = block or "pods of the cluster"
                    yield Violation(
                        f"{policy.name} lets the sealer reach {target}, which is not its store", policy
                    )


def _sealer_apart_scope(subject: Subject) -> Iterator[Resource]:
    """Resources that can break the sealer's isolation: pods beside it or with its folders, and RBAC roles."""
    namespaces = {pod.namespace for pod in sealer_pods(subject)}
    configs = [
        (mode, *name_and_namespace(resource))
        for mode in _READ_ONLY_FOLDERS
        for resource, _ in edge_configurations(subject, mode)
        if resource.type == _CONFIG
    ]
    for pod in pods(subject.graph):
        beside = pod.namespace in namespaces
        if beside or any(
            namespace == pod.namespace and _uses_config(pod, mode, name) for mode, name, namespace in configs
        ):
            yield pod.resource
    yield from (
        grant for grant in subject.graph.of(*IN_NAMESPACE) if name_and_namespace(grant)[1] in namespaces
    )
    yield from subject.graph.of(_CLUSTER_ROLE) if namespaces else ()


def _sealed_at_home_scope(subject: Subject) -> Iterator[Resource]:
    """Configurations of sealers, and network policies of their namespaces."""
    sealer_configs = [resource for resource, _ in edge_configurations(subject, "sealer")]
    namespaces = {name_and_namespace(resource)[1] for resource in sealer_configs if resource.type == _CONFIG}
    yield from sealer_configs
    yield from sealing.unread_pods(subject.graph)
    yield from (policy for policy in subject.graph.of(POLICY) if name_and_namespace(policy)[1] in namespaces)


RULES = (
    Rule(
        "audit/gateways-keep-records",
        "Gateways keep records, and a sealer seals them",
        "critical",
        (*fw.nist("AU-2", "AU-12"), *fw.pci("10.2.1"), *fw.iso_27001("A.8.15")),
        "Without a record nobody can show where a request went, or that it went nowhere else",
        "Give the gateway an audit volume, its Secret and a sealer",
        _check_gateways_record,
        (_CONFIG, TASK),
        applies_to=first_of_rows(_recording_gateways),
    ),
    Rule(
        "audit/sealer-apart",
        "The sealer is isolated from what writes the records",
        "critical",
        (*fw.nist("AU-9(4)", "AC-5"), *fw.pci("10.3.2")),
        "Whoever can both write and seal records can falsify them",
        "Run the sealer alone in its namespace without RBAC roles, and make each folder writable only for its writer",
        _check_sealers_apart,
        (*POD_KINDS, *IN_NAMESPACE, _CLUSTER_ROLE),
        applies_to=_sealer_apart_scope,
    ),
    Rule(
        "audit/sealed-at-home",
        "Records are sealed in their own site's store, for as long as their class requires",
        "critical",
        (*fw.nist("AU-9(2)", "AU-11"), *fw.pci("10.5.1"), *fw.iso_27001("A.5.33", "A.8.15")),
        "Records elsewhere, or locked for less time, may be changed or gone when they are needed",
        "Set the site's store and address, and retention_days to at least what the class requires",
        _check_sealed_at_home,
        (_CONFIG, TASK, POLICY, *POD_KINDS),
        applies_to=_sealed_at_home_scope,
    ),
)
