"""Rules for images, tokens, accounts, secrets, namespaces, machine metadata and admission policies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.cost.capacity import class_namespaces
from policies.inputs import operators as stated_operators
from policies.inputs.pods import POD_KINDS, Pod, container_violation, pods
from policies.inputs.selectors import first_of_rows, has_containers, pods_where, workloads
from policies.inputs.values import at, is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Applicable, Rule, Subject, Violation
from policies.workload.hardening import TASK, task_containers
from policies.workload.node_agents import agents_only

_SECRET = re.compile(r"(PASSW(OR)?D|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|CREDENTIAL)", re.I)
_NOT_SECRET = re.compile(r"(_FILE|_PATH|_DIR|_URL|_URI|_NAME|_ARN|_ID|MAX_|_LIMIT|TOKENIZER|TOKENS)", re.I)
"""Names of places or numbers, which are not secrets themselves."""
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def _images(subject: Subject) -> Iterator[tuple[Any, str, Any]]:
    for pod in pods(subject.graph):
        for container in pod.containers:
            if container.get("image") is None and pod.resource.type.endswith("Patch"):
                continue  # the object that it changes states the image
            yield (
                pod.resource,
                f"container {container.get('name')} of {pod.resource.name}",
                container.get("image"),
            )
        for volume in _volumes(pod):
            reference = at(volume, "image.reference")
            if reference is not None or at(volume, "image") is not None:
                yield pod.resource, f"volume {at(volume, 'name')} of {pod.resource.name}", reference
    for task, container in task_containers(subject):
        yield task, f"container {container.get('name')} of {task.name}", container.get("image")
    for model in subject.graph.of("aws:sagemaker/model:Model"):
        for container in [model.inputs.get("primaryContainer"), *(model.inputs.get("containers") or [])]:
            if isinstance(container, Mapping):
                yield model, model.name, container.get("image")


def _volumes(pod: Pod) -> list[Any]:
    """Volumes of a pod, which may be images. An unknown list counts as one unknown volume."""
    volumes = pod.spec.get("volumes")
    return volumes if isinstance(volumes, list) else [volumes] if is_unknown(volumes) else []


def _check_digests(subject: Subject) -> Iterator[Violation]:
    for resource, name, image in _images(subject):
        # The registry's address may be unknown; the digest at the end is enough.
        if _DIGEST.search(str(image)):
            continue
        if is_unknown(image):
            yield Violation(
                f"the image of {name} is not known before the change is made", resource, "undecided"
            )
        else:
            yield Violation(f"{name} runs {image}, which has no digest", resource)


def _check_registries(subject: Subject) -> Iterator[Violation]:
    allowed = _registries(subject)
    for resource, name, image in _images(subject) if allowed else ():
        if not str(image).startswith(tuple(allowed)):
            verdict = "undecided" if str(image).startswith("${") else "violated"
            yield Violation(f"{name} runs {image}, which is not from our registries", resource, verdict)


def _images_if_registries_stated(subject: Subject) -> Applicable:
    return first_of_rows(_images)(subject) if _registries(subject) else []


def _registries(subject: Subject) -> list[str]:
    """Prefixes of allowed images; empty: no registries are stated, so all are allowed."""
    allowed = [f"{registry.rstrip('/')}/" for registry in subject.settings.figures.registries]
    if subject.platform is not None:
        allowed += [f"{registry.rstrip('/')}/" for registry in subject.platform.images.registries]
        hosted = subject.platform.images.sagemaker
        allowed += [f"{str(hosted).partition('/')[0]}/"] if hosted else []
    return allowed


def _check_no_token(subject: Subject) -> Iterator[Violation]:
    accounts = {
        (account.inputs.get("metadata") or {}).get("name"): account.inputs.get("automountServiceAccountToken")
        for account in subject.graph.of("kubernetes:core/v1:ServiceAccount")
    }
    for pod in pods(subject.graph):
        token_setting = pod.spec.get("automountServiceAccountToken")
        if token_setting is None:
            token_setting = accounts.get(pod.spec.get("serviceAccountName"))
        if is_unknown(token_setting):
            message = (
                f"whether pods of {pod.resource.name} get a token is not known before the change is made"
            )
            yield Violation(message, pod.resource, "undecided")
        elif token_setting is not False:
            message = f"pods of {pod.resource.name} get a token for the cluster's API"
            yield Violation(message, pod.resource, patch="automountServiceAccountToken: false")


def _check_own_account(subject: Subject) -> Iterator[Violation]:
    for pod in pods(subject.graph):
        account = pod.spec.get("serviceAccountName") or pod.spec.get("serviceAccount")
        if account in (None, "default"):
            yield Violation(
                f"pods of {pod.resource.name} run as their namespace's default account", pod.resource
            )


_NO_SECRETS = (None, "", "true", "false")
"""Values of switches whose names sound like secrets."""


def _check_no_secret_in_environment(subject: Subject) -> Iterator[Violation]:
    for pod in pods(subject.graph):
        for container in pod.containers:
            for variable in container.get("env") or []:
                if at(variable, "valueFrom.secretKeyRef"):
                    yield container_violation(
                        pod, container, f"has a secret in the environment variable {variable.get('name')}"
                    )
                elif variable.get("value") not in _NO_SECRETS and _is_secret_name(variable.get("name")):
                    yield container_violation(
                        pod,
                        container,
                        f"has {variable.get('name')} in plain text in its environment variables",
                    )
            if any(
                isinstance(source, Mapping) and source.get("secretRef")
                for source in container.get("envFrom") or []
            ):
                yield container_violation(pod, container, "gets environment variables from a secret")
    for task, container in task_containers(subject):
        for variable in container.get("environment") or []:
            if _is_secret_name(variable.get("name")):
                name = variable.get("name")
                yield Violation(
                    f"container {container.get('name')} of {task.name} has {name} in plain text in its environment",
                    task,
                )


def _is_secret_name(name: Any) -> bool:
    return _SECRET.search(str(name)) is not None and _NOT_SECRET.search(str(name)) is None


def _check_namespaces_restricted(subject: Subject) -> Iterator[Violation]:
    for namespace in subject.graph.of("kubernetes:core/v1:Namespace"):
        labels = at(namespace.inputs, "metadata.labels")
        level = labels.get("pod-security.kubernetes.io/enforce") if isinstance(labels, Mapping) else labels
        if is_unknown(level):
            yield Violation(
                f"the labels of {namespace.name} are not known before the change is made",
                namespace,
                "undecided",
            )
        elif level != "restricted" and not _may_be_open(subject, name_and_namespace(namespace)[0]):
            state = (
                f"enforces the Pod Security Standard `{level}`"
                if level
                else "enforces no Pod Security Standard"
            )
            patch = "pod-security.kubernetes.io/enforce: restricted"
            yield Violation(f"namespace {namespace.name} {state}, not `restricted`", namespace, patch=patch)


def _may_be_open(subject: Subject, name: str) -> bool:
    """Whether a namespace is an operator's, or has agents of nodes only, which the trust file names."""
    return name in stated_operators.operator_namespaces(subject) or agents_only(subject, name)


