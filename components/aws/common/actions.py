"""Actions of AWS APIs that identities are granted."""

from __future__ import annotations

from typing import Any

import pulumi

INVOKE = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
"""Calls of models on Bedrock. Converse and ConverseStream are allowed and denied by the same two."""

CALLS = ["sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream"]
"""Whole answers, and answers as they come."""


def open_guardrail(key: pulumi.Input[str]) -> dict[str, Any]:
    """The statement that allows using a guardrail under a key.

    Source: user guide, "customer managed key for your guardrail", 2026-11.
    """
    return {"Sid": "OpenGuardrail", "Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": [key]}
