"""Model release: what serves is what was evaluated, by digest, and a bad release is taken back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.graph.resources.resources import place
from policies.inputs.documents import configurations
from policies.inputs.pods import Pod, of_box, pods, told
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_MODEL = "aws:sagemaker/model:Model"
_ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
_SHA = re.compile(r"^sha256:[0-9a-f]{64}$")
_WEIGHTS = "isthmus.dev/weights-digest"
_DIGEST = "ISTHMUS_WEIGHTS_DIGEST"
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_CODE = ("--trust-remote-code", "--trust_remote_code", "--allow-deprecated-quantization")
_INSIDE = (
    "--enable-server-dev-mode",
    "--enable-sleep-mode",
    "--allowed-local-media-path",
    "--allowed-media-domains",
)
"""Flags that open a server's inside, or its files, to who asks it."""


def models(subject: Subject) -> list[Pod]:
    return [pod for pod in pods(subject.graph) if pod.role == "model" or any(map(serves, pod.boxes))]


def serves(box: Mapping[str, Any]) -> bool:
    return list(box.get("command") or [])[:2] == ["vllm", "serve"]


def _pinned(subject: Subject) -> Iterator[Broken]:
    for pod in models(subject):
        digests = [str(pod.notes[_WEIGHTS])] if _WEIGHTS in pod.notes else []
        if any(map(unknown, digests)):
            yield Broken(f"the weights of {pod.resource.name} are not known yet", pod.resource, "undecided")
        elif not digests or not all(map(_SHA.match, digests)):
            yield Broken(f"{pod.resource.name} serves weights that no digest names", pod.resource)
    for model in subject.graph.of(_MODEL):
        said = at(model.inputs, f"primaryContainer.environment.{_DIGEST}")
        source = at(model.inputs, "primaryContainer.modelDataSource") or at(
            model.inputs, "primaryContainer.modelDataUrl"
        )
        if source and not _SHA.match(str(said)):
            verdict = "undecided" if unknown(said) else "violated"
            yield Broken(f"{model.name} serves weights that no digest names", model, verdict)


def _weights_agree(subject: Subject) -> Iterator[Broken]:
    """Digest of what a pod serves against the one that its claim states."""
    claims = {
        place(each)[::-1]: at(each.inputs, "metadata.annotations")
        for each in subject.graph.of("kubernetes:core/v1:PersistentVolumeClaim")
    }
    for pod in models(subject):
        mine = [str(pod.notes[_WEIGHTS])] if _WEIGHTS in pod.notes else []
        for volume in pod.spec.get("volumes") or []:
            name = at(volume, "persistentVolumeClaim.claimName")
            held = claims.get((pod.namespace, str(name)))
            stated = held.get(_WEIGHTS) if isinstance(held, Mapping) else None
            if mine and stated and not unknown(stated) and stated not in mine:
                yield Broken(
                    f"{pod.resource.name} mounts weights of another digest than it states", pod.resource
                )
            if name and at(volume, "persistentVolumeClaim.readOnly") is not True and _is_weights(pod, volume):
                yield Broken(f"{pod.resource.name} may write the weights that it serves", pod.resource)


def _is_weights(pod: Pod, volume: Any) -> bool:
    """Whether some container mounts the volume to write to it, at a model's place."""
    for box in pod.boxes:
        for mount in box.get("volumeMounts") or []:
            if at(mount, "name") == at(volume, "name") and at(mount, "mountPath") == "/models":
                return at(mount, "readOnly") is not True
    return False


def _offline(subject: Subject) -> Iterator[Broken]:
    for pod in models(subject):
        for box in pod.boxes:
            if not serves(box):
                continue
            said = {at(each, "name"): at(each, "value") for each in box.get("env") or []}
            for name in _OFFLINE:
                if str(said.get(name)) not in ("1", "true", "True", "TRUE"):
                    yield of_box(pod, box, f"may fetch a model from the hub ({name})", f"{name}: '1'")
    for model in subject.graph.of(_MODEL):
        said = at(model.inputs, "primaryContainer.environment")
        if isinstance(said, Mapping) and any(str(key).startswith("SM_VLLM_") for key in said):
            for name in _OFFLINE:
                if str(said.get(name)) != "1":
                    yield Broken(f"{model.name} may fetch a model from the hub ({name})", model)


def _no_foreign_code(subject: Subject) -> Iterator[Broken]:
    for pod in models(subject):
        for box in pod.boxes:
            for word in told(box):
                flag, _, value = word.partition("=")
                if flag == _CODE[0] or (flag == _CODE[1] and value != "false"):
                    yield of_box(pod, box, "runs code that came with the weights")
                elif flag == "--load-format" and value in ("pt", "npcache"):
                    yield of_box(pod, box, "unpickles its weights, which runs what is in them")
    for model in subject.graph.of(_MODEL):
        said = at(model.inputs, "primaryContainer.environment")
        if (
            isinstance(said, Mapping)
            and str(said.get("SM_VLLM_TRUST_REMOTE_CODE", "false")).lower() != "false"
        ):
            yield Broken(f"{model.name} runs code that came with the weights", model)


