"""The translator: converts chat completions into calls of Bedrock Converse or SageMaker, with the LiteLLM library.

It is the only process of a class with an AWS identity. Models, regions and endpoints come from the configuration
only, never from a request. LiteLLM is imported in this mode only, because it takes seconds and 200 MB. The
gateway's image does not contain it.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as HttpRoute

from edge import sse
from edge.chat import check_chat
from edge.config import BedrockModel, ConfigError, Outbound, TranslatorConfig
from edge.deadlines import Deadline, Relay, allowed_s, while_connected
from edge.exchange import Exchange
from edge.openai_api import CHAT_PATH, Refusal, parse_object, read_body
from edge.providers import (
    Model,
    litellm_address,
    litellm_provider,
    rejection_message,
    service_name,
    status_of,
)
from edge.service import Service, State, application, metrics_response

CREDENTIALS_TIMEOUT_S = 10
ANSWER_FIELDS = ("id", "object", "created", "choices", "usage")
# `user` names a person, so it is not sent. The other fields are passed as separate arguments.
NOT_SENT = frozenset(("model", "messages", "stream", "user"))
# Values without effect. LiteLLM would refuse the field for models without such an option.
NEUTRAL: dict[str, Any] = {"n": 1, "logprobs": False, "presence_penalty": 0, "frequency_penalty": 0}

# LiteLLM or botocore read these variables, which could redirect a request or change the identity.
_REMOVED_VARIABLES = [
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_BEDROCK_RUNTIME_ENDPOINT",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_VERIFY",
    "LITELLM_LOG",
]


def prepare_environment(outbound: Outbound) -> None:
    """Set the environment that LiteLLM and botocore read at import, so that only the configured network path is
    used.
    """
    for name in _REMOVED_VARIABLES:
        os.environ.pop(name, None)
    if outbound.proxy:
        # For TLS only: the credential helper uses plain HTTP on loopback, which must not go through the proxy.
        os.environ["HTTPS_PROXY"] = outbound.proxy
        os.environ["NO_PROXY"] = ",".join(outbound.no_proxy)
    if outbound.ca:
        _require_authorities(outbound.ca)
        os.environ["SSL_CERT_FILE"] = str(outbound.ca)
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise it fetches a list from the internet
    os.environ["LITELLM_MODE"] = "PRODUCTION"  # otherwise it reads a .env file
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")  # on-prem there is no metadata service


def _require_authorities(path: Path) -> None:
    """Raise ConfigError if the file contains no CA, because LiteLLM would silently trust the public CAs instead."""
    try:
        ssl.create_default_context(cafile=str(path))
    except (ssl.SSLError, OSError):
        raise ConfigError(f"{path}: there are no certificates of authorities in it (outbound.ca).") from None


class Credentials:
    """The AWS identity of this process, from botocore's default chain, which also refreshes it."""

    def __init__(self) -> None:
        from botocore.session import Session

        self._session = Session()
        self._asking: asyncio.Task[Any] | None = None

    async def get(self) -> dict[str, str]:
        """LiteLLM's arguments for the current identity. Raises Refusal 503 if there is none in time."""
        # Concurrent requests share one look-up, because it may start a helper or call a service, and may hang.
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(asyncio.to_thread(self._frozen))
        await asyncio.wait({self._asking}, timeout=CREDENTIALS_TIMEOUT_S)
        try:
            frozen = self._asking.result()
        except Exception:  # noqa: BLE001  what answers may be broken in ways of its own (a year 1, no JSON)
            frozen = None
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise Refusal(
                503, "no_aws_identity", "The translator has no AWS identity now; ask its operators."
            )
        arguments = {"aws_access_key_id": frozen.access_key, "aws_secret_access_key": frozen.secret_key}
        if frozen.token:
            arguments["aws_session_token"] = frozen.token
        return arguments

    def _frozen(self) -> Any:
        credentials = self._session.get_credentials()
        return credentials.get_frozen_credentials() if credentials else None


