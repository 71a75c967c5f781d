"""Builds the container of a SageMaker model, with vLLM's arguments as environment variables.

The entry point converts each variable `SM_VLLM_A_B=c` into `--a-b c`, and a variable without a value into a switch.
It listens on port 8080 (vllm-project/vllm, examples/online_serving/sagemaker-entrypoint.sh, read 2026-11).
"""

import re
from typing import Any

import pulumi

from components.aws.sagemaker.arguments import S3Weights, SageMakerEndpointArgs
from components.serving.vllm_arguments import check_version, parser_flags, precision_flags, vllm_flags
from isthmus.contracts.reference.model_profiles import OWN_TEMPLATE
from isthmus.contracts.reference.vllm_flags import VERSION, check_engine_args
from isthmus.core.errors import InputError

WEIGHTS = "/opt/ml/model"
"""Folder into which SageMaker puts the weights."""
_FLAG = re.compile(r"--([a-z][a-z0-9-]*)(?:=(.*))?")
_PREFIX = "SM_VLLM_"
MAX_VALUE = 1024
"""Maximum length of a variable's value (`CreateModel`, botocore's model)."""
_QUIET = {
    # The container has no network, so downloads and usage reports are off and nothing waits for them.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}


def container(image: str, weights: S3Weights, environment: dict[str, str]) -> dict[str, Any]:
    """A model's container. SageMaker fetches image and weights, because the container has no network."""
    source: dict[str, Any] = {
        "s3_data_type": "S3Prefix",
        "s3_uri": weights["uri"],
        # Uncompressed files, which vLLM reads directly.
        "compression_type": "None",
    }
    return {"image": image, "environment": environment, "model_data_source": {"s3_data_sources": [source]}}


def environment(args: SageMakerEndpointArgs, model: str, weights: S3Weights, where: str) -> dict[str, str]:
    """The container's variables. Raises `InputError` for an argument that cannot be a variable."""
    check_version(args.get("engine_version", VERSION), where)
    flags: list[str] = [
        f"--model={WEIGHTS}",
        f"--served-model-name={model}",
        f"--tensor-parallel-size={args.get('tensor_parallel', 1)}",
    ]
    flags += vllm_flags(args)
    flags += precision_flags(args.get("precision"), weights.get("precision", "bf16"), where)
    # Which templates the image contains is unknown. Without a path, the model's own is used.
    flags += parser_flags({"chat_template": OWN_TEMPLATE, **args}, model, WEIGHTS, where)
    extra_flags = args.get("engine_args", [])
    check_engine_args(extra_flags)
    # The digest is not an argument of vLLM. It makes other weights in the same folder another model, which is
    # rolled out.
    variables = {**_QUIET, "ISTHMUS_WEIGHTS_DIGEST": weights["digest"]}
    for argument in [*flags, *extra_flags]:
        name, value = _variable(argument, where)
        if name in variables:
            raise InputError(
                f"`{argument}` is set twice", where=f"{where}.engine_args", fix="Remove one of them"
            )
        variables[name] = value
    return variables


def _variable(argument: str, where: str) -> tuple[str, str]:
    match = _FLAG.fullmatch(argument)
    if match is None or len(match[2] or "") > MAX_VALUE:
        raise InputError(
            f"`{argument[:80]}` cannot be passed to SageMaker's container",
            where=f"{where}.engine_args",
            fix=f"Write each as `--flag` or `--flag=value` on one line, with at most {MAX_VALUE} characters",
        )
    return _PREFIX + match[1].replace("-", "_").upper(), match[2] or ""


def model(
    name: str,
    container: dict[str, Any],
    *,
    role: pulumi.Input[str],
    group: pulumi.Input[str],
    subnets: pulumi.Input[Any],
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> Any:
    """A SageMaker model: isolated, and in the VPC through which image and weights are fetched.

    Its name is generated, so that a change creates another model, while the serving one keeps its name.
    """
    from pulumi_aws.sagemaker import Model

    return Model(
        name,
        execution_role_arn=role,
        enable_network_isolation=True,
        vpc_config={"security_group_ids": [group], "subnets": subnets},
        primary_container=container,  # type: ignore[arg-type]
        tags=tags,
        opts=opts,
    )
