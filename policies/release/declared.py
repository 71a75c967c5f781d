"""Model release as the platform states it: these weights, from this place, in this precision, for these workloads."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.platform.lookups.serving import claim_of
from isthmus.contracts.platform.model.platform import Endpoint, Platform, Workload
from isthmus.contracts.vocabulary import CALLED_TARGETS, WHILE_LOADING
from isthmus.graph.resources.resources import Resource, place
from policies.inputs.declared import endpoint, released, spaces, tag
from policies.inputs.documents import configurations
from policies.inputs.pods import Pod, not_known, of_box, pods, told
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
_MODEL = "aws:sagemaker/model:Model"
_DEPLOYMENTS = ("kubernetes:apps/v1:Deployment", ":LeaderWorkerSet")
WEIGHTS = "isthmus.dev/weights-digest"
_VARIABLE = "SM_VLLM_"
_READ_ONLY = "ReadOnlyMany"
_MODULES = "--lora-modules"
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*$")


def served(subject: Subject) -> Iterator[tuple[Pod, Endpoint]]:
    """Pods of the platform's endpoints whose release it states."""
    for pod in pods(subject.graph):
        one = endpoint(subject, pod.labels)
        if one is not None and released(one) and pod.role == "model":
            yield pod, one


def holding_weights(subject: Subject) -> Iterator[Resource]:
    """Claims on volumes that hold weights already; a cache that is filled here is verified at each start instead."""
    for claim in subject.graph.of(_CLAIM):
        notes = at(claim.inputs, "metadata.annotations")
        if isinstance(notes, Mapping) and WEIGHTS in notes:
            yield claim


def _sealed(subject: Subject) -> Iterator[Broken]:
    for claim in holding_weights(subject):
        modes = at(claim.inputs, "spec.accessModes")
        if unknown(modes):
            yield Broken(
                f"whether the weights of {claim.name} may be written is not known yet", claim, "undecided"
            )
        elif modes != [_READ_ONLY]:
            said = ", ".join(map(str, modes)) if isinstance(modes, list) else "nothing"
            yield Broken(f"the weights of {claim.name} may be written: it is claimed as {said}", claim)


def _claimed(platform: Platform) -> dict[tuple[str, str], set[str]]:
    """Volumes that a class's claims are stated to be bound to, by class and the claim's name."""
    found: dict[tuple[str, str], set[str]] = {}
    for one in platform.endpoints:
        known = claim_of(one) if released(one) else None
        if known and one.weights and one.weights.volume:
            found.setdefault((one.class_, known), set()).add(one.weights.volume)
    return found


def _places(subject: Subject) -> Iterator[Broken]:
    for claim, volume, wanted in bound(subject):
        if volume in wanted:
            continue
        if unknown(volume):
            yield Broken(f"which volume {claim.name} is bound to is not known yet", claim, "undecided")
        else:
            said = f"{claim.name} is bound to volume {volume or 'of any name'}, and the platform states"
            yield Broken(f"{said} {', '.join(sorted(wanted))}", claim)
    for pod, said, claimed in mounted(subject):
        if said != claimed:
            verdict = "undecided" if unknown(said) else "violated"
            what = f"{pod.name} takes its weights from claim {said}, and the platform states {claimed}"
            yield Broken(what, pod, verdict)
    for model, said, wanted in hosted(subject):
        if str(said).rstrip("/") not in wanted:
            verdict = "undecided" if unknown(said) else "violated"
            what = f"{model.name} takes its weights from {said}, and the platform states"
            yield Broken(f"{what} {', '.join(sorted(wanted))}", model, verdict)


def mounted(subject: Subject) -> Iterator[tuple[Resource, Any, str]]:
    """Claims from which a stated endpoint's pods take what they serve, with the one that is stated."""
    for pod, one in served(subject):
        wanted = claim_of(one)
        for volume in pod.spec.get("volumes") or []:
            said = at(volume, "persistentVolumeClaim.claimName")
            if wanted is not None and said is not None and _mounted(pod, volume):
                yield pod.resource, said, wanted


def _mounted(pod: Pod, volume: Any) -> bool:
    """Whether a container that serves models mounts the volume."""
    return any(
        at(mount, "name") == at(volume, "name")
        for box in pod.spec.get("containers") or []
        for mount in box.get("volumeMounts") or []
    )


