"""How LiteLLM is told of a model, by who serves it: Amazon Bedrock's Converse, or a SageMaker endpoint's chat."""

from __future__ import annotations

import json
import re
from typing import Any

from edge.config import BedrockModel, SageMakerModel

Model = BedrockModel | SageMakerModel


def service_name(model: Model) -> str:
    """What callers and operators know it by."""
    return "SageMaker" if isinstance(model, SageMakerModel) else "Bedrock"


def litellm_provider(model: Model) -> tuple[str, str]:
    """LiteLLM's own names of provider and model, to look up which fields it takes."""
    if isinstance(model, SageMakerModel):
        return "sagemaker_chat", model.endpoint
    return "bedrock", f"converse/{model.inference_profile}"


def litellm_address(model: Model, *, stream: bool) -> dict[str, Any]:
    """LiteLLM's arguments for which model is called, and where."""
    if isinstance(model, BedrockModel):
        return {
            "model": f"bedrock/converse/{model.inference_profile}",
            "aws_region_name": model.region,
            "aws_bedrock_runtime_endpoint": model.endpoint_url,
        }
    arguments: dict[str, Any] = {
        "model": f"sagemaker_chat/{model.endpoint}",
        # Else the endpoint's name would be sent as the model's, which its server does not know.
        "hf_model_name": model.model,
        "aws_region_name": model.region,
    }
    if model.endpoint_url is not None:
        # The whole address: LiteLLM adds nothing to one that it is given.
        action = "invocations-response-stream" if stream else "invocations"
        arguments["sagemaker_base_url"] = (
            f"{model.endpoint_url.rstrip('/')}/endpoints/{model.endpoint}/{action}"
        )
    return arguments


def status_of(error: Exception) -> Any:
    """The HTTP status of an answer; of SageMaker's 424, the one that its container gave."""
    status_code = getattr(error, "status_code", None)
    original = re.search(r'"OriginalStatusCode"\s*:\s*(\d{3})', str(error)) if status_code == 424 else None
    return int(original[1]) if original else status_code


def rejection_message(text: str, model: Model) -> str:
    """What Bedrock says of the caller's own mistake, without account numbers or the profile's name.

    SageMaker's words name account and log; nothing of them is passed on.
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
