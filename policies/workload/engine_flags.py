"""Rule for the arguments of vLLM in pods and on SageMaker: above class public, they keep the data in the pod."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.reference import engine_flags
from isthmus.contracts.trust import FILE as TRUST_FILE
from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.resources import Resource
from isthmus.graph.workloads.servers import known_class
from policies.inputs.declared import pod_sensitivity, tag
from policies.inputs.pods import POD_KINDS, command_line, is_vllm_container, pods
from policies.inputs.selectors import first_of_rows
from policies.inputs.values import is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_MODEL = "aws:sagemaker/model:Model"
_PROGRAM = re.compile(r"vllm\.entrypoints\.|(^|/)vllm$")
_SAGEMAKER_PREFIX = "SM_VLLM_"
_EXPANSION = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_SHELLS = re.compile(r"(^|/)(ba|da|a|z)?sh$")


def _engines(subject: Subject) -> Iterator[tuple[Resource, str, str, list[str] | None]]:
    """Resource, name for messages, class and arguments of each vLLM above class public; None: they are unknown."""
    for pod in pods(subject.graph):
        sensitivity = pod_sensitivity(subject.graph, pod)
        if sensitivity in ("", "public"):
            continue
        for container in pod.containers:
            unread = [key for key in ("command", "args") if is_unknown(container.get(key))]
            if unread:
                known = {**container, **{key: [] for key in unread}}
                if is_vllm_container(known) or pod.role == "model":
                    yield pod.resource, _name(container, pod.resource), sensitivity, None
                continue
            words = _words(container)
            if is_vllm_container(container) or any(map(_PROGRAM.search, words)):
                yield pod.resource, _name(container, pod.resource), sensitivity, _arguments(words)
    for model in subject.graph.of(_MODEL):
        sensitivity = known_class(tag(model, CLASS))
        if sensitivity in ("", "public"):
            continue
        for container in [model.inputs.get("primaryContainer"), *(model.inputs.get("containers") or [])]:
            variables = container.get("environment") if isinstance(container, Mapping) else None
            if isinstance(variables, Mapping):
                yield model, model.name, sensitivity, _arguments_of_variables(variables)


def _name(container: Mapping[str, Any], resource: Resource) -> str:
    return f"container {container.get('name')} of {resource.name}"


def _words(container: Mapping[str, Any]) -> list[str]:
    """Command and arguments, with variables of the container filled in and a shell's text split into words."""
    values = {
        str(variable.get("name")): str(variable["value"])
        for variable in container.get("env") or []
        if isinstance(variable, Mapping) and variable.get("value") is not None
    }
    words: list[str] = []
    line = command_line(container)
    has_shell = any(map(_SHELLS.search, line[:1]))
    for argument in line:
        expanded = _EXPANSION.sub(lambda match: values.get(match[1], match[0]), argument)
        words += _split(expanded) if has_shell and " " in expanded else [expanded]
    return words


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.split()


def _arguments(words: list[str]) -> list[str]:
    """What follows the program, or all words where the image starts vLLM itself."""
    place = next((index for index, word in enumerate(words) if _PROGRAM.search(word)), -1)
    return words[place + 1 :]


def _arguments_of_variables(variables: Mapping[str, Any]) -> list[str]:
    """The arguments into which SageMaker's entry point turns variables."""
    arguments: list[str] = []
    for name, value in sorted(variables.items()):
        if str(name).startswith(_SAGEMAKER_PREFIX):
            flag = str(name).removeprefix(_SAGEMAKER_PREFIX).lower().replace("_", "-")
            arguments.append(f"--{flag}={value}" if value != "" else f"--{flag}")
    return arguments


def _check(subject: Subject) -> Iterator[Violation]:
    for resource, name, sensitivity, arguments in _engines(subject):
        if arguments is None:
            yield Violation(f"the arguments of {name} are not known before the change", resource, "undecided")
            continue
        for argument in arguments:
            if argument.startswith("$"):  # a variable of the pod or of a shell, with text from elsewhere
                message = f"{name} takes arguments of vLLM from {argument}, whose content nobody can judge"
                yield Violation(message, resource, "undecided")
        for judged in engine_flags.judge_arguments(arguments):
            if judged.effect == "leaks" and sensitivity in engine_flags.LEAKING_FOR:
                yield Violation(
                    f"{name} has `{judged.flag}`, which {judged.reason}: {sensitivity} data could leave its pod",
                    resource,
                )
            elif judged.effect != "keeps" and not subject.trusts("engine_flags", judged.flag):
                what = f"which {judged.reason}" if judged.reason else "which Isthmus does not know"
                yield Violation(
                    f"{name} has `{judged.flag}`, {what}: whether {sensitivity} data stays in its pod is decided by"
                    f" whoever answers for {TRUST_FILE} (engine_flags)",
                    resource,
                    "undecided",
                    entry=("engine_flags", judged.flag),
                )


RULES = (
    Rule(
        "workload/engine-keeps-data",
        "Model servers above class public have only arguments that keep the data in the pod",
        "critical",
        (*fw.nist("AC-4", "CM-7"), *fw.owasp("LLM02"), *fw.iso_27001("A.8.12", "A.8.19")),
        "Some arguments of vLLM load code, write prompts into the log or send caches of prompts to another address",
        "Remove the argument, or use a field of the endpoint that does the same inside the pod",
        _check,
        (*POD_KINDS, _MODEL),
        applies_to=first_of_rows(_engines),
    ),
)
