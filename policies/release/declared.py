"""Rules that compare a model release with the platform: weights, their source, adapters, precision, routes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from isthmus.contracts.platform.lookups.serving import claim_of
from isthmus.contracts.platform.model.platform import Endpoint, Platform, Workload
from isthmus.contracts.vocabulary import CALLED_TARGETS, PRECISIONS_MADE_WHILE_LOADING
from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.inputs.declared import find_endpoint, has_weights_digest, namespace_sensitivities, tag
from policies.inputs.documents import gateway_configurations
from policies.inputs.pods import Pod, command_line, container_undecided, container_violation, pods
from policies.inputs.selectors import first_of_rows
from policies.inputs.values import at, has_unknown, is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
_MODEL = "aws:sagemaker/model:Model"
_DEPLOYMENTS = ("kubernetes:apps/v1:Deployment", ":LeaderWorkerSet")
WEIGHTS = "isthmus.dev/weights-digest"
_READ_ONLY = "ReadOnlyMany"
_MODULES = "--lora-modules"
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*$")


def _stated_model_pods(subject: Subject) -> Iterator[tuple[Pod, Endpoint]]:
    """Model pods with their endpoint, if the platform states the digest of its weights."""
    for pod in pods(subject.graph):
        endpoint = find_endpoint(subject, pod.labels)
        if endpoint is not None and has_weights_digest(endpoint) and pod.role == "model":
            yield pod, endpoint


def _weight_claims(subject: Subject) -> Iterator[Resource]:
    """Claims on volumes that already hold weights. A cache that is filled here is verified at each start instead."""
    for claim in subject.graph.of(_CLAIM):
        notes = at(claim.inputs, "metadata.annotations")
        if isinstance(notes, Mapping) and WEIGHTS in notes:
            yield claim


def _check_weights_read_only(subject: Subject) -> Iterator[Violation]:
    for claim in _weight_claims(subject):
        modes = at(claim.inputs, "spec.accessModes")
        if is_unknown(modes):
            yield Violation(f"the access mode of {claim.name} is not known yet", claim, "undecided")
        elif modes != [_READ_ONLY]:
            modes_text = ", ".join(map(str, modes)) if isinstance(modes, list) else "nothing"
            yield Violation(
                f"the weights of {claim.name} are writable: its access mode is {modes_text}, not ReadOnlyMany",
                claim,
            )


def _stated_volumes(platform: Platform) -> dict[tuple[str, str], set[str]]:
    """The volumes that the platform states for claims, by class and name of the claim."""
    volumes: dict[tuple[str, str], set[str]] = {}
    for endpoint in platform.endpoints:
        claim = claim_of(endpoint) if has_weights_digest(endpoint) else None
        if claim and endpoint.weights and endpoint.weights.volume:
            volumes.setdefault((endpoint.class_, claim), set()).add(endpoint.weights.volume)
    return volumes


def _check_weight_sources(subject: Subject) -> Iterator[Violation]:
    for claim, volume, expected in _bound_claims(subject):
        if volume in expected:
            continue
        if is_unknown(volume):
            yield Violation(f"the volume that {claim.name} is bound to is not known yet", claim, "undecided")
        else:
            volume_text = f"volume {volume}" if volume else "any volume"
            problem = f"{claim.name} is bound to {volume_text}, but the platform states {', '.join(sorted(expected))}"
            yield Violation(problem, claim)
    for pod, source, claimed in _mounted_claims(subject):
        if source != claimed:
            verdict = "undecided" if is_unknown(source) else "violated"
            problem = f"{pod.name} loads its weights from claim {source}, but the platform states {claimed}"
            yield Violation(problem, pod, verdict)
    for model, source, expected in _hosted_sources(subject):
        if str(source).rstrip("/") not in expected:
            verdict = "undecided" if is_unknown(source) else "violated"
            problem = f"{model.name} loads its weights from {source}, but the platform states"
            yield Violation(f"{problem} {', '.join(sorted(expected))}", model, verdict)


def _weight_sources(subject: Subject) -> Iterator[Resource]:
    yield from (resource for resource, _, _ in _bound_claims(subject))
    yield from (resource for resource, _, _ in _mounted_claims(subject))
    yield from (resource for resource, _, _ in _hosted_sources(subject))


def _mounted_claims(subject: Subject) -> Iterator[tuple[Resource, Any, str]]:
    """Pods of stated endpoints, the claim that each loads weights from, and the claim that the platform states."""
    for pod, endpoint in _stated_model_pods(subject):
        expected = claim_of(endpoint)
        for volume in pod.spec.get("volumes") or []:
            claim = at(volume, "persistentVolumeClaim.claimName")
            if expected is not None and claim is not None and _is_mounted(pod, volume):
                yield pod.resource, claim, expected


def _is_mounted(pod: Pod, volume: Any) -> bool:
    """Whether a container that serves models mounts the volume."""
    return any(
        at(mount, "name") == at(volume, "name")
        for container in pod.spec.get("containers") or []
        for mount in container.get("volumeMounts") or []
    )


def _bound_claims(subject: Subject) -> Iterator[tuple[Resource, Any, set[str]]]:
    """Claims of stated weights, the volume that each is bound to, and the volumes that the platform states."""
    volumes_by_claim = _stated_volumes(subject.platform) if subject.platform else {}
    for claim in subject.graph.of(_CLAIM):
        name, namespace = name_and_namespace(claim)
        expected = volumes_by_claim.get((namespace_sensitivities(subject.graph).get(namespace, ""), name))
        if expected is not None:
            yield claim, at(claim.inputs, "spec.volumeName"), expected


def _hosted_sources(subject: Subject) -> Iterator[tuple[Resource, Any, set[str]]]:
    """SageMaker models, the source of their weights, and the sources that the platform states."""
    for model in subject.graph.of(_MODEL):
        for source, expected in _sources_of_model(subject, model):
            yield model, source, expected


def _sources_of_model(subject: Subject, model: Resource) -> Iterator[tuple[Any, set[str]]]:
    endpoint_id = tag(model, "isthmus.dev/endpoint")
    endpoints = subject.platform.endpoints if subject.platform else []
    endpoint = next(
        (
            candidate
            for candidate in endpoints
            if candidate.id == endpoint_id and has_weights_digest(candidate)
        ),
        None,
    )
    if endpoint is None or endpoint.weights is None:
        return
    shadow = endpoint.sagemaker.shadow.uri if endpoint.sagemaker and endpoint.sagemaker.shadow else None
    expected = {uri.rstrip("/") for uri in (endpoint.weights.uri, shadow) if uri}
    hosted_containers = [model.inputs.get("primaryContainer"), *(model.inputs.get("containers") or [])]
    for container in hosted_containers:
        sources = [
            at(s3_source, "s3Uri") for s3_source in at(container, "modelDataSource.s3DataSources") or []
        ]
        for source in (*sources, at(container, "modelDataUrl")):
            if source is not None:
                yield source, expected


def _adapter_names(arguments: list[str]) -> Iterator[str]:
    """Names of the adapters in vLLM's arguments, where each is `NAME=PATH` or JSON with a name."""
    taking = False
    for argument in arguments:
        flag, _, value = argument.partition("=")
        if flag == _MODULES:
            taking = True
            argument = value
        elif argument.startswith("-"):
            taking = False
        if taking and argument:
            match = re.search(r'"name"\s*:\s*"([^"]+)"', argument)
            yield match[1] if match else argument.partition("=")[0]