def bound(subject: Subject) -> Iterator[tuple[Resource, Any, set[str]]]:
    """Claims of stated weights, the volume that each is bound to, and those that are stated."""
    stated = _claimed(subject.platform) if subject.platform else {}
    for claim in subject.graph.of(_CLAIM):
        name, space = place(claim)
        wanted = stated.get((spaces(subject.graph).get(space, ""), name))
        if wanted is not None:
            yield claim, at(claim.inputs, "spec.volumeName"), wanted


def hosted(subject: Subject) -> Iterator[tuple[Resource, Any, set[str]]]:
    """Where models on SageMaker take their weights from, and from where they may."""
    for model in subject.graph.of(_MODEL):
        for said, wanted in _hosted(subject, model):
            yield model, said, wanted


def _hosted(subject: Subject, model: Resource) -> Iterator[tuple[Any, set[str]]]:
    named = tag(model, "isthmus.dev/endpoint")
    every = subject.platform.endpoints if subject.platform else []
    one = next((each for each in every if each.id == named and released(each)), None)
    if one is None or one.weights is None:
        return
    shadow = one.sagemaker.shadow.uri if one.sagemaker and one.sagemaker.shadow else None
    wanted = {each.rstrip("/") for each in (one.weights.uri, shadow) if each}
    boxes = [model.inputs.get("primaryContainer"), *(model.inputs.get("containers") or [])]
    for box in boxes:
        sources = [at(each, "s3Uri") for each in at(box, "modelDataSource.s3DataSources") or []]
        for said in (*sources, at(box, "modelDataUrl")):
            if said is not None:
                yield said, wanted


def modules(words: list[str]) -> Iterator[str]:
    """Names of the adapters that an engine is started with; each is `NAME=PATH`, or JSON that names it."""
    taking = False
    for word in words:
        flag, _, rest = word.partition("=")
        if flag == _MODULES:
            taking = True
            word = rest
        elif word.startswith("-"):
            taking = False
        if taking and word:
            found = re.search(r'"name"\s*:\s*"([^"]+)"', word)
            yield found[1] if found else word.partition("=")[0]


def _adapters(subject: Subject) -> Iterator[Broken]:
    for pod, one in served(subject):
        known = {each.name for each in one.adapters}
        for box in pod.boxes:
            for name in modules(told(box)):
                if unknown(name):
                    yield not_known(pod, box, "an adapter")
                elif name not in known:
                    yield of_box(pod, box, f"loads adapter {name}, which the platform does not state")


def engines(subject: Subject) -> Iterator[tuple[Pod, Endpoint, Mapping[str, Any], list[str]]]:
    """Containers that serve a stated endpoint's model, and the words that they are started with."""
    for pod, one in served(subject):
        yield from ((pod, one, box, told(box)) for box in pod.boxes if told(box)[:2] == ["vllm", "serve"])


def _precisions(subject: Subject) -> Iterator[Broken]:
    for pod, one, box, words in engines(subject):
        stored = one.weights.precision if one.weights else None
        wanted = one.precision or stored
        said = [word.partition("=")[2] for word in words if word.startswith(("--quantization=", "-q="))]
        said += [after for before, after in itertools.pairwise(words) if before in ("--quantization", "-q")]
        # What is stored so is served so without a word; what is made so while it is loaded needs one.
        needs = wanted if wanted != stored and wanted in WHILE_LOADING else None
        chosen = said[-1] if said else None
        if unknown(chosen) or (chosen is None and any(map(unknown, words))):
            yield not_known(pod, box, "its precision")
        elif chosen != needs and chosen not in ({wanted} if wanted == stored else set()):
            what = f"is served in {chosen or 'the precision that it is stored in'}"
            yield of_box(
                pod, box, f"{what}, and the platform states {wanted or 'no other than it is stored in'}"
            )


def routed(subject: Subject) -> Iterator[tuple[Resource, Any, Workload]]:
    """Each route of a gateway for a workload that the platform states."""
    platform = subject.platform
    if platform is None:
        return
    for resource, _, config in configurations(subject.graph):
        if at(config, "mode") != "gateway":
            continue
        workloads = {
            each.name: each
            for gateway in platform.gateways
            if gateway.class_ == at(config, "class")
            for each in gateway.workloads
        }
        for route in at(config, "routes") or []:
            workload = workloads.get(str(at(route, "workload")))
            if workload is not None:  # whether there is such a workload is the data path's to say
                yield resource, route, workload