def _restricted_namespaces(subject: Subject) -> Iterator[Resource]:
    """Namespaces, without those of operators."""
    for namespace in subject.graph.of("kubernetes:core/v1:Namespace"):
        if name_and_namespace(namespace)[0] not in stated_operators.operator_namespaces(subject):
            yield namespace


def _check_default_limits(subject: Subject) -> Iterator[Violation]:
    ranges: dict[str, list[Any]] = {}
    for limit_range in subject.graph.of("kubernetes:core/v1:LimitRange"):
        limits = at(limit_range.inputs, "spec.limits")
        ranges.setdefault(name_and_namespace(limit_range)[1], []).extend(
            limits if isinstance(limits, list) else [limits]
        )
    for namespace in class_namespaces(subject):
        name = name_and_namespace(namespace)[0]
        own_limits = ranges.get(name, [])
        defaults = [
            at(limit, "default")
            for limit in own_limits
            if is_unknown(limit) or at(limit, "type") == "Container"
        ]
        if any(map(is_unknown, (*own_limits, *defaults))):
            yield Violation(
                f"the default limits of namespace {name} are not known yet", namespace, "undecided"
            )
            continue
        defined = {key for default in defaults if isinstance(default, Mapping) for key in default}
        missing = sorted({"cpu", "memory"} - defined)
        if missing:
            yield Violation(f"namespace {name} has no default limit of {' and '.join(missing)}", namespace)


