"""Actions of AWS APIs that identities are granted."""

from __future__ import annotations

from typing import Any

import pulumi

INVOKE = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
"""Model calls on Bedrock. Converse and ConverseStream need the same two actions."""

CALLS = ["sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream"]
"""Calls with whole answers, and with streams."""


def open_guardrail(key: pulumi.Input[str]) -> dict[str, Any]:
    """The statement that allows using a guardrail with a key.

    Source: user guide, "customer managed key for your guardrail", 2026-11.
    """
    return {"Sid": "OpenGuardrail", "Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": [key]}