class Translator:
    """The configured models by name, called through LiteLLM."""

    def __init__(self, config: TranslatorConfig, state: State) -> None:
        prepare_environment(config.outbound)
        # Imported by name: with a plain import, the type checker reads 700 files for types that are not used here.
        litellm: Any = importlib.import_module("litellm")
        litellm.drop_params = False  # unsupported fields are refused, not dropped
        litellm.suppress_debug_info = True
        litellm.turn_off_message_logging = True
        self._litellm = litellm
        self._models = {model.name: model for model in config.models}
        self._supported = {model.name: self._fields_of(model) for model in config.models}
        self._limits, self._state = config.limits, state
        self._credentials = Credentials()

    def service(self) -> Service:
        """The translator as the process runs it."""
        routes = [
            HttpRoute(CHAT_PATH, self.chat, methods=["POST"]),
            HttpRoute("/v1/models", self.models, methods=["GET"]),
        ]
        return Service(
            app=application(routes),
            paths={CHAT_PATH, "/v1/models"},
            problem=self._problem,
            metrics=self._metrics,
            close=self._close,
        )

    async def models(self, request: Request) -> Response:
        """The names of the configured models."""
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "isthmus"} for name in self._models]
        return JSONResponse({"object": "list", "data": data})

    async def chat(self, request: Request) -> Response:
        """Serve one chat completion, whole or as a stream."""
        exchange: Exchange = request.state.exchange
        deadline = Deadline(allowed_s(request, self._limits.request_timeout_s), self._state.running)
        handed_over = False
        try:
            raw = await deadline.wait(read_body(request, self._limits.max_body_bytes))
            chat = check_chat(parse_object(raw))
            model = self._models.get(chat["model"])
            if model is None:
                raise Refusal(404, "model_not_found", "This translator has no model of this name.")
            exchange.workload = model.name
            stream = exchange.stream = chat.get("stream", False)
            arguments = self._arguments(chat, model) | {"timeout": deadline.left_s}
            async with while_connected(request.receive):
                answer = await deadline.wait(self._call(arguments, model))
            if not stream:
                body = answer.model_dump(exclude_none=True)
                exchange.note_usage(body.get("usage"))
                return JSONResponse(_under_model_name(body, model))
            handed_over = True
            pieces = self._relay(answer, model, exchange, deadline)
            return Relay(pieces, deadline, answer.aclose, headers=sse.HEADERS)
        except TimeoutError:
            raise deadline.refusal() from None
        finally:
            if not handed_over:
                deadline.done()

    def _arguments(self, chat: dict[str, Any], model: Model) -> dict[str, Any]:
        options = {
            field: value
            for field, value in chat.items()
            if field not in NOT_SENT and not (field in NEUTRAL and value == NEUTRAL[field])
        }
        for field in options:
            if field not in self._supported[model.name]:
                raise Refusal(400, "unsupported_parameter", f"This model does not take the field {field!r}.")
        guardrail = model.guardrail if isinstance(model, BedrockModel) else None
        if isinstance(model, BedrockModel) and model.model_id:
            options["model_id"] = model.model_id
        if guardrail:
            options["guardrailConfig"] = {
                "guardrailIdentifier": guardrail.id,
                "guardrailVersion": guardrail.version,
                "trace": "disabled",
                # `async` would send words before the guardrail has checked them. Whole answers have no mode.
                **({"streamProcessingMode": "sync"} if chat.get("stream") else {}),
            }
        return {
            **options,
            **litellm_address(model, stream=chat.get("stream", False)),
            "messages": _mark_for_guardrail(chat["messages"]) if guardrail else chat["messages"],
            "stream": chat.get("stream", False),
            "num_retries": 0,
            "max_retries": 0,
        }

    async def _call(self, arguments: dict[str, Any], model: Model) -> Any:
        identity = await self._credentials.get()
        try:
            return await self._litellm.acompletion(**arguments, **identity)
        except Exception as error:  # noqa: BLE001  LiteLLM raises what its providers raise
            raise self._refusal(error, model) from None

    async def _relay(
        self, answer: Any, model: Model, exchange: Exchange, deadline: Deadline
    ) -> AsyncIterator[bytes]:
        """The stream, chunk by chunk. If it breaks, it ends with an error and without `[DONE]`."""
        source: AsyncIterator[Any] = aiter(answer)
        try:
            while (chunk := await deadline.wait(anext(source, None))) is not None:
                body: dict[str, Any] = chunk.model_dump(exclude_none=True)
                exchange.note_usage(body.get("usage"))
                yield sse.event(_under_model_name(body, model))
            exchange.ended = True
            yield sse.DONE
        except Exception as error:  # noqa: BLE001  as above: whatever broke, the caller must see it
            timed_out = isinstance(error, TimeoutError)
            refusal = deadline.refusal() if timed_out else self._refusal(error, model)
            exchange.code, exchange.ended = refusal.code, True
            yield sse.event(refusal.body())

    def _refusal(self, error: Exception, model: Model) -> Refusal:
        """The error for the caller, from an error of LiteLLM. It contains no account, ARN or address."""
        kinds = self._litellm.exceptions
        if isinstance(error, kinds.MidStreamFallbackError):
            return Refusal(502, "stream_cut", f"{service_name(model)}'s stream broke before it was complete.")
        if isinstance(error, kinds.UnsupportedParamsError):
            return Refusal(
                400, "unsupported_parameter", "This model does not take one of the request's fields."
            )
        if isinstance(error, kinds.ContextWindowExceededError):
            return Refusal(400, "context_length_exceeded", "The request is longer than the model's context.")
        status_code, provider = status_of(error), service_name(model)
        if isinstance(error, kinds.Timeout) or status_code in (408, 504):
            return Refusal(504, "timeout", f"{provider} did not answer within the time limit.")
        if status_code in (400, 413, 422) and (
            provider == "SageMaker" or isinstance(error, kinds.BadRequestError)
        ):
            return Refusal(400, "rejected_by_model", rejection_message(str(error), model))
        if status_code == 429:
            return Refusal(429, "model_busy", f"{provider} is at this account's limit; try again later.")
        if status_code in (401, 403):
            return Refusal(502, "aws_refused", "AWS does not let the translator use this model.")
        if isinstance(error, kinds.APIConnectionError) or status_code == 503:
            return Refusal(503, "model_unavailable", f"{provider} cannot be reached now; try again later.")
        return Refusal(502, "bad_gateway", f"{provider} failed on this request.")

    def _fields_of(self, model: Model) -> frozenset[str]:
        provider, name = litellm_provider(model)
        fields = self._litellm.get_supported_openai_params(model=name, custom_llm_provider=provider)
        return frozenset(fields or ())

    async def _problem(self) -> str | None:
        return None

    async def _metrics(self) -> Response:
        return metrics_response(self._state.metrics)

    async def _close(self) -> None:
        return None


def _mark_for_guardrail(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages, with every text of a user marked for the guardrail.

    LiteLLM marks only the last ones, and the guardrail does not check unmarked texts. Forbidden text could then
    pass in an earlier message.
    """
    marked: list[dict[str, Any]] = []
    for message in messages:
        content = message.get("content")
        if message["role"] == "user" and content:
            content_parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            content = [
                {**part, "type": "guarded_text"} if part["type"] == "text" else part for part in content_parts
            ]
        marked.append({**message, "content": content} if "content" in message else message)
    return marked


def _under_model_name(body: dict[str, Any], model: Model) -> dict[str, Any]:
    return {**{field: body[field] for field in ANSWER_FIELDS if field in body}, "model": model.name}
