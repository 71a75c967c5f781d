"""Workload hardening: where what runs comes from, what it is given, and what guards the place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.graph.resources.resources import place
from policies.cost.capacity import class_spaces
from policies.inputs import operators as stated_operators
from policies.inputs.pods import KINDS, Pod, of_box, pods
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject
from policies.workload.hardening import TASK, tasks

_SECRET = re.compile(r"(PASSW(OR)?D|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|CREDENTIAL)", re.I)
_TELLS = re.compile(r"(_FILE|_PATH|_DIR|_URL|_URI|_NAME|_ARN|_ID|MAX_|_LIMIT|TOKENIZER|TOKENS)", re.I)
"""Names that speak of a place or a number, not of the secret itself."""
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def images(subject: Subject) -> Iterator[tuple[Any, str, Any]]:
    for pod in pods(subject.graph):
        for box in pod.boxes:
            yield pod.resource, f"container {box.get('name')} of {pod.resource.name}", box.get("image")
        for volume in _volumes(pod):
            reference = at(volume, "image.reference")
            if reference is not None or at(volume, "image") is not None:
                yield pod.resource, f"volume {at(volume, 'name')} of {pod.resource.name}", reference
    for task, box in tasks(subject):
        yield task, f"container {box.get('name')} of {task.name}", box.get("image")
    for model in subject.graph.of("aws:sagemaker/model:Model"):
        for box in [model.inputs.get("primaryContainer"), *(model.inputs.get("containers") or [])]:
            if isinstance(box, Mapping):
                yield model, model.name, box.get("image")


def _volumes(pod: Pod) -> list[Any]:
    """What a pod mounts; each may be an image itself. What is not known stands for a volume."""
    said = pod.spec.get("volumes")
    return said if isinstance(said, list) else [said] if unknown(said) else []


def _by_digest(subject: Subject) -> Iterator[Broken]:
    for resource, who, image in images(subject):
        # A registry's address may be unknown; a digest at the end decides all the same.
        if _DIGEST.search(str(image)):
            continue
        if unknown(image):
            yield Broken(f"the image of {who} is not known before the change is made", resource, "undecided")
        else:
            yield Broken(f"{who} runs {image}, which can change", resource)


def _from_our_registries(subject: Subject) -> Iterator[Broken]:
    allowed = registries(subject)
    for resource, who, image in images(subject) if allowed else ():
        if not str(image).startswith(tuple(allowed)):
            verdict = "undecided" if str(image).startswith("${") else "violated"
            yield Broken(f"{who} runs {image}, from no registry of ours", resource, verdict)


def registries(subject: Subject) -> list[str]:
    """From where images may come; none: nobody said, and any will do."""
    allowed = [f"{each.rstrip('/')}/" for each in subject.settings.figures.registries]
    if subject.platform is not None:
        allowed += [f"{each.rstrip('/')}/" for each in subject.platform.images.registries]
        hosted = subject.platform.images.sagemaker
        allowed += [f"{str(hosted).partition('/')[0]}/"] if hosted else []
    return allowed


def _no_token(subject: Subject) -> Iterator[Broken]:
    accounts = {
        (each.inputs.get("metadata") or {}).get("name"): each.inputs.get("automountServiceAccountToken")
        for each in subject.graph.of("kubernetes:core/v1:ServiceAccount")
    }
    for pod in pods(subject.graph):
        said = pod.spec.get("automountServiceAccountToken")
        if said is None:
            said = accounts.get(pod.spec.get("serviceAccountName"))
        if unknown(said):
            message = f"whether pods of {pod.resource.name} are given a token is not known before the change"
            yield Broken(message, pod.resource, "undecided")
        elif said is not False:
            message = f"pods of {pod.resource.name} are given a token of the cluster's API"
            yield Broken(message, pod.resource, patch="automountServiceAccountToken: false")


def _own_account(subject: Subject) -> Iterator[Broken]:
    for pod in pods(subject.graph):
        account = pod.spec.get("serviceAccountName") or pod.spec.get("serviceAccount")
        if account in (None, "default"):
            yield Broken(
                f"pods of {pod.resource.name} run as their namespace's default account", pod.resource
            )


def _no_secret_in_environment(subject: Subject) -> Iterator[Broken]:
    for pod in pods(subject.graph):
        for box in pod.boxes:
            for variable in box.get("env") or []:
                if at(variable, "valueFrom.secretKeyRef"):
                    yield of_box(pod, box, f"has a secret in its variable {variable.get('name')}")
                elif variable.get("value") and _sounds_secret(variable.get("name")):
                    yield of_box(pod, box, f"has {variable.get('name')} written in its variables")
            if any(isinstance(each, Mapping) and each.get("secretRef") for each in box.get("envFrom") or []):
                yield of_box(pod, box, "takes its variables from a secret")
    for task, box in tasks(subject):
        for variable in box.get("environment") or []:
            if _sounds_secret(variable.get("name")):
                name = variable.get("name")
                yield Broken(f"container {box.get('name')} of {task.name} has {name} written in it", task)


def _sounds_secret(name: Any) -> bool:
    return _SECRET.search(str(name)) is not None and _TELLS.search(str(name)) is None


def _namespaces_restricted(subject: Subject) -> Iterator[Broken]:
    for space in subject.graph.of("kubernetes:core/v1:Namespace"):
        labels = at(space.inputs, "metadata.labels")
        level = labels.get("pod-security.kubernetes.io/enforce") if isinstance(labels, Mapping) else labels
        if unknown(level):
            yield Broken(
                f"the labels of {space.name} are not known before the change is made", space, "undecided"
            )
        elif level != "restricted" and place(space)[0] not in stated_operators.namespaces(subject):
            said = f"enforces `{level}`" if level else "enforces nothing"
            patch = "pod-security.kubernetes.io/enforce: restricted"
            yield Broken(f"namespace {space.name} {said} of the Pod Security Standards", space, patch=patch)


def _default_limits(subject: Subject) -> Iterator[Broken]:
    ranges: dict[str, list[Any]] = {}
    for each in subject.graph.of("kubernetes:core/v1:LimitRange"):
        said = at(each.inputs, "spec.limits")
        ranges.setdefault(place(each)[1], []).extend(said if isinstance(said, list) else [said])
    for space in class_spaces(subject):
        name = place(space)[0]
        mine = ranges.get(name, [])
        defaults = [at(one, "default") for one in mine if unknown(one) or at(one, "type") == "Container"]
        if any(map(unknown, (*mine, *defaults))):
            yield Broken(f"what containers of {name} get by default is not known yet", space, "undecided")
            continue
        given = {key for one in defaults if isinstance(one, Mapping) for key in one}
        missing = sorted({"cpu", "memory"} - given)
        if missing:
            yield Broken(
                f"a container that states no limit of {' and '.join(missing)} has none in {name}", space
            )


def _not_default(subject: Subject) -> Iterator[Broken]:
    for pod in pods(subject.graph):
        if pod.namespace == "default":
            yield Broken(f"{pod.resource.name} stands in the namespace default", pod.resource)


def _metadata_guarded(subject: Subject) -> Iterator[Broken]:
    for kind in ("aws:ec2/launchTemplate:LaunchTemplate", "aws:ec2/instance:Instance"):
        for machine in subject.graph.of(kind):
            said = at(machine.inputs, "metadataOptions")
            tokens, hops = at(said, "httpTokens"), at(said, "httpPutResponseHopLimit")
            if unknown(said) or unknown(tokens) or unknown(hops):
                yield Broken(f"{machine.name}: its metadata options are not known yet", machine, "undecided")
                continue
            if at(said, "httpEndpoint") == "disabled":
                continue
            if tokens != "required":
                yield Broken(f"{machine.name} gives its credentials away without a token", machine)
            if not (isinstance(hops, int | float) and hops <= 1):
                yield Broken(f"{machine.name} lets pods ask for its own credentials", machine)


def _admission_denies(subject: Subject) -> Iterator[Broken]:
    family = "kubernetes:admissionregistration.k8s.io/"
    bound: set[str] = set()
    for each in subject.graph.of(":ValidatingAdmissionPolicyBinding"):
        bound.add(str(at(each.inputs, "spec.policyName")))
        acts = at(each.inputs, "spec.validationActions")
        if unknown(acts):
            yield Broken(f"what {each.name} does is not known before the change is made", each, "undecided")
        elif "Deny" not in (acts or []):
            yield Broken(f"{each.name} tells of what it should refuse", each)
    for each in subject.graph.of(":ValidatingAdmissionPolicy", ":ValidatingWebhookConfiguration"):
        if not each.type.startswith(family):
            continue
        hooks = each.inputs.get("webhooks") or [at(each.inputs, "spec") or {}]
        if any(at(hook, "failurePolicy") == "Ignore" for hook in hooks):
            yield Broken(f"{each.name} lets everything in when it cannot decide", each)
        name = str(at(each.inputs, "metadata.name"))
        if each.type.endswith(":ValidatingAdmissionPolicy") and name not in bound:
            text = json.dumps(sorted(bound))
            if f"${{{each.name}." not in text:
                yield Broken(f"{each.name} is bound to nothing", each)


_PODS = (*KINDS, TASK)
_cis = fw.cis_kubernetes
RULES = (
    Rule(
        "workload/images-by-digest",
        "Images are named by digest",
        "high",
        (*_cis("5.5.1"), *fw.owasp("LLM04"), *fw.nist("SR-11"), *fw.iso_27001("A.8.19")),
        "A tag can come to mean other code than was looked at",
        "Name the image by @sha256:, as `isthmus images --resolve` gives it",
        _by_digest,
        (*_PODS, "aws:sagemaker/model:Model"),
    ),
    Rule(
        "workload/our-registries",
        "Images come from registries of ours",
        "high",
        (*_cis("5.5.1"), *fw.owasp("LLM04"), *fw.iso_27001("A.5.21")),
        "What is pulled from elsewhere is scanned, mirrored and kept by nobody here",
        "Mirror the image and name our registry",
        _from_our_registries,
        _PODS,
    ),
    Rule(
        "workload/no-token",
        "Pods hold no token of the cluster's API",
        "high",
        _cis("5.1.6"),
        "A token in a model server is a way from a prompt to the cluster",
        "Set automountServiceAccountToken: false on the pod",
        _no_token,
        KINDS,
    ),
    Rule(
        "workload/own-account",
        "Pods run as an account of their own",
        "low",
        _cis("5.1.5"),
        "What is given to a namespace's default account is given to all of its pods",
        "Make a ServiceAccount and name it in serviceAccountName",
        _own_account,
        KINDS,
    ),
    Rule(
        "workload/no-secret-in-environment",
        "No secret stands in an environment variable",
        "high",
        (*_cis("5.4.1"), *fw.fsbp("ECS.8"), *fw.owasp("LLM02"), *fw.iso_27001("A.5.17")),
        "Variables end in crash dumps, child processes and whatever prints them",
        "Mount the secret as a file",
        _no_secret_in_environment,
        _PODS,
    ),
    Rule(
        "workload/namespaces-restricted",
        "Namespaces enforce the Pod Security Standard `restricted`",
        "high",
        (*_cis("5.2.1"), *fw.iso_27001("A.8.9")),
        "What no rule saw, an object made by hand among it, runs with whatever it asks for",
        "Label the namespace pod-security.kubernetes.io/enforce: restricted",
        _namespaces_restricted,
        ("kubernetes:core/v1:Namespace",),
    ),
    Rule(
        "workload/default-limits",
        "A class's namespace limits containers that state no limit",
        "medium",
        (*fw.nist("SC-6", "SC-5"), *fw.owasp("LLM06"), *fw.iso_27001("A.8.6")),
        "What somebody starts there by hand may take its machine from the class's models",
        "Add a LimitRange with defaults of cpu and memory for containers",
        _default_limits,
        ("kubernetes:core/v1:Namespace", "kubernetes:core/v1:LimitRange"),
    ),
    Rule(
        "workload/not-default-namespace",
        "Nothing runs in the namespace default",
        "low",
        _cis("5.7.4"),
        "Quotas, policies and rights go by namespace, and default has none of them",
        "Give the workload a namespace of its class",
        _not_default,
        KINDS,
    ),
    Rule(
        "workload/metadata-guarded",
        "Machines keep their credentials from their pods",
        "high",
        fw.fsbp("EC2.8"),
        "By the metadata service a pod becomes its node, whose role can pull every class's images",
        "Set httpTokens: required and httpPutResponseHopLimit: 1",
        _metadata_guarded,
        ("aws:ec2/launchTemplate:LaunchTemplate", "aws:ec2/instance:Instance"),
    ),
    Rule(
        "workload/admission-denies",
        "Admission refuses, also when it cannot decide",
        "high",
        (*fw.nist("CM-3", "SI-10"),),
        "A guard that only warns has let in what it warned of",
        "Set validationActions: [Deny] and failurePolicy: Fail, and bind each policy",
        _admission_denies,
    ),
)
