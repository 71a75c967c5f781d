"""Generated chat requests, valid and invalid, with an account or card number anywhere in them.

For every request: no 500, a line in the journal, and neither number reaches the model outside the site.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.edge.screening.standing import IBAN, KEYS, Screened, shows_the_account

CARD = "4111111111111111"
DIGITS = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
SPELLINGS = [
    IBAN,
    IBAN.replace(" ", ""),
    IBAN.replace(" ", "."),
    IBAN.replace(" ", "\u200b"),
    IBAN.replace(" ", "\n"),
    IBAN.replace(" ", "%20"),
    IBAN.translate(DIGITS),
]
TEXTS = st.one_of(
    st.sampled_from(["Hallo", "Wie geht es Ihnen heute?", "", "<IBAN_CODE_1>", "\u0000", "x" * 2000]),
    st.sampled_from(SPELLINGS).map(lambda number: f"Bitte überweisen Sie von {number} an die Miete."),
)
NUMBERS = st.one_of(st.integers(-5, 300), st.floats(-3, 3), st.just(float(CARD)), st.just(int(CARD)))


def objects(values: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects with texts as keys."""
    return st.lists(st.tuples(TEXTS, values), max_size=most).map(dict)


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), objects(inner, 3)),
    max_leaves=6,
)
CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "id": TEXTS,
            "type": st.just("function"),
            "function": st.fixed_dictionaries(
                {
                    "name": st.sampled_from(["lookup", "pay"]),
                    "arguments": st.one_of(TEXTS, ANYTHING.map(json.dumps)),
                }
            ),
        }
    ),
    max_size=2,
)
CONTENT = st.one_of(
    TEXTS,
    st.none(),
    st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXTS}), max_size=3),
    ANYTHING,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool", "robot"]), "content": CONTENT},
        optional={
            "name": TEXTS,
            "tool_calls": CALLS,
            "tool_call_id": TEXTS,
            "refusal": TEXTS,
            "annotations": ANYTHING,
        },
    ),
    max_size=4,
)
TOOLS = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.just("function"),
            "function": st.fixed_dictionaries(
                {"name": st.sampled_from(["lookup", "pay"])},
                optional={"description": TEXTS, "parameters": objects(ANYTHING, 3)},
            ),
        }
    ),
    max_size=2,
)
REQUESTS = st.fixed_dictionaries(
    {"model": st.just("cloud"), "messages": MESSAGES},
    optional={
        "stream": st.booleans(),
        "tools": TOOLS,
        "tool_choice": st.one_of(st.sampled_from(["auto", "none", "required"]), ANYTHING),
        "stop": st.one_of(TEXTS, st.lists(TEXTS, max_size=3)),
        "user": ANYTHING,
        "n": NUMBERS,
        "temperature": NUMBERS,
        "seed": NUMBERS,
        "max_tokens": NUMBERS,
        "logit_bias": objects(NUMBERS, 2),
        "response_format": ANYTHING,
        "metadata": ANYTHING,
        "prediction": ANYTHING,
        "reasoning_effort": TEXTS,
        "stream_options": ANYTHING,
    },
)


MESSAGE = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": TEXTS}),
    st.fixed_dictionaries({"role": st.just("assistant"), "content": TEXTS}, optional={"tool_calls": CALLS}),
)
WELL_FORMED = st.fixed_dictionaries(
    {
        "model": st.just("cloud"),
        "messages": st.builds(lambda first, more: [first, *more], MESSAGE, st.lists(MESSAGE, max_size=3)),
    },
    optional={
        "stream": st.booleans(),
        "tools": TOOLS.map(lambda tools: tools or [{"type": "function", "function": {"name": "pay"}}]),
        "stop": TEXTS.filter(bool),
        "user": TEXTS,
        "seed": st.integers(0, 2**31),
        "metadata": objects(TEXTS, 2),
    },
)
"""Requests that the gateway forwards, if the detector lets them leave."""


def leaked(received: bytes) -> bool:
    """Whether a forwarded request contains the account or card number, in any digits and spacing."""
    text = "".join(character for character in received.decode(errors="replace") if character.isalnum())
    digits = "".join(
        str(int(character)) if character.isdigit() and character.isdecimal() else character
        for character in text
    )
    return shows_the_account(digits) or CARD in digits


@given(request_body=st.one_of(WELL_FORMED, REQUESTS))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_random_request_crashes_the_gateway_or_leaks_an_account_number(
    screened: Screened, request_body: dict[str, Any]
) -> None:
    screened.reset()
    answer = screened.client.post(
        "/v1/chat/completions", json=request_body, headers={"authorization": f"Bearer {KEYS['cloud']}"}
    )
    assert answer.status_code in (200, 400, 413, 422), answer.text
    assert not any(leaked(received) for received in screened.cloud.received), request_body
    screened.gateway.wait_for_line("request", request_id=answer.headers["x-request-id"])
    assert screened.gateway.process.poll() is None


def test_the_leak_check_finds_a_number_in_any_notation() -> None:
    for spelling in SPELLINGS:
        assert leaked(spelling.replace("%20", " ").encode()), spelling