def _check_adapters(subject: Subject) -> Iterator[Violation]:
    for pod, endpoint in _stated_model_pods(subject):
        adapters = {adapter.name for adapter in endpoint.adapters}
        for container in pod.containers:
            for name in _adapter_names(command_line(container)):
                if is_unknown(name):
                    yield container_undecided(pod, container, "the name of an adapter")
                elif name not in adapters:
                    yield container_violation(
                        pod, container, f"loads adapter {name}, which the platform does not state"
                    )


def _servers_with_readable_adapters(subject: Subject) -> Iterator[Resource]:
    """Servers whose arguments are known, or that name an adapter."""
    for pod, _ in _stated_model_pods(subject):
        command_lines = [command_line(container) for container in pod.containers]
        if any(any(_adapter_names(command_line)) for command_line in command_lines) or not any(
            is_unknown(argument) for command_line in command_lines for argument in command_line
        ):
            yield pod.resource


def _stated_engines(subject: Subject) -> Iterator[tuple[Pod, Endpoint, Mapping[str, Any], list[str]]]:
    """vLLM containers of stated endpoints: pod, endpoint, container, command line."""
    for pod, endpoint in _stated_model_pods(subject):
        yield from (
            (pod, endpoint, container, command_line(container))
            for container in pod.containers
            if command_line(container)[:2] == ["vllm", "serve"]
        )


