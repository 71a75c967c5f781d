"""Audit: gateways keep records; who seals them stands apart from who writes them, and seals into the site's store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from isthmus.contracts.platform.model.aws.eks import AGENT
from isthmus.contracts.platform.model.platform import AuditStore
from isthmus.contracts.reference import handling
from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.graph.network.reachability import POLICY
from isthmus.graph.resources.resources import Resource, place
from isthmus.graph.workloads import sealers as sealing
from policies.inputs.documents import configurations
from policies.inputs.isolation import IN_NAMESPACE, RBAC, intruders, of_role, one_of
from policies.inputs.pods import KINDS, Pod, pods
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_CONFIG, TASK = "kubernetes:core/v1:ConfigMap", "aws:ecs/taskDefinition:TaskDefinition"
_ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
_EVERYWHERE = f"{RBAC}:ClusterRole"
_BOUND = f"{RBAC}:ClusterRoleBinding"
_LOOKS = {"get", "list", "watch"}
_RULES_PODS = {
    *("pods", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs", "configmaps"),
    *("secrets", "persistentvolumeclaims", "serviceaccounts", "networkpolicies", "roles", "rolebindings"),
}
"""By changing any of these somebody decides what a pod of the namespace is and may."""

_OTHERS = {"sealer": "records", "gateway": "audit.seals", "reviews": "audit.seals"}
"""By mode, under which key of its configuration the folder stands that is another's to write."""


def configured(subject: Subject, mode: str) -> Iterator[tuple[Resource, Any]]:
    """The edge's configurations of a mode, in clusters and on Fargate."""
    for resource, _, config in configurations(subject.graph):
        if at(config, "mode") == mode:
            yield resource, config


def recorded(subject: Subject) -> Iterator[tuple[Resource, Any]]:
    """Gateways that keep records, and where people decide upon their answers: of a platform those of which it states
    it, else all."""
    for resource, config in (*configured(subject, "gateway"), *configured(subject, "reviews")):
        stated = subject.platform.gateways if subject.platform else []
        here = (at(config, "class"), at(config, "site"))
        mine = [each for each in stated if (each.class_, each.site) == here]
        if subject.platform is None or any(each.audit is not None for each in mine):
            yield resource, config


def _recorded(subject: Subject) -> Iterator[Broken]:
    for resource, config in recorded(subject):
        for key in ("records", "seals", "seal_key", "site_key"):
            value = at(config, f"audit.{key}")
            if unknown(value):
                yield Broken(f"audit.{key} of {resource.name} is not known yet", resource, "undecided")
            elif not value:
                yield Broken(f"{resource.name} keeps no records: it names no audit.{key}", resource)


def sealers(subject: Subject) -> list[Pod]:
    """Pods that seal."""
    return of_role(subject, "sealer")


def _apart(subject: Subject) -> Iterator[Broken]:
    yield from intruders(subject, "sealer", "the sealer", "its")
    yield from _rights_everywhere(subject) if sealers(subject) else ()
    for mode, key in _OTHERS.items():
        for resource, config in configured(subject, mode):
            if resource.type != _CONFIG:
                continue  # tasks' folders are `policies.audit.aws_sealing`' to judge
            yield from _only_reads(subject, mode, resource, str(at(config, key) or ""))


def _rights_everywhere(subject: Subject) -> Iterator[Broken]:
    """Roles of the whole cluster that reach into every namespace, the sealers' among them."""
    bound = {str(at(each.inputs, "roleRef.name")) for each in subject.graph.of(_BOUND)}
    for role in subject.graph.of(_EVERYWHERE):
        if place(role)[0] not in bound:
            continue
        for rule in role.inputs.get("rules") or []:
            reached = _RULES_PODS & set(at(rule, "resources") or [])
            if set(at(rule, "verbs") or []) - _LOOKS and reached:
                what = ", ".join(sorted(reached))
                yield Broken(f"{role.name} changes {what} in every namespace, the sealers' too", role)


def _only_reads(subject: Subject, mode: str, config: Resource, folder: str) -> Iterator[Broken]:
    """Pods that run by a configuration mount a folder read-only, where they mount it."""
    name, space = place(config)
    for pod in pods(subject.graph):
        if pod.namespace != space or not _runs_by(pod, mode, name):
            continue
        for box in pod.boxes:
            for mount in box.get("volumeMounts") or []:
                if folder and at(mount, "mountPath") == folder and at(mount, "readOnly") is not True:
                    yield Broken(
                        f"{pod.resource.name} can write {folder}, which is another's to write", pod.resource
                    )


def _runs_by(pod: Pod, mode: str, config: str) -> bool:
    """By its role, or by the configuration that it mounts: what that is called is known after the change only."""
    volumes = pod.spec.get("volumes")
    named = [at(each, "configMap.name") for each in volumes] if isinstance(volumes, list) else []
    return pod.role == mode or config in named


def _at_home(subject: Subject) -> Iterator[Broken]:
    for resource, config in configured(subject, "sealer"):
        class_, site = str(at(config, "class")), str(at(config, "site"))
        store = _store(subject, site)
        for key in ("endpoint", "bucket"):
            value, wanted = at(config, f"store.{key}"), getattr(store, key) if store else None
            if key == "bucket" and wanted is None and _locked(subject, value):
                continue
            if unknown(value):
                yield Broken(f"the store's {key} of {resource.name} is not known yet", resource, "undecided")
            elif wanted is not None and value != wanted:
                yield Broken(
                    f"{resource.name} seals into {value}, and the store of {site} is {wanted}", resource
                )
            elif key == "endpoint" and store and wanted is None and not _aws_own(subject, site, value):
                yield Broken(f"{resource.name} seals into {value}, and the store of {site} is S3", resource)
        days = at(config, "store.retention_days")
        least = handling.of(class_).records_months_min * 365 // 12 if class_ in SENSITIVITIES else 0
        if unknown(days):
            yield Broken(f"how long {resource.name} locks seals is not known yet", resource, "undecided")
        elif not isinstance(days, int | float) or days < least:
            yield Broken(
                f"{resource.name} locks seals for {days} days, and {class_} records are kept {least}",
                resource,
            )
        if resource.type == _CONFIG:
            yield from _one_way(subject, place(resource)[1], store)
    for resource in sealing.unread(subject.graph):
        yield Broken(
            f"the configuration of {resource.name} is not known before it is made", resource, "undecided"
        )