def _check_not_default_namespace(subject: Subject) -> Iterator[Violation]:
    for pod in pods(subject.graph):
        if pod.namespace == "default":
            yield Violation(f"{pod.resource.name} runs in the namespace default", pod.resource)


def _check_metadata_service(subject: Subject) -> Iterator[Violation]:
    for kind in ("aws:ec2/launchTemplate:LaunchTemplate", "aws:ec2/instance:Instance"):
        for machine in subject.graph.of(kind):
            options = at(machine.inputs, "metadataOptions")
            tokens, hops = at(options, "httpTokens"), at(options, "httpPutResponseHopLimit")
            if is_unknown(options) or is_unknown(tokens) or is_unknown(hops):
                yield Violation(
                    f"{machine.name}: its metadata options are not known yet", machine, "undecided"
                )
                continue
            if at(options, "httpEndpoint") == "disabled":
                continue
            if tokens != "required":
                yield Violation(
                    f"{machine.name} gives out its credentials without a session token (httpTokens is not required)",
                    machine,
                )
            if not (isinstance(hops, int | float) and hops <= 1):
                yield Violation(
                    f"{machine.name} lets pods get its credentials (httpPutResponseHopLimit is above 1)",
                    machine,
                )


def _check_admission_denies(subject: Subject) -> Iterator[Violation]:
    family = "kubernetes:admissionregistration.k8s.io/"
    bound: set[str] = set()
    for binding in subject.graph.of(":ValidatingAdmissionPolicyBinding"):
        bound.add(str(at(binding.inputs, "spec.policyName")))
        acts = at(binding.inputs, "spec.validationActions")
        if is_unknown(acts):
            yield Violation(
                f"the validation actions of {binding.name} are not known before the change is made",
                binding,
                "undecided",
            )
        elif "Deny" not in (acts or []):
            yield Violation(f"{binding.name} does not deny: validationActions lacks Deny", binding)
    for resource in subject.graph.of(":ValidatingAdmissionPolicy", ":ValidatingWebhookConfiguration"):
        if not resource.type.startswith(family):
            continue
        hooks = resource.inputs.get("webhooks") or [at(resource.inputs, "spec") or {}]
        if any(at(hook, "failurePolicy") == "Ignore" for hook in hooks):
            yield Violation(
                f"{resource.name} admits everything when it cannot decide (failurePolicy: Ignore)", resource
            )
        name = str(at(resource.inputs, "metadata.name"))
        if resource.type.endswith(":ValidatingAdmissionPolicy") and name not in bound:
            text = json.dumps(sorted(bound))
            if f"${{{resource.name}." not in text:
                yield Violation(f"{resource.name} has no binding, so it is not enforced", resource)


def _admission_objects(subject: Subject) -> Iterator[Resource]:
    yield from subject.graph.of(":ValidatingAdmissionPolicyBinding")
    for resource in subject.graph.of(":ValidatingAdmissionPolicy", ":ValidatingWebhookConfiguration"):
        if resource.type.startswith("kubernetes:admissionregistration.k8s.io/"):
            yield resource