def _routes(subject: Subject) -> Iterator[Broken]:
    endpoints = {each.id: each for each in subject.platform.endpoints} if subject.platform else {}
    for resource, route, workload in routed(subject):
        yield from _route(resource, route, workload, endpoints)


def _route(
    resource: Resource, route: Any, workload: Workload, endpoints: Mapping[str, Endpoint]
) -> Iterator[Broken]:
    answers = {
        name for each in (workload.endpoint, *workload.overflow) for name in _asked(endpoints[each], workload)
    }
    yield from _one(resource, workload, at(route, "model"), answers, "answered by")
    canary = at(route, "canary")
    if canary is None:
        return
    stated = workload.canary
    share = f"{at(canary, 'percent')} % of"
    if stated is None:
        what = f"{share} {workload.name}'s requests go to {at(canary, 'model')}, and the platform states no canary"
        yield Broken(what, resource)
        return
    allowed = _asked(endpoints[stated.endpoint], workload)
    yield from _one(resource, workload, at(canary, "model"), allowed, f"{share} it answered by")
    percent = at(canary, "percent")
    if not isinstance(percent, int | float) or percent > stated.percent:
        verdict = "undecided" if unknown(percent) else "violated"
        what = (
            f"{share} {workload.name}'s requests go to its canary, and the platform states {stated.percent:g}"
        )
        yield Broken(what, resource, verdict)


def _asked(one: Endpoint, workload: Workload) -> set[str]:
    """By which name a gateway asks for an endpoint on a workload's account: a translator's models are per workload."""
    if one.target in CALLED_TARGETS:
        return {f"{one.id}--{workload.name}", one.id}
    return {workload.adapter or one.model}


def _one(resource: Resource, workload: Workload, said: Any, allowed: set[str], how: str) -> Iterator[Broken]:
    if str(said) in allowed:
        return
    verdict = "undecided" if unknown(said) else "violated"
    what = f"{workload.name} is {how} {said or 'no model that is named'} in {resource.name}"
    yield Broken(f"{what}, and the platform states {' or '.join(sorted(allowed))}", resource, verdict)


RULES = (
    Rule(
        "release/weights-sealed",
        "Volumes of released weights are claimed to be read",
        "high",
        (*fw.owasp("LLM04"), *fw.nist("CM-5"), *fw.atlas("AML.M0005"), *fw.iso_27001("A.8.3")),
        "Whoever may write the volume changes what every replica serves at its next start",
        "Set accessModes: [ReadOnlyMany]",
        _sealed,
        (_CLAIM,),
    ),
    Rule(
        "release/weights-from-their-place",
        "Weights come from where the platform states",
        "high",
        (*fw.owasp("LLM04"), *fw.nist("SR-4"), *fw.iso_27001("A.5.21")),
        "Another volume or bucket holds what nobody evaluated, under the digest of what somebody did",
        "Mount the platform's claim, bound to its volume; on SageMaker name its prefix",
        _places,
        (_CLAIM, *_DEPLOYMENTS, _MODEL),
    ),
    Rule(
        "release/adapters-stated",
        "Adapters are those that the platform states",
        "high",
        (*fw.owasp("LLM04"), *fw.nist("CM-7(5)")),
        "An adapter is weights of its own: it makes another model of the one that was evaluated",
        "State the adapter at its endpoint, with what it was evaluated by, or take it away",
        _adapters,
        _DEPLOYMENTS,
    ),
    Rule(
        "release/precision-stated",
        "Models are served in the precision that the platform states",
        "medium",
        (*fw.nist("CM-2"), *fw.owasp("LLM04"), *fw.iso_27001("A.8.9")),
        "Another precision answers otherwise than the model that was evaluated",
        "State the precision at the endpoint, and serve in it",
        _precisions,
        _DEPLOYMENTS,
    ),
    Rule(
        "release/routes-stated",
        "Requests are answered by the model, and the canary, that the platform states",
        "high",
        (*fw.nist("CM-2", "CM-3"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "A model that nobody released answers a workload, and nothing but the route says so",
        "Send the workload to the platform's endpoint; state a canary there with its share",
        _routes,
    ),
)
