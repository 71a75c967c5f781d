"""Faults in model releases: weights, adapters, routes, canaries, guardrails."""

from __future__ import annotations

from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.parts import BOXES, CONFIGS, CONFIGURED, PODS
from tests.broken_graphs.resources import copied
from tests.mutation.shapes import Context, Family

FAMILY = Family("release")
SERVED = (":Deployment", ":LeaderWorkerSet")
DIGEST = "isthmus.dev/weights-digest"
OTHER = "sha256:" + "5e" * 32
MODEL = "aws:sagemaker/model:Model"
CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"


def is_server(container: Any, _: Context) -> bool:
    return container.get("command") == ["vllm", "serve"]


@FAMILY.changes(*SERVED, lens=PODS, where=lambda pod, _: DIGEST in (pod["metadata"].get("annotations") or {}))
def weights_of_another_digest(pod: Any, context: Context) -> None:
    """The pods of a model say that they serve other weights than were released."""
    pod["metadata"]["annotations"][DIGEST] = OTHER


@FAMILY.changes(
    ":PersistentVolumeClaim", where=lambda inputs, _: DIGEST in (inputs["metadata"].get("annotations") or {})
)
def volume_of_another_digest(inputs: Any, context: Context) -> None:
    """The volume of a model is said to hold other weights than were released."""
    inputs["metadata"]["annotations"][DIGEST] = OTHER


@FAMILY.changes(
    ":PersistentVolumeClaim", where=lambda inputs, _: "ReadOnlyMany" in inputs["spec"]["accessModes"]
)
def volume_that_may_be_written(inputs: Any, context: Context) -> None:
    """The volume of released weights may be written."""
    inputs["spec"]["accessModes"] = ["ReadWriteMany"]


def holds_weights(inputs: Any, _: Context) -> bool:
    return "volumeName" in inputs["spec"] and DIGEST in (inputs["metadata"].get("annotations") or {})


@FAMILY.changes(":PersistentVolumeClaim", where=holds_weights)
def volume_that_nobody_released(inputs: Any, context: Context) -> None:
    """The claim of a model's weights is bound to a volume of experiments."""
    inputs["spec"]["volumeName"] = "experiments"


def mounts_weights(pod: Any, _: Context) -> bool:
    volumes = pod["spec"].get("volumes") or []
    return any("persistentVolumeClaim" in volume and volume["name"] == "weights" for volume in volumes)


@FAMILY.changes(*SERVED, lens=PODS, where=mounts_weights)
def weights_that_the_server_may_change(pod: Any, context: Context) -> None:
    """The weights are mounted so that the model server can write them."""
    for volume in pod["spec"]["volumes"]:
        if "persistentVolumeClaim" in volume:
            volume["persistentVolumeClaim"]["readOnly"] = False
    for container in pod["spec"]["containers"]:
        for mount in container["volumeMounts"]:
            mount.pop("readOnly", None) if mount["name"] == "weights" else None


@FAMILY.changes(*SERVED, lens=PODS, where=mounts_weights)
def weights_of_another_claim(pod: Any, context: Context) -> None:
    """A model server mounts the volume of another model."""
    for volume in pod["spec"]["volumes"]:
        if "persistentVolumeClaim" in volume:
            volume["persistentVolumeClaim"]["claimName"] = "scratch-models"


@FAMILY.changes(*SERVED, lens=BOXES, where=is_server)
def weights_from_the_hub(container: Any, context: Context) -> None:
    """A model server fetches what it serves from the public hub."""
    container["args"][0] = "Qwen/Qwen3-32B"
    container["env"] = [
        variable for variable in container["env"] if not variable["name"].endswith("_OFFLINE")
    ]


@FAMILY.changes(*SERVED, lens=BOXES, where=lambda container, _: "HF_HUB_OFFLINE" in str(container.get("env")))
def server_that_may_ask_the_hub(container: Any, context: Context) -> None:
    """A model server is no longer told to keep off the public hub."""
    for variable in container["env"]:
        if variable["name"] == "HF_HUB_OFFLINE":
            variable["value"] = "0"


@FAMILY.changes(*SERVED, lens=BOXES, where=is_server, also=["workload"])
def code_that_comes_with_the_weights(container: Any, context: Context) -> None:
    """A model server runs whatever code comes with the weights."""
    container["args"].append("--trust-remote-code")