def _locked(subject: Subject, bucket: Any) -> bool:
    """Whether it is a write-once bucket that is made here."""
    found = subject.graph.referred(str(bucket or ""), ":Bucket")
    return bool(found) and all(at(each.inputs, "objectLockEnabled") is True for each in found)


def _aws_own(subject: Subject, site: str, endpoint: Any) -> bool:
    """Whether an endpoint is S3's own of the site's region; without one it is."""
    if endpoint is None or subject.platform is None:
        return True
    region = next((each.region for each in subject.platform.sites if each.name == site), None)
    host = str(urlsplit(str(endpoint)).hostname)
    return any(host == f"s3.{region}.{end}" for end in ("amazonaws.com", "amazonaws.com.cn", "amazonaws.eu"))


def _store(subject: Subject, site: str) -> AuditStore | None:
    stores = subject.platform.audit if subject.platform else []
    return next((each for each in stores if each.site == site), None)


def _one_way(subject: Subject, space: str, store: AuditStore | None) -> Iterator[Broken]:
    """The sealers' namespace is let out to one address: the store's, where the platform states it. In a cluster in AWS
    to those of an endpoint of S3 that is made for it, and to what hands out the sealer's identity on its machine."""
    own = {name for each in subject.graph.of(_ENDPOINT) for name in sealing.fixed(each)}
    born = {place(each.resource)[1] for each in sealing.sealers(subject.graph) if each.role}
    for policy in subject.graph.of(POLICY):
        if place(policy)[1] != space:
            continue
        for rule in at(policy.inputs, "spec.egress") or []:
            ports = [at(each, "port") for each in at(rule, "ports") or []]
            for peer in at(rule, "to") or []:
                block = at(peer, "ipBlock.cidr")
                if block == AGENT and ports == [80] and space in born:
                    continue
                ours = isinstance(block, str) and block.removesuffix("/32") in own
                if ours and (store is None or store.address is None):
                    continue
                if unknown(block) or unknown(peer):
                    yield Broken(
                        f"whom {policy.name} lets the sealer call is not known yet", policy, "undecided"
                    )
                elif not one_of(block, [store.address] if store and store.address else None) or (
                    own and space in born
                ):
                    where = block or "pods of the cluster"
                    yield Broken(
                        f"{policy.name} lets the sealer reach {where}, which is not its store", policy
                    )


def judged_apart(subject: Subject) -> Iterator[Resource]:
    """What can bring a sealer together with others: pods that run beside it or by either's folder, and rights."""
    spaces = {pod.namespace for pod in sealers(subject)}
    told = [
        (mode, *place(each))
        for mode in _OTHERS
        for each, _ in configured(subject, mode)
        if each.type == _CONFIG
    ]
    for pod in pods(subject.graph):
        beside = pod.namespace in spaces
        if beside or any(space == pod.namespace and _runs_by(pod, mode, name) for mode, name, space in told):
            yield pod.resource
    yield from (each for each in subject.graph.of(*IN_NAMESPACE) if place(each)[1] in spaces)
    yield from subject.graph.of(_EVERYWHERE) if spaces else ()


def judged_at_home(subject: Subject) -> Iterator[Resource]:
    """Sealers' configurations, and what lets them out."""
    found = [resource for resource, _ in configured(subject, "sealer")]
    spaces = {place(each)[1] for each in found if each.type == _CONFIG}
    yield from found
    yield from sealing.unread(subject.graph)
    yield from (each for each in subject.graph.of(POLICY) if place(each)[1] in spaces)


RULES = (
    Rule(
        "audit/gateways-keep-records",
        "Gateways keep records that somebody seals",
        "critical",
        (*fw.nist("AU-2", "AU-12"), *fw.pci("10.2.1"), *fw.iso_27001("A.8.15")),
        "Of a request that is not on record nobody can show where it went, nor that it went nowhere else",
        "Give the gateway its audit volume, its Secret and a sealer",
        _recorded,
        (_CONFIG, TASK),
    ),
    Rule(
        "audit/sealer-apart",
        "Who seals records stands apart from who writes them",
        "critical",
        (*fw.nist("AU-9(4)", "AC-5"), *fw.pci("10.3.2")),
        "Whoever may write records and seal them can make what was seem otherwise",
        "Leave the sealer alone in its namespace, with no role in it, and each folder to the one that writes it",
        _apart,
        (*KINDS, *IN_NAMESPACE, _EVERYWHERE),
    ),
    Rule(
        "audit/sealed-at-home",
        "Records are sealed in their own site's store, for as long as their class keeps them",
        "critical",
        (*fw.nist("AU-9(2)", "AU-11"), *fw.pci("10.5.1"), *fw.iso_27001("A.5.33", "A.8.15")),
        "Records in another place, or locked for less, are in somebody else's hands when they are asked for",
        "Name the site's store and its address, and the days that the class demands",
        _at_home,
        (_CONFIG, TASK, POLICY, *KINDS),
    ),
)
