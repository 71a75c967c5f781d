"""LiteLLM's names, addresses and errors for each provider: Amazon Bedrock Converse and SageMaker chat."""

from __future__ import annotations

import json
import re
from typing import Any

from edge.config import BedrockModel, SageMakerModel

Model = BedrockModel | SageMakerModel


def service_name(model: Model) -> str:
    """The provider's name in messages for callers and operators."""
    return "SageMaker" if isinstance(model, SageMakerModel) else "Bedrock"


def litellm_provider(model: Model) -> tuple[str, str]:
    """LiteLLM's names of provider and model, with which the translator looks up the supported fields."""
    if isinstance(model, SageMakerModel):
        return "sagemaker_chat", model.endpoint
    return "bedrock", f"converse/{model.inference_profile}"


def litellm_address(model: Model, *, stream: bool) -> dict[str, Any]:
    """LiteLLM's arguments for the model and its address."""
    if isinstance(model, BedrockModel):
        return {
            "model": f"bedrock/converse/{model.inference_profile}",
            "aws_region_name": model.region,
            "aws_bedrock_runtime_endpoint": model.endpoint_url,
        }
    arguments: dict[str, Any] = {
        "model": f"sagemaker_chat/{model.endpoint}",
        # Otherwise LiteLLM sends the endpoint's name as the model's name, which the endpoint's server does not
        # know.
        "hf_model_name": model.model,
        "aws_region_name": model.region,
    }
    if model.endpoint_url is not None:
        # The complete address, because LiteLLM does not append a path to a given address.
        action = "invocations-response-stream" if stream else "invocations"
        arguments["sagemaker_base_url"] = (
            f"{model.endpoint_url.rstrip('/')}/endpoints/{model.endpoint}/{action}"
        )
    return arguments


def status_of(error: Exception) -> Any:
    """The HTTP status of an error. For SageMaker's 424, the status of its container."""
    status_code = getattr(error, "status_code", None)
    original = re.search(r'"OriginalStatusCode"\s*:\s*(\d{3})', str(error)) if status_code == 424 else None
    return int(original[1]) if original else status_code


def rejection_message(text: str, model: Model) -> str:
    """Bedrock's message about an invalid request, without account numbers and names of AWS resources.

    SageMaker's messages contain account and log names, so they are replaced by a fixed sentence.
    """
    if isinstance(model, SageMakerModel):
        return "The model does not accept this request."
    message: Any = None
    start, end = text.find("{"), text.rfind("}")
    if 0 <= start < end:
        try:
            document = json.loads(text[start : end + 1])
            message = document.get("message") if isinstance(document, dict) else None
        except ValueError:
            message = None
    if not isinstance(message, str) or not message:
        return "Bedrock does not accept this request."
    for aws_name in filter(None, (model.model_id, model.inference_profile)):
        message = message.replace(aws_name, model.name)
    return re.sub(r"\d{12}", "…", message)[:300]
