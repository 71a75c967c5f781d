"""The `query` and `ec2` protocols: an operation's parameters from a form, its answer as XML.

The forms and the XML are read and written by moto's own parser and serializer, which follow botocore's
models; the checks are the frame's.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

PROTOCOLS = ("query", "ec2")


def fields(body: bytes) -> dict[str, str]:
    """The form of a request; empty where the body is none."""
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    except ValueError:
        return {}


def parsed(model: Any, form: Mapping[str, str]) -> dict[str, Any]:
    """The operation's parameters, in the shape of botocore's `model`. Raises `ValueError` for a wrong number."""
    from moto.core.parse import PROTOCOL_PARSERS

    if model.input_shape is None:
        return {}
    service = model.service_model
    return PROTOCOL_PARSERS[service.resolved_protocol](_moto_s(model)).parse({"values": form})  # pyright: ignore[reportArgumentType] - a form needs no more


def written(model: Any, answer: Mapping[str, Any]) -> bytes:
    """The XML of an answer."""
    from moto.core.serialize import SerializationContext, get_serializer_class

    service = model.service_model
    made = get_serializer_class(service.service_name, service.resolved_protocol)
    context = SerializationContext(str(uuid.uuid4()))
    return str(made(_moto_s(model), context).serialize(answer)["body"]).encode()


def _moto_s(model: Any) -> Any:
    """The operation in moto's form of the models, which knows more of lists than botocore's."""
    from moto.core.utils import get_service_model

    return get_service_model(model.service_model.service_name).operation_model(model.name)


def refused(model: Any, code: str, message: str) -> bytes:
    """The XML of an error."""
    inner = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    if model.service_model.resolved_protocol == "ec2":
        return f"<Response><Errors>{inner}</Errors><RequestID>{uuid.uuid4()}</RequestID></Response>".encode()
    return f"<ErrorResponse>{inner}<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>".encode()
