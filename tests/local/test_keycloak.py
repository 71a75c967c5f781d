"""The realm of the local sign-on: the bank's people, and a person for each group that nobody has."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.core.errors import EnvironmentFault
from sandbox.local import keycloak


def by_name(groups: list[str]) -> dict[str, tuple[str, ...]]:
    return {person.name: person.groups for person in keycloak.realm(groups)[1]}


def test_the_banks_people_have_their_groups_and_one_person_has_none():
    assert by_name(["kyc-clerks", "staff", "marketing"]) == {
        "clara": ("kyc-clerks", "staff"),
        "mia": ("marketing", "staff"),
        "gast": (),
    }


def test_a_group_that_nobody_has_gets_a_person_and_the_realm_knows_it():
    realm, people = keycloak.realm(["staff", "auditors"])
    assert [person for person in people if person.name == "auditors"] == [
        keycloak.SignOnPerson("auditors", "auditors", ("auditors",))
    ]
    assert "auditors" in {group["name"] for group in realm["groups"]}
    assert "auditors" not in by_name(["staff"]), "one call changes nothing for the next"


def test_access_tokens_name_groups_and_audience_and_live_five_minutes():
    realm: dict[str, Any] = keycloak.realm([])[0]
    [chat] = realm["clients"]
    mappers = {mapper["name"]: mapper["config"] for mapper in chat["protocolMappers"]}
    assert mappers["groups"]["access.token.claim"] == "true"
    assert mappers["audience"]["included.custom.audience"] == "isthmus"
    assert realm["accessTokenLifespan"] == 300
    assert realm["ssoSessionMaxLifespan"] == 8 * 3600


def test_an_archive_with_another_digest_is_refused(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "keycloak.zip").write_bytes(b"something else")
    monkeypatch.setattr(keycloak, "_run", lambda command: None)
    with pytest.raises(EnvironmentFault, match="the SHA-256 of its archive is"):
        keycloak._fetch(tmp_path)


def test_an_application_that_the_realm_lacks_is_made_like_its_first_one():
    clients = keycloak.realm([], ["chat", "reviews"])[0]["clients"]
    assert [client["clientId"] for client in clients] == ["chat", "reviews"]
    assert clients[0]["protocolMappers"] == clients[1]["protocolMappers"]