def _no_inside(subject: Subject) -> Iterator[Broken]:
    for pod in models(subject):
        for box in pod.boxes:
            for word in told(box):
                if word.partition("=")[0] in _INSIDE:
                    yield of_box(pod, box, f"opens its inside to who asks it ({word.partition('=')[0]})")
            for each in box.get("env") or []:
                if at(each, "name") in ("VLLM_SERVER_DEV_MODE", "VLLM_ALLOW_RUNTIME_LORA_UPDATING") and str(
                    at(each, "value")
                ) not in ("0", "", "None", "false", "False"):
                    yield of_box(pod, box, f"opens its inside to who asks it ({at(each, 'name')})")


def _taken_back(subject: Subject) -> Iterator[Broken]:
    for endpoint in subject.graph.of(_ENDPOINT):
        said = at(endpoint.inputs, "deploymentConfig")
        if unknown(said):
            yield Broken(f"how {endpoint.name} is released is not known yet", endpoint, "undecided")
        elif not at(said, "autoRollbackConfiguration.alarms"):
            yield Broken(f"a bad release of {endpoint.name} is never taken back", endpoint)
        elif at(said, "blueGreenUpdatePolicy.trafficRoutingConfiguration.type") == "ALL_AT_ONCE":
            yield Broken(f"a release of {endpoint.name} takes every request at once", endpoint)


def _approved(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.of("aws:codepipeline/pipeline:Pipeline"):
        stages = each.inputs.get("stages")
        if unknown(stages):
            yield Broken(f"the stages of {each.name} are not known yet", each, "undecided")
            continue
        kinds = [at(act, "category") for stage in stages or [] for act in at(stage, "actions") or []]
        if "Deploy" in kinds and "Approval" not in kinds[: kinds.index("Deploy")]:
            yield Broken(f"{each.name} releases without a person's approval", each)
    for each in subject.graph.of("aws:bedrock/agentAgent:AgentAgent"):
        if at(each.inputs, "skipResourceInUseCheck"):
            yield Broken(f"{each.name} may be taken away from under what calls it", each)
    for each in subject.graph.of("aws:bedrock/agentAgentActionGroup:AgentAgentActionGroup"):
        for one in at(each.inputs, "functionSchema.memberFunctions.functions") or []:
            if at(one, "requireConfirmation") != "ENABLED":
                yield Broken(f"{each.name} acts without asking ({at(one, 'name')})", each)


def _versions(subject: Subject) -> Iterator[Broken]:
    for resource, _, config in configurations(subject.graph):
        for model in at(config, "models") or []:
            guard = at(model, "guardrail")
            if guard and str(at(guard, "version")) in ("DRAFT", "None", ""):
                yield Broken(f"{resource.name} asks {at(model, 'name')} behind a guardrail's draft", resource)


_chain = (*fw.owasp("LLM04"), *fw.nist("SR-4", "SI-7"))
RULES = (
    Rule(
        "release/weights-by-digest",
        "Weights are named by digest",
        "high",
        (*_chain, *fw.atlas("AML.M0014")),
        "What was evaluated, and what serves, are one only by digest",
        "State weights.digest of the endpoint: sha256:…",
        _pinned,
        ("kubernetes:apps/v1:Deployment", _MODEL),
    ),
    Rule(
        "release/weights-agree",
        "A model serves the weights that it states, and cannot write them",
        "high",
        (*_chain, *fw.owasp("LLM05"), *fw.atlas("AML.M0005")),
        "Weights that a server may write are whatever the last prompt made of them",
        "Mount the claim of the stated digest, readOnly: true",
        _weights_agree,
        ("kubernetes:apps/v1:Deployment",),
    ),
    Rule(
        "release/no-hub",
        "Model servers fetch nothing from a hub",
        "high",
        (*_chain, *fw.iso_27001("A.5.21")),
        "What a hub serves tomorrow was evaluated by nobody",
        "Set HF_HUB_OFFLINE=1 and TRANSFORMERS_OFFLINE=1, and mirror the weights",
        _offline,
        ("kubernetes:apps/v1:Deployment", _MODEL),
    ),
    Rule(
        "release/no-foreign-code",
        "No code comes with the weights",
        "critical",
        (*_chain, *fw.atlas("AML.M0011")),
        "A model's author would run programs beside every prompt",
        "Take --trust-remote-code away; use safetensors",
        _no_foreign_code,
        ("kubernetes:apps/v1:Deployment", _MODEL),
    ),
    Rule(
        "release/no-inside",
        "Model servers show nobody their inside",
        "high",
        (*fw.owasp("LLM04", "LLM02"),),
        "Development routes load adapters, read files and see others' prompts",
        "Take the flag or variable away",
        _no_inside,
        ("kubernetes:apps/v1:Deployment",),
    ),
    Rule(
        "release/taken-back",
        "A bad release of a model is taken back by itself",
        "medium",
        (*fw.nist("CM-3", "CP-10"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "Every request of its class would fail until somebody wakes",
        "Set autoRollbackConfiguration with an alarm, and CANARY or LINEAR traffic",
        _taken_back,
        (_ENDPOINT,),
    ),
    Rule(
        "release/people-approve",
        "A person approves a model's release, and what an agent does",
        "high",
        (*fw.ai_act("14(4)"), *fw.owasp("LLM03", "LLM04"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "Nobody answered for what went out",
        "Put an Approval before Deploy; set requireConfirmation: ENABLED on what an agent may do",
        _approved,
    ),
    Rule(
        "release/guardrail-version",
        "Calls name a numbered version of their guardrail",
        "medium",
        (*fw.nist("CM-3"), *fw.owasp("LLM01"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "A draft changes under the calls that it guards",
        "Publish a GuardrailVersion and name it",
        _versions,
    ),
)