@FAMILY.changes(*SERVED, lens=BOXES, where=is_server)
def adapters_loaded_at_any_time(container: Any, context: Context) -> None:
    """Whoever can call a model server may load further adapters into it."""
    container["args"].append("--enable-lora")
    container["env"].append({"name": "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "value": "True"})


@FAMILY.changes(*SERVED, lens=BOXES, where=is_server)
def adapter_that_nobody_released(container: Any, context: Context) -> None:
    """A model server loads an adapter that the platform does not name."""
    container["args"] += ["--enable-lora", "--lora-modules", "tone=/models/experiments/tone"]


@FAMILY.changes(
    *SERVED,
    lens=BOXES,
    where=lambda container, _: is_server(container, _) and "--quantization=fp8" in container["args"],
)
def precision_that_was_not_evaluated(container: Any, context: Context) -> None:
    """A model is served in another precision than the one that was evaluated."""
    container["args"] = [
        "--quantization=awq" if argument == "--quantization=fp8" else argument
        for argument in container["args"]
    ]


def routes(config: Any, _: Context) -> bool:
    return config["mode"] == "gateway"


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=routes)
def route_to_an_unreleased_model(config: Any, context: Context) -> None:
    """A workload's requests are answered by a model that the platform does not name."""
    config["routes"][0]["model"] += "-rc1"


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=routes)
def half_the_requests_to_an_unreleased_version(config: Any, context: Context) -> None:
    """Half of a workload's requests go to a version that was not released."""
    route = config["routes"][0]
    canary = {key: route[key] for key in ("url", "server_name", "model")}
    route["canary"] = {**canary, "model": f"{route['model']}-next", "percent": 50}


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=routes)
def release_that_people_move_past_the_platform(config: Any, context: Context) -> None:
    """People may move a workload's requests to another version, in steps that the platform does not state."""
    route = config["routes"][0]
    canary = {key: route[key] for key in ("url", "server_name", "model")}
    route["canary"] = {**canary, "percent": 0, "release": "night", "steps": [100]}


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=routes)
def release_that_a_stranger_may_move(config: Any, context: Context) -> None:
    """Somebody whom the platform does not name may move releases of canaries."""
    config["releasers"] = [f"ssh-ed25519 {'e' * 68} eve"]


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=routes)
def copies_of_all_requests_to_an_unreleased_version(config: Any, context: Context) -> None:
    """Copies of all requests of a workload go to a version that was not released, which answers nobody."""
    route = config["routes"][0]
    canary = {key: route[key] for key in ("url", "server_name", "model")}
    route["canary"] = {**canary, "percent": 0, "release": "next", "shadow_percent": 100}


def guarded(config: Any, _: Context) -> bool:
    return config["mode"] == "translator" and "guardrail" in config["models"][0]


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=guarded, also=["data-path"])
def guardrail_of_a_draft(config: Any, context: Context) -> None:
    """A translator names the draft of a guardrail, which changes with every edit."""
    config["models"][0]["guardrail"]["version"] = "DRAFT"


@FAMILY.changes(
    "aws:bedrock/guardrail:Guardrail",
    where=lambda inputs, _: "contentPolicyConfig" in inputs,
    also=["data-path"],
)
def guardrail_that_filters_no_content(inputs: Any, context: Context) -> None:
    """A guardrail filters no content and no attack at all."""
    del inputs["contentPolicyConfig"]


def weights_named(inputs: Any, _: Context) -> bool:
    return "ISTHMUS_WEIGHTS_DIGEST" in (inputs["primaryContainer"].get("environment") or {})


@FAMILY.changes(MODEL, where=weights_named)
def hosted_weights_without_a_digest(inputs: Any, context: Context) -> None:
    """The digest of the released weights is taken off a model on SageMaker."""
    del inputs["primaryContainer"]["environment"]["ISTHMUS_WEIGHTS_DIGEST"]


@FAMILY.changes(MODEL, where=lambda inputs, _: "modelDataSource" in inputs["primaryContainer"])
def hosted_weights_of_another_place(inputs: Any, context: Context) -> None:
    """A model on SageMaker takes its weights from another bucket."""
    for source in inputs["primaryContainer"]["modelDataSource"]["s3DataSources"]:
        source["s3Uri"] = "s3://experiments/qwen3-8b/"


@FAMILY.changes(
    MODEL, where=lambda inputs, _: "@sha256:" in inputs["primaryContainer"]["image"], also=["workload"]
)
def hosted_image_by_a_tag(inputs: Any, context: Context) -> None:
    """The image of a model on SageMaker is named by a tag, which can be moved."""
    container = inputs["primaryContainer"]
    container["image"] = f"{container['image'].partition('@')[0]}:latest"


@FAMILY.changes(
    ENDPOINT,
    where=lambda inputs, _: "blueGreenUpdatePolicy" in inputs["deploymentConfig"],
    also=["reliability"],
)
def release_without_a_canary(inputs: Any, context: Context) -> None:
    """A new release on SageMaker takes all requests at once."""
    policy = inputs["deploymentConfig"]["blueGreenUpdatePolicy"]
    policy["trafficRoutingConfiguration"] = {"type": "ALL_AT_ONCE", "waitIntervalInSeconds": 0}


@FAMILY.adds(CONFIG, where=lambda _, context: context.of(MODEL))
def configuration_of_an_unreleased_model(inputs: Any, context: Context) -> list[Resource]:
    """A model that nobody released stands on SageMaker, with a configuration that half the requests would go to."""
    first = context.of(MODEL)[0]
    model = {key: value for key, value in first.inputs.items() if key != "name"}
    container = {
        **model["primaryContainer"],
        "environment": {"SM_VLLM_MODEL": "mistralai/Mistral-Nemo-Instruct-2407"},
    }
    del container["modelDataSource"]
    variant = inputs["productionVariants"][0]
    more = {**variant, "modelName": "${challenger-model.name}", "variantName": "challenger"}
    variants = {**inputs, "productionVariants": [variant, more]}
    return [
        copied(first, "challenger-model", {**model, "primaryContainer": container}),
        copied(context.resource, "challenger-config", variants),
    ]


@FAMILY.changes(
    ":Deployment",
    where=lambda inputs, _: inputs["spec"].get("revisionHistoryLimit", 10) > 0,
    also=["reliability"],
)
def release_with_no_way_back(inputs: Any, context: Context) -> None:
    """A deployment keeps no earlier revision to go back to."""
    inputs["spec"]["revisionHistoryLimit"] = 0