def _check_precisions(subject: Subject) -> Iterator[Violation]:
    for pod, endpoint, container, arguments in _stated_engines(subject):
        stored = endpoint.weights.precision if endpoint.weights else None
        expected = endpoint.precision or stored
        values = [
            argument.partition("=")[2]
            for argument in arguments
            if argument.startswith(("--quantization=", "-q="))
        ]
        values += [
            after for before, after in itertools.pairwise(arguments) if before in ("--quantization", "-q")
        ]
        # A stored precision needs no flag; a precision that vLLM makes while loading needs one.
        needed_flag = expected if expected != stored and expected in PRECISIONS_MADE_WHILE_LOADING else None
        precision = values[-1] if values else None
        if is_unknown(precision) or (precision is None and any(map(is_unknown, arguments))):
            yield container_undecided(pod, container, "its precision")
        elif precision != needed_flag and precision not in ({expected} if expected == stored else set()):
            problem = f"serves in {precision or 'the precision of its stored weights'}"
            yield container_violation(
                pod,
                container,
                f"{problem}, but the platform states {expected or 'the precision of the stored weights'}",
            )


def _gateways(subject: Subject) -> Iterator[tuple[Resource, Any]]:
    """Each gateway's configuration."""
    for resource, _, config in gateway_configurations(subject.graph):
        if at(config, "mode") == "gateway":
            yield resource, config


def _stated_routes(subject: Subject) -> Iterator[tuple[Resource, Any, Workload]]:
    """Each route of a gateway for a workload that the platform states."""
    platform = subject.platform
    if platform is None:
        return
    for resource, config in _gateways(subject):
        workloads = {
            workload.name: workload
            for gateway in platform.gateways
            if gateway.class_ == at(config, "class")
            for workload in gateway.workloads
        }
        for route in at(config, "routes") or []:
            workload = workloads.get(str(at(route, "workload")))
            if workload is not None:  # the data-path rules report unknown workloads
                yield resource, route, workload


def _check_routes(subject: Subject) -> Iterator[Violation]:
    endpoints = {endpoint.id: endpoint for endpoint in subject.platform.endpoints} if subject.platform else {}
    for resource, route, workload in _stated_routes(subject):
        yield from _check_route(resource, route, workload, endpoints)
    yield from _check_releasers(subject)


def _check_releasers(subject: Subject) -> Iterator[Violation]:
    """Who may move releases at each gateway: those whom the platform states, and nobody else."""
    if subject.platform is None:
        return
    for resource, config in _gateways(subject):
        stated = {
            key
            for gateway in subject.platform.gateways
            if gateway.class_ == at(config, "class") and gateway.site == at(config, "site")
            for key in gateway.releasers
        }
        releasers = at(config, "releasers")
        if has_unknown(releasers):
            yield Violation(f"who may release at {resource.name} is not known yet", resource, "undecided")
        elif others := sorted(set(map(str, list_or_empty(releasers))) - stated):
            names = ", ".join(key.split(" ", 2)[-1] for key in others)
            problem = f"{names} may move releases at {resource.name}, but the platform does not state it"
            yield Violation(problem, resource)
        yield from _check_freezes(subject.platform, resource, config)


