"""Rules for model releases: weights by digest, no downloads or foreign code, approvals and rollbacks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.inputs.documents import gateway_configurations
from policies.inputs.pods import Pod, command_line, container_violation, pods
from policies.inputs.selectors import Selector, configurations_where
from policies.inputs.values import at, is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_MODEL = "aws:sagemaker/model:Model"
_ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
_SHA = re.compile(r"^sha256:[0-9a-f]{64}$")
_WEIGHTS = "isthmus.dev/weights-digest"
_DIGEST = "ISTHMUS_WEIGHTS_DIGEST"
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_REMOTE_CODE_FLAGS = ("--trust-remote-code", "--trust_remote_code", "--allow-deprecated-quantization")
_DEVELOPMENT_FLAGS = (
    "--enable-server-dev-mode",
    "--enable-sleep-mode",
    "--allowed-local-media-path",
    "--allowed-media-domains",
)
"""Flags that open development interfaces or files of a server to its callers."""


def _model_pods(subject: Subject) -> list[Pod]:
    return [
        pod for pod in pods(subject.graph) if pod.role == "model" or any(map(_is_vllm_serve, pod.containers))
    ]


def _is_vllm_serve(container: Mapping[str, Any]) -> bool:
    return list(container.get("command") or [])[:2] == ["vllm", "serve"]


def _runs_vllm_serve(pod: Pod) -> bool:
    return any(map(_is_vllm_serve, pod.containers))


def _models_where(
    condition: Callable[[Pod], Any] = lambda _: True, *, hosted: Callable[[Any], Any] = lambda _: False
) -> Selector:
    """Selects model servers that meet the condition, and SageMaker models whose container meets `hosted`."""

    def select(subject: Subject) -> Iterator[Resource]:
        yield from (pod.resource for pod in _model_pods(subject) if condition(pod))
        for model in subject.graph.of(_MODEL):
            if hosted(at(model.inputs, "primaryContainer") or {}):
                yield model

    return select


def _check_weights_pinned(subject: Subject) -> Iterator[Violation]:
    for pod in _model_pods(subject):
        digests = [str(pod.annotations[_WEIGHTS])] if _WEIGHTS in pod.annotations else []
        if any(map(is_unknown, digests)):
            yield Violation(
                f"the weights digest of {pod.resource.name} is not known yet", pod.resource, "undecided"
            )
        elif not digests or not all(map(_SHA.match, digests)):
            yield Violation(f"{pod.resource.name} serves weights without a digest", pod.resource)
    for model in subject.graph.of(_MODEL):
        digest = at(model.inputs, f"primaryContainer.environment.{_DIGEST}")
        source = at(model.inputs, "primaryContainer.modelDataSource") or at(
            model.inputs, "primaryContainer.modelDataUrl"
        )
        if source and not _SHA.match(str(digest)):
            verdict = "undecided" if is_unknown(digest) else "violated"
            yield Violation(f"{model.name} serves weights without a digest", model, verdict)


def _loads_from_s3(container: Any) -> bool:
    return bool(at(container, "modelDataSource") or at(container, "modelDataUrl"))


def _check_weights_agree(subject: Subject) -> Iterator[Violation]:
    """Compares the digest of a model pod with the digest of its claim."""
    claims = {
        name_and_namespace(claim)[::-1]: at(claim.inputs, "metadata.annotations")
        for claim in subject.graph.of("kubernetes:core/v1:PersistentVolumeClaim")
    }
    for pod in _model_pods(subject):
        digests = [str(pod.annotations[_WEIGHTS])] if _WEIGHTS in pod.annotations else []
        for volume in pod.spec.get("volumes") or []:
            name = at(volume, "persistentVolumeClaim.claimName")
            annotations = claims.get((pod.namespace, str(name)))
            stated_digest = annotations.get(_WEIGHTS) if isinstance(annotations, Mapping) else None
            if digests and stated_digest and not is_unknown(stated_digest) and stated_digest not in digests:
                yield Violation(
                    f"{pod.resource.name} mounts weights with a different digest than it states", pod.resource
                )
            if (
                name
                and at(volume, "persistentVolumeClaim.readOnly") is not True
                and _mounts_weights_writable(pod, volume)
            ):
                yield Violation(f"{pod.resource.name} can write the weights that it serves", pod.resource)


def _mounts_claim(pod: Pod) -> bool:
    return any(at(volume, "persistentVolumeClaim") for volume in pod.spec.get("volumes") or [])


def _mounts_weights_writable(pod: Pod, volume: Any) -> bool:
    """Whether a container mounts the volume writable at `/models`."""
    for container in pod.containers:
        for mount in container.get("volumeMounts") or []:
            if at(mount, "name") == at(volume, "name") and at(mount, "mountPath") == "/models":
                return at(mount, "readOnly") is not True
    return False


def _check_offline(subject: Subject) -> Iterator[Violation]:
    for pod in _model_pods(subject):
        for container in pod.containers:
            if not _is_vllm_serve(container):
                continue
            environment = {
                at(variable, "name"): at(variable, "value") for variable in container.get("env") or []
            }
            for name in _OFFLINE:
                if str(environment.get(name)) not in ("1", "true", "True", "TRUE"):
                    yield container_violation(
                        pod,
                        container,
                        f"may download a model from the hub: {name} is not set",
                        f"{name}: '1'",
                    )
    for model in subject.graph.of(_MODEL):
        environment = at(model.inputs, "primaryContainer.environment")
        if isinstance(environment, Mapping) and any(str(key).startswith("SM_VLLM_") for key in environment):
            for name in _OFFLINE:
                if str(environment.get(name)) != "1":
                    yield Violation(
                        f"{model.name} may download a model from the hub: {name} is not set", model
                    )


def _has_vllm_settings(container: Any) -> bool:
    environment = at(container, "environment")
    return isinstance(environment, Mapping) and any(str(key).startswith("SM_VLLM_") for key in environment)


def _check_no_remote_code(subject: Subject) -> Iterator[Violation]:
    for pod in _model_pods(subject):
        for container in pod.containers:
            for argument in command_line(container):
                flag, _, value = argument.partition("=")
                if flag == _REMOTE_CODE_FLAGS[0] or (flag == _REMOTE_CODE_FLAGS[1] and value != "false"):
                    yield container_violation(pod, container, "runs code that came with the weights")
                elif flag == "--load-format" and value in ("pt", "npcache"):
                    yield container_violation(pod, container, "loads pickled weights, which can run code")
    for model in subject.graph.of(_MODEL):
        environment = at(model.inputs, "primaryContainer.environment")
        if (
            isinstance(environment, Mapping)
            and str(environment.get("SM_VLLM_TRUST_REMOTE_CODE", "false")).lower() != "false"
        ):
            yield Violation(f"{model.name} runs code that came with the weights", model)


def _has_environment(container: Any) -> bool:
    return isinstance(at(container, "environment"), Mapping)


def _check_no_development_routes(subject: Subject) -> Iterator[Violation]:
    for pod in _model_pods(subject):
        for container in pod.containers:
            for argument in command_line(container):
                if argument.partition("=")[0] in _DEVELOPMENT_FLAGS:
                    yield container_violation(
                        pod,
                        container,
                        f"opens development interfaces to its callers ({argument.partition('=')[0]})",
                    )
            for variable in container.get("env") or []:
                if at(variable, "name") in (
                    "VLLM_SERVER_DEV_MODE",
                    "VLLM_ALLOW_RUNTIME_LORA_UPDATING",
                ) and str(at(variable, "value")) not in ("0", "", "None", "false", "False"):
                    yield container_violation(
                        pod,
                        container,
                        f"opens development interfaces to its callers ({at(variable, 'name')})",
                    )


def _check_rollback(subject: Subject) -> Iterator[Violation]:
    for endpoint in subject.graph.of(_ENDPOINT):
        deployment_config = at(endpoint.inputs, "deploymentConfig")
        if is_unknown(deployment_config):
            yield Violation(
                f"the deployment configuration of {endpoint.name} is not known yet", endpoint, "undecided"
            )
        elif not at(deployment_config, "autoRollbackConfiguration.alarms"):
            yield Violation(f"{endpoint.name} has no alarm that rolls back a bad release", endpoint)
        elif at(deployment_config, "blueGreenUpdatePolicy.trafficRoutingConfiguration.type") == "ALL_AT_ONCE":
            yield Violation(f"a release of {endpoint.name} moves all traffic at once", endpoint)


def _check_approval(subject: Subject) -> Iterator[Violation]:
    for pipeline in subject.graph.of("aws:codepipeline/pipeline:Pipeline"):
        stages = pipeline.inputs.get("stages")
        if is_unknown(stages):
            yield Violation(f"the stages of {pipeline.name} are not known yet", pipeline, "undecided")
            continue
        kinds = [at(act, "category") for stage in stages or [] for act in at(stage, "actions") or []]
        if "Deploy" in kinds and "Approval" not in kinds[: kinds.index("Deploy")]:
            yield Violation(f"{pipeline.name} deploys without a person's approval", pipeline)
    for agent in subject.graph.of("aws:bedrock/agentAgent:AgentAgent"):
        if at(agent.inputs, "skipResourceInUseCheck"):
            yield Violation(f"{agent.name} can be deleted while it is in use", agent)
    for action_group in subject.graph.of("aws:bedrock/agentAgentActionGroup:AgentAgentActionGroup"):
        for function in at(action_group.inputs, "functionSchema.memberFunctions.functions") or []:
            if at(function, "requireConfirmation") != "ENABLED":
                yield Violation(
                    f"{action_group.name} acts without confirmation ({at(function, 'name')})", action_group
                )


def _release_pipelines(subject: Subject) -> Iterator[Resource]:
    for pipeline in subject.graph.of("aws:codepipeline/pipeline:Pipeline"):
        acts = [act for stage in at(pipeline.inputs, "stages") or [] for act in at(stage, "actions") or []]
        if is_unknown(pipeline.inputs.get("stages")) or any(at(act, "category") == "Deploy" for act in acts):
            yield pipeline
    yield from subject.graph.of("aws:bedrock/agentAgent:AgentAgent")
    yield from subject.graph.of("aws:bedrock/agentAgentActionGroup:AgentAgentActionGroup")


def _check_guardrail_versions(subject: Subject) -> Iterator[Violation]:
    for resource, _, config in gateway_configurations(subject.graph):
        for model in at(config, "models") or []:
            guard = at(model, "guardrail")
            if guard and str(at(guard, "version")) in ("DRAFT", "None", ""):
                yield Violation(
                    f"{resource.name} calls {at(model, 'name')} with the draft of a guardrail", resource
                )


def _calls_guardrails(config: Any) -> bool:
    return any(at(model, "guardrail") for model in at(config, "models") or [])


_SUPPLY_CHAIN = (*fw.owasp("LLM04"), *fw.nist("SR-4", "SI-7"))
RULES = (
    Rule(
        "release/weights-by-digest",
        "Weights are named by digest",
        "high",
        (*_SUPPLY_CHAIN, *fw.atlas("AML.M0014")),
        "Only the digest shows that the served weights are the evaluated ones",
        "Set weights.digest of the endpoint: sha256:…",
        _check_weights_pinned,
        ("kubernetes:apps/v1:Deployment", _MODEL),
        applies_to=_models_where(hosted=_loads_from_s3),
    ),
    Rule(
        "release/weights-agree",
        "A model serves the weights that it states, and cannot change them",
        "high",
        (*_SUPPLY_CHAIN, *fw.owasp("LLM05"), *fw.atlas("AML.M0005")),
        "A server that can write its weights may serve changed ones after an attack",
        "Mount the claim with the stated digest, with readOnly: true",
        _check_weights_agree,
        ("kubernetes:apps/v1:Deployment",),
        applies_to=_models_where(_mounts_claim),
    ),
    Rule(
        "release/no-hub",
        "Model servers download nothing from a hub",
        "high",
        (*_SUPPLY_CHAIN, *fw.iso_27001("A.5.21")),
        "Nobody has evaluated what a hub serves tomorrow",
        "Set HF_HUB_OFFLINE=1 and TRANSFORMERS_OFFLINE=1, and mirror the weights",
        _check_offline,
        ("kubernetes:apps/v1:Deployment", _MODEL),
        applies_to=_models_where(_runs_vllm_serve, hosted=_has_vllm_settings),
    ),
    Rule(
        "release/no-foreign-code",
        "Weights bring no code",
        "critical",
        (*_SUPPLY_CHAIN, *fw.atlas("AML.M0011")),
        "The author of a model could run programs next to every prompt",
        "Remove --trust-remote-code, and use safetensors",
        _check_no_remote_code,
        ("kubernetes:apps/v1:Deployment", _MODEL),
        applies_to=_models_where(hosted=_has_environment),
    ),
    Rule(
        "release/no-inside",
        "Model servers expose no development interfaces",
        "high",
        (*fw.owasp("LLM04", "LLM02"),),
        "Development routes can load adapters, read files and show other callers' prompts",
        "Remove the flag or variable",
        _check_no_development_routes,
        ("kubernetes:apps/v1:Deployment",),
        applies_to=_models_where(),
    ),
    Rule(
        "release/taken-back",
        "A bad release of a model is rolled back automatically",
        "medium",
        (*fw.nist("CM-3", "CP-10"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "Every request of the class would fail until somebody reacts",
        "Set autoRollbackConfiguration with an alarm, and CANARY or LINEAR traffic",
        _check_rollback,
        (_ENDPOINT,),
    ),
    Rule(
        "release/people-approve",
        "A person approves a model's release, and an agent's actions",
        "high",
        (*fw.ai_act("14(4)"), *fw.owasp("LLM03", "LLM04"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "Otherwise nobody is responsible for the release or the action",
        "Add an Approval action before Deploy; set requireConfirmation: ENABLED for an agent's functions",
        _check_approval,
        applies_to=_release_pipelines,
    ),
    Rule(
        "release/guardrail-version",
        "Calls use a numbered version of their guardrail",
        "medium",
        (*fw.nist("CM-3"), *fw.owasp("LLM01"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "A draft can change while calls use it",
        "Publish a GuardrailVersion and set it",
        _check_guardrail_versions,
        applies_to=configurations_where(_calls_guardrails),
    ),
)
