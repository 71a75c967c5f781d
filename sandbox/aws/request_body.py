"""Reads the body of a request such that the next handler can read it again."""

from __future__ import annotations

import io
from typing import Any


def read(environ: dict[str, Any]) -> bytes:
    """Return the body of a WSGI request, and put it back into the environment.

    A chunked body, as AWS's credential helper sends it, gets its length here.
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