def _check_freezes(platform: Platform, resource: Resource, config: Any) -> Iterator[Violation]:
    """A gateway has each freeze that the platform states for it."""
    stated = {
        (freeze.begin, freeze.end)
        for gateway in platform.gateways
        if gateway.class_ == at(config, "class") and gateway.site == at(config, "site")
        for freeze in gateway.release_freezes
    }
    freezes = at(config, "release_freezes")
    if stated and has_unknown(freezes):
        yield Violation(f"when releases rest at {resource.name} is not known yet", resource, "undecided")
        return
    known = {tuple(_time(at(freeze, key)) for key in ("begin", "end")) for freeze in list_or_empty(freezes)}
    for begin, end in sorted(stated - known):
        problem = f"{resource.name} lets releases move on from {begin} to {end}, which the platform freezes"
        yield Violation(problem, resource)


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _check_route(
    resource: Resource, route: Any, workload: Workload, endpoints: Mapping[str, Endpoint]
) -> Iterator[Violation]:
    answers = {
        name
        for endpoint_id in workload.endpoint_and_substitutes
        for name in _model_names(endpoints[endpoint_id], workload)
    }
    yield from _check_answer(resource, workload, at(route, "model"), answers, "answered by")
    canary = at(route, "canary")
    if canary is None:
        return
    stated_canary = workload.canary
    share = f"{at(canary, 'percent')} % of"
    if stated_canary is None:
        problem = f"{share} {workload.name}'s requests go to {at(canary, 'model')}, but the platform states no canary"
        yield Violation(problem, resource)
        return
    allowed = _model_names(endpoints[stated_canary.endpoint], workload)
    yield from _check_answer(resource, workload, at(canary, "model"), allowed, f"{share} it answered by")
    percent = at(canary, "percent")
    if not isinstance(percent, int | float) or percent > stated_canary.percent:
        verdict = "undecided" if is_unknown(percent) else "violated"
        problem = (
            f"{share} {workload.name}'s requests go to its canary, but {stated_canary.percent:g} % is stated"
        )
        yield Violation(problem, resource, verdict)
    steps, stated_steps = at(canary, "steps") or [], stated_canary.steps
    if steps != stated_steps:
        verdict = "undecided" if has_unknown(steps) else "violated"
        problem = f"the release of {workload.name} may be moved to {_of_steps(steps)}, but {_of_steps(stated_steps)}"
        yield Violation(f"{problem} is stated", resource, verdict)
    copied = at(canary, "shadow_percent")
    copied = 0 if copied is None else copied
    if copied != stated_canary.shadow_percent:
        verdict = "undecided" if is_unknown(copied) else "violated"
        problem = (
            f"copies of {copied} % of {workload.name}'s requests go to its canary, but"
            f" {stated_canary.shadow_percent:g} % is stated"
        )
        yield Violation(problem, resource, verdict)
    yield from _check_judge(resource, workload, at(canary, "judge"))
    if steps and workload.impact == "high" and at(canary, "two_people") is not True:
        verdict = "undecided" if is_unknown(at(canary, "two_people")) else "violated"
        problem = f"one person alone may release {workload.name}, whose answers have high impact"
        yield Violation(problem, resource, verdict)


