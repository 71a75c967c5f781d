"""The `query` and `ec2` protocols: reads an operation's parameters from a form, and writes its answer as XML.

moto's parser and serializer, which follow botocore's models, do the work. `service_frame` validates the values.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

PROTOCOLS = ("query", "ec2")


def fields(body: bytes) -> dict[str, str]:
    """Return the form fields of a request. Empty if the body is not a form."""
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    except ValueError:
        return {}


def parse_params(model: Any, form: Mapping[str, str]) -> dict[str, Any]:
    """Return the operation's parameters, in the shape of botocore's `model`. Raises `ValueError` for a bad number."""
    from moto.core.parse import PROTOCOL_PARSERS

    if model.input_shape is None:
        return {}
    service = model.service_model
    return PROTOCOL_PARSERS[service.resolved_protocol](_moto_model(model)).parse({"values": form})  # pyright: ignore[reportArgumentType] - a form needs no more


def write_response(model: Any, answer: Mapping[str, Any]) -> bytes:
    """Return an answer as XML."""
    from moto.core.serialize import SerializationContext, get_serializer_class

    service = model.service_model
    serializer = get_serializer_class(service.service_name, service.resolved_protocol)
    context = SerializationContext(str(uuid.uuid4()))
    return str(serializer(_moto_model(model), context).serialize(answer)["body"]).encode()


def _moto_model(model: Any) -> Any:
    """Return the operation in moto's version of the models, which describes lists in more detail."""
    from moto.core.utils import get_service_model

    return get_service_model(model.service_model.service_name).operation_model(model.name)


def write_error(model: Any, code: str, message: str) -> bytes:
    """Return an error as XML."""
    inner = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    if model.service_model.resolved_protocol == "ec2":
        return f"<Response><Errors>{inner}</Errors><RequestID>{uuid.uuid4()}</RequestID></Response>".encode()
    return f"<ErrorResponse>{inner}<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>".encode()
