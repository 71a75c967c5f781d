"""Reads the forms that browsers send from our pages."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request

from edge.openai_api import Refusal, bad_request, read_at_most

MOST_FIELDS = 5000


async def read_form(request: Request, max_bytes: int) -> dict[str, str]:
    """The fields of a form. Raises Refusal 400, 413, 415 or 499."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refusal(415, "unsupported_media_type", "Send the form as application/x-www-form-urlencoded.")
    body = await read_at_most(request, max_bytes, "form")
    request.state.exchange.bytes_in = len(body)
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError:
        raise bad_request("malformed_form", "The form cannot be read.") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise bad_request("malformed_form", "A field stands twice in the form.")
    # Browsers end lines of a text field with CR LF, whatever the text had.
    return {name: value.replace("\r\n", "\n") for name, value in fields.items()}