def _check_judge(resource: Resource, workload: Workload, judge: Any) -> Iterator[Violation]:
    """Answers are judged by the platform's judge, rubric and limits, which decide about the release."""
    stated = workload.canary.judge if workload.canary is not None else None
    fields = None if stated is None else stated.model_dump()
    if judge == fields:
        return
    verdict = "undecided" if has_unknown(judge) else "violated"
    names = [at(judge, "workload") if judge is not None else None, stated.workload if stated else None]
    has, states = (str(name or "nobody") for name in names)
    problem = f"answers of {workload.name}'s release are judged by {has}, but the platform states {states}"
    if has == states:
        differing = ", ".join(key for key, value in (fields or {}).items() if at(judge, key) != value)
        problem = f"the judge of {workload.name}'s release has another {differing} than the platform states"
    yield Violation(problem, resource, verdict)


def _of_steps(steps: Any) -> str:
    return f"{', '.join(map(str, steps))} %" if isinstance(steps, list) and steps else "no step"


def _model_names(endpoint: Endpoint, workload: Workload) -> set[str]:
    """Names under which a gateway may call an endpoint for a workload. Translators have one model per workload."""
    if endpoint.target in CALLED_TARGETS:
        return {f"{endpoint.id}--{workload.name}", endpoint.id}
    return {workload.adapter or endpoint.model}


def _check_answer(
    resource: Resource, workload: Workload, model: Any, allowed: set[str], how: str
) -> Iterator[Violation]:
    if str(model) in allowed:
        return
    verdict = "undecided" if is_unknown(model) else "violated"
    problem = f"in {resource.name}, {workload.name} is {how} {model or 'an unnamed model'}"
    yield Violation(f"{problem}, but the platform states {' or '.join(sorted(allowed))}", resource, verdict)


RULES = (
    Rule(
        "release/weights-sealed",
        "Volumes with released weights are mounted read-only",
        "high",
        (*fw.owasp("LLM04"), *fw.nist("CM-5"), *fw.atlas("AML.M0005"), *fw.iso_27001("A.8.3")),
        "Whoever can write the volume changes what every replica serves at its next start",
        "Set accessModes: [ReadOnlyMany]",
        _check_weights_read_only,
        (_CLAIM,),
        applies_to=_weight_claims,
    ),
    Rule(
        "release/weights-from-their-place",
        "Weights come from the place that the platform states",
        "high",
        (*fw.owasp("LLM04"), *fw.nist("SR-4"), *fw.iso_27001("A.5.21")),
        "Another volume or bucket may hold weights that nobody evaluated, under the digest of evaluated ones",
        "Mount the platform's claim, bound to its volume; on SageMaker use the stated S3 prefix",
        _check_weight_sources,
        (_CLAIM, *_DEPLOYMENTS, _MODEL),
        applies_to=_weight_sources,
    ),
    Rule(
        "release/adapters-stated",
        "Only adapters that the platform states are loaded",
        "high",
        (*fw.owasp("LLM04"), *fw.nist("CM-7(5)")),
        "An adapter changes the weights, so the model is no longer the one that was evaluated",
        "Add the adapter to its endpoint in the platform with its evaluation, or remove it",
        _check_adapters,
        _DEPLOYMENTS,
        applies_to=_servers_with_readable_adapters,
    ),
    Rule(
        "release/precision-stated",
        "Models are served in the precision that the platform states",
        "medium",
        (*fw.nist("CM-2"), *fw.owasp("LLM04"), *fw.iso_27001("A.8.9")),
        "In another precision a model answers differently from the evaluated one",
        "Set the precision of the endpoint in the platform, and serve in it",
        _check_precisions,
        _DEPLOYMENTS,
        applies_to=first_of_rows(_stated_engines),
    ),
    Rule(
        "release/routes-stated",
        "Requests are answered by the model, and the canary and its steps, that the platform states",
        "high",
        (*fw.nist("CM-2", "CM-3"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "A model that nobody released would answer the workload, and only the route shows it",
        "Route the workload to the platform's endpoint; define a canary, its share or steps, and releasers there",
        _check_routes,
        applies_to=first_of_rows(_stated_routes),
    ),
)