_POD_TYPES = (*POD_KINDS, TASK)
_cis = fw.cis_kubernetes
RULES = (
    Rule(
        "workload/images-by-digest",
        "Images are named by digest",
        "high",
        (*_cis("5.5.1"), *fw.owasp("LLM04"), *fw.nist("SR-11"), *fw.iso_27001("A.8.19")),
        "A tag can point to code that nobody reviewed",
        "Set the image by @sha256:, as `isthmus images --resolve` prints it",
        _check_digests,
        (*_POD_TYPES, "aws:sagemaker/model:Model"),
        applies_to=first_of_rows(_images),
    ),
    Rule(
        "workload/our-registries",
        "Images come from our own registries",
        "high",
        (*_cis("5.5.1"), *fw.owasp("LLM04"), *fw.iso_27001("A.5.21")),
        "Images from elsewhere are not scanned, mirrored or kept by us",
        "Mirror the image, and use our registry",
        _check_registries,
        _POD_TYPES,
        applies_to=_images_if_registries_stated,
    ),
    Rule(
        "workload/no-token",
        "Pods have no token for the cluster's API",
        "high",
        _cis("5.1.6"),
        "A prompt that takes over a model server could use the token against the cluster",
        "Set automountServiceAccountToken: false on the pod",
        _check_no_token,
        POD_KINDS,
        applies_to=workloads,
    ),
    Rule(
        "workload/own-account",
        "Pods use their own service account",
        "low",
        _cis("5.1.5"),
        "Permissions of a namespace's default account apply to all of its pods",
        "Create a ServiceAccount and set serviceAccountName",
        _check_own_account,
        POD_KINDS,
        applies_to=workloads,
    ),
    Rule(
        "workload/no-secret-in-environment",
        "No secret is in an environment variable",
        "high",
        (*_cis("5.4.1"), *fw.fsbp("ECS.8"), *fw.owasp("LLM02"), *fw.iso_27001("A.5.17")),
        "Environment variables appear in crash dumps, child processes and logs",
        "Mount the secret as a file",
        _check_no_secret_in_environment,
        _POD_TYPES,
        applies_to=pods_where(has_containers, tasks=True),
    ),
    Rule(
        "workload/namespaces-restricted",
        "Namespaces enforce the Pod Security Standard `restricted`",
        "high",
        (*_cis("5.2.1"), *fw.iso_27001("A.8.9")),
        "Objects that no rule checked, such as hand-made ones, would run with any privilege",
        "Set the label pod-security.kubernetes.io/enforce: restricted on the namespace",
        _check_namespaces_restricted,
        ("kubernetes:core/v1:Namespace",),
        applies_to=_restricted_namespaces,
    ),
    Rule(
        "workload/default-limits",
        "Class namespaces set default limits for containers",
        "medium",
        (*fw.nist("SC-6", "SC-5"), *fw.owasp("LLM06"), *fw.iso_27001("A.8.6")),
        "A pod that somebody starts by hand could starve the class's models",
        "Add a LimitRange with defaults of cpu and memory for containers",
        _check_default_limits,
        ("kubernetes:core/v1:Namespace", "kubernetes:core/v1:LimitRange"),
        applies_to=class_namespaces,
    ),
    Rule(
        "workload/not-default-namespace",
        "Nothing runs in the namespace default",
        "low",
        _cis("5.7.4"),
        "The default namespace has no quotas, policies or permissions of a class",
        "Move the workload to a namespace of its class",
        _check_not_default_namespace,
        POD_KINDS,
        applies_to=workloads,
    ),
    Rule(
        "workload/metadata-guarded",
        "Pods cannot get the credentials of their machine",
        "high",
        fw.fsbp("EC2.8"),
        "Through the metadata service a pod gets the node's role, which can pull every class's images",
        "Set httpTokens: required and httpPutResponseHopLimit: 1",
        _check_metadata_service,
        ("aws:ec2/launchTemplate:LaunchTemplate", "aws:ec2/instance:Instance"),
    ),
    Rule(
        "workload/admission-denies",
        "Admission policies deny, also when they cannot decide",
        "high",
        (*fw.nist("CM-3", "SI-10"),),
        "A policy that only warns admits what it warned about",
        "Set validationActions: [Deny] and failurePolicy: Fail, and bind each policy",
        _check_admission_denies,
        applies_to=_admission_objects,
    ),
)
