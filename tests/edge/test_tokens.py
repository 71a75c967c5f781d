"""Access tokens: which are accepted, and that each refusal names its cause."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from pydantic import ValidationError

from edge.callers import tokens
from edge.callers.tokens import Person, Verifier
from edge.config.tokens import Tokens
from edge.openai_api import Refusal
from tests.edge.issuer import AUDIENCE, CHAT, ISSUER, Issuer

SETTINGS: dict[str, Any] = {
    "issuer": ISSUER,
    "audiences": [AUDIENCE],
    "clients": [CHAT],
    "workloads": [{"workload": "kyc", "groups": ["clerks"]}],
}


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def verifier(issuer: Issuer, tmp_path: Path) -> Verifier:
    return made(issuer, tmp_path)


def made(issuer: Issuer, folder: Path, **more: Any) -> Verifier:
    file = folder / "jwks.json"
    file.write_text(issuer.published())
    return Verifier(Tokens(**{**SETTINGS, "jwks_file": file, **more}))


def person(verifier: Verifier, token: str) -> Person:
    return asyncio.run(verifier.person(token))


def code(verifier: Verifier, token: str) -> str:
    with pytest.raises(Refusal) as caught:
        person(verifier, token)
    assert caught.value.status in (401, 503)
    return caught.value.code


def test_a_token_of_keycloak_names_the_person_and_the_groups(verifier: Verifier, issuer: Issuer):
    found = person(verifier, issuer.token(["/clerks", "/staff"]))
    assert found == Person(f"{ISSUER}#5c0c", "clara@bank.example", frozenset({"clerks", "staff"}))


def test_a_token_of_rfc_9068_is_accepted(verifier: Verifier, issuer: Issuer):
    token = issuer.token(["clerks"], {"typ": "at+jwt"}, typ=None, client_id=CHAT, azp=None, aud=AUDIENCE)
    assert person(verifier, token).groups == {"clerks"}


def test_a_token_of_entra_is_accepted_by_its_own_claims(issuer: Issuer, tmp_path: Path):
    verifier = made(issuer, tmp_path, subject_claim="oid", name_claim="preferred_username")
    claims = {"typ": None, "scp": "chat", "oid": "7f1a", "preferred_username": "clara@bank", "ver": "2.0"}
    found = person(verifier, issuer.token(["0b1c-of-clerks"], email=None, **claims))
    assert (found.subject, found.name) == (f"{ISSUER}#7f1a", "clara@bank")


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"iss": "https://evil.example"}, "wrong_issuer"),
        ({"iss": f"{ISSUER}/"}, "wrong_issuer"),
        ({"aud": "account"}, "wrong_audience"),
        ({"aud": None}, "wrong_audience"),
        ({"azp": "another"}, "wrong_application"),
        ({"azp": None}, "wrong_application"),
        ({"exp": 10}, "expired_token"),
        ({"exp": None}, "invalid_token"),
        ({"exp": "soon"}, "invalid_token"),
        ({"exp": True}, "invalid_token"),
        ({"iat": None}, "invalid_token"),
        ({"iat": 4_000_000_000, "exp": 4_000_000_300}, "token_of_the_future"),
        ({"nbf": 4_000_000_000}, "token_of_the_future"),
        ({"exp": int(time.time()) + 86400}, "long_lived_token"),
        ({"sub": None}, "invalid_token"),
        ({"typ": "ID", "nonce": "n"}, "not_an_access_token"),
        ({"typ": None, "nonce": "n"}, "not_an_access_token"),
        ({"typ": None, "at_hash": "a", "scope": "openid"}, "not_an_access_token"),
        ({"typ": "Refresh"}, "not_an_access_token"),
        ({"_claim_names": {"groups": "src1"}}, "groups_left_out"),
        ({"hasgroups": True}, "groups_left_out"),
    ],
)
def test_a_refusal_names_its_cause(verifier: Verifier, issuer: Issuer, claims: dict[str, Any], expected: str):
    assert code(verifier, issuer.token(**claims)) == expected


def test_clocks_may_differ_by_a_minute(verifier: Verifier, issuer: Issuer):
    now = int(time.time())
    person(verifier, issuer.token(["clerks"], iat=now + 50, exp=now + 300))
    person(verifier, issuer.token(["clerks"], iat=now - 300, exp=now - 50))
    assert code(verifier, issuer.token(iat=now + 90, exp=now + 300)) == "token_of_the_future"
    assert code(verifier, issuer.token(iat=now - 300, exp=now - 90)) == "expired_token"


def test_algorithms_are_fixed_whatever_the_header_says(verifier: Verifier, issuer: Issuer):
    head, body, _ = issuer.token(["clerks"]).split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    assert code(verifier, f"{unsigned}.{body}.") == "token_algorithm"
    secret = OctKey.import_key(issuer.published().encode())
    confused = jwt.encode({"alg": "HS256", "kid": issuer.keys[-1].kid}, {"iss": ISSUER}, secret)
    assert code(verifier, confused) == "token_algorithm"
    assert code(verifier, f"{head}.{body}.AAAA") == "invalid_token"


def test_a_token_that_another_key_signed_is_refused(verifier: Verifier, issuer: Issuer):
    stranger = Issuer()
    assert code(verifier, stranger.token(["clerks"])) == "unknown_token_key"
    kid = issuer.keys[-1].kid
    assert code(verifier, stranger.token(["clerks"], {"kid": kid})) == "invalid_token"
    other = ECKey.generate_key("P-256")
    assert code(verifier, jwt.encode({"alg": "ES256", "kid": kid}, {"iss": ISSUER}, other)) == "invalid_token"


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_no_text_of_three_parts_is_anything_but_refused(head: str, body: str, seal: str):
    verifier = Verifier(Tokens(**SETTINGS, jwks_file=Path(__file__)))
    with pytest.raises(Refusal):
        asyncio.run(verifier.person(f"{head}.{body}.{seal}"))


def test_a_file_of_keys_is_read_again_when_it_changes(issuer: Issuer, tmp_path: Path):
    own = Issuer()
    verifier = made(own, tmp_path)
    person(verifier, own.token(["clerks"]))
    own.rotate(forget=True)
    assert code(verifier, own.token(["clerks"])) == "unknown_token_key"
    (tmp_path / "jwks.json").write_text(own.published())
    person(verifier, own.token(["clerks"]))
    (tmp_path / "jwks.json").write_text("{}")
    assert code(verifier, own.token(["clerks"])) == "issuer_unavailable"


class Published:
    """The issuer's keys on a server."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer, self.asked, self.status, self.delay_s = issuer, 0, 200, 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                time.sleep(outer.delay_s)
                raw = outer.issuer.published().encode()
                self.send_response(outer.status)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/certs"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def published() -> Iterator[Published]:
    running = Published(Issuer())
    yield running
    running.close()


