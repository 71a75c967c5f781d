"""A request's body, read once and left for whoever comes after."""

from __future__ import annotations

import io
from typing import Any


def read(environ: dict[str, Any]) -> bytes:
    """The whole body of a WSGI request, which can be read again from the environment.

    A body that is sent in chunks (as AWS's credential helper does) has no length until it is read.
    """
    stream = environ.get("wsgi.input")
    if stream is None:
        return b""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length:
        raw = stream.read(length)
    else:
        raw = stream.read() if environ.get("wsgi.input_terminated") else b""
        environ["CONTENT_LENGTH"] = str(len(raw))
    environ["wsgi.input"] = io.BytesIO(raw)
    return raw