def fetching(published: Published) -> Verifier:
    return Verifier(Tokens(**SETTINGS, jwks_url=published.url))


def test_a_rotated_key_is_fetched_once_it_is_seen(published: Published, monkeypatch: pytest.MonkeyPatch):
    verifier, issuer = fetching(published), published.issuer

    async def rotating() -> None:
        await verifier.person(issuer.token(["clerks"]))
        await verifier.person(issuer.token(["clerks"]))
        assert published.asked == 1
        issuer.rotate()
        with pytest.raises(Refusal) as caught:
            await verifier.person(issuer.token(["clerks"]))
        assert caught.value.code == "unknown_token_key", "asked a moment ago"
        monkeypatch.setattr(tokens, "RETRY_S", 0.0)
        await verifier.person(issuer.token(["clerks"]))
        assert published.asked == 2

    asyncio.run(rotating())


def test_those_who_come_while_the_first_keys_are_fetched_wait_for_them(published: Published):
    verifier, issuer = fetching(published), published.issuer
    published.delay_s = 0.2

    async def at_once() -> list[Person]:
        return await asyncio.gather(*(verifier.person(issuer.token(["clerks"])) for _ in range(20)))

    assert {found.groups for found in asyncio.run(at_once())} == {frozenset({"clerks"})}
    assert published.asked == 1


def test_nobody_with_a_known_key_waits_while_keys_are_fetched_anew(
    published: Published, monkeypatch: pytest.MonkeyPatch
):
    verifier, issuer = fetching(published), published.issuer
    monkeypatch.setattr(tokens, "RETRY_S", 0.0)

    async def rotating() -> None:
        old = issuer.token(["clerks"])
        await verifier.person(old)
        issuer.rotate()
        published.delay_s = 0.5
        new = asyncio.create_task(verifier.person(issuer.token(["clerks"])))
        await asyncio.sleep(0.1)
        monkeypatch.setattr(tokens, "REFRESH_S", 0.0)
        await asyncio.wait_for(verifier.person(old), 0.2)
        assert not new.done()
        await new

    asyncio.run(rotating())


def test_made_up_keys_cause_no_flood_of_requests_to_the_issuer(published: Published):
    verifier = fetching(published)

    async def flood() -> None:
        for _ in range(20):
            with pytest.raises(Refusal):
                await verifier.person(Issuer().token(["clerks"]) if _ == 0 else "e30.e30.e30")
        with pytest.raises(Refusal):
            await verifier.person(published.issuer.token(["clerks"], {"kid": "made-up"}))

    asyncio.run(flood())
    assert published.asked == 1


def test_known_keys_stay_while_the_issuer_is_silent_and_without_keys_nobody_comes_in(
    published: Published, monkeypatch: pytest.MonkeyPatch
):
    verifier, issuer = fetching(published), published.issuer

    async def silence() -> None:
        await verifier.person(issuer.token(["clerks"]))
        published.status = 500
        monkeypatch.setattr(tokens, "REFRESH_S", 0.0)
        monkeypatch.setattr(tokens, "RETRY_S", 0.0)
        await verifier.person(issuer.token(["clerks"]))
        assert published.asked == 2
        monkeypatch.setattr(tokens, "STALE_S", 0.0)
        with pytest.raises(Refusal) as caught:
            await verifier.person(issuer.token(["clerks"]))
        assert caught.value.code == "issuer_unavailable"

    asyncio.run(silence())


def test_keys_for_encryption_and_shared_secrets_are_left_out(issuer: Issuer, tmp_path: Path):
    keys = json.loads(issuer.published())["keys"]
    keys += [
        {**keys[0], "use": "enc", "kid": "enc"},
        {"kty": "oct", "k": "AAAA", "kid": "oct"},
        {"kty": "RSA"},
    ]
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": keys}))
    verifier = Verifier(Tokens(**SETTINGS, jwks_file=file))
    person(verifier, issuer.token(["clerks"]))
    assert code(verifier, issuer.token(["clerks"], {"kid": "enc"})) == "unknown_token_key"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, "jwks_file or jwks_url"),
        ({"jwks_url": "http://sso.bank.example/certs"}, "must be https"),
        ({"jwks_url": "https://sso.bank.example/certs", "max_lifetime_s": 86400}, "max_lifetime_s"),
        ({"jwks_url": "https://sso.bank.example/certs", "workloads": []}, "workloads"),
    ],
)
def test_a_wrong_setting_is_named(more: dict[str, Any], message: str):
    with pytest.raises(ValidationError, match=message):
        Tokens(**{**SETTINGS, **more})
