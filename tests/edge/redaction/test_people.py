"""Names after a title, birth dates and addresses, found by the words beside them."""

from __future__ import annotations

import pytest

from tests.edge.redaction.conftest import Seen


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("Sehr geehrte Frau Dr. von der Heide,", "PERSON", "Heide"),
        ("Bonjour M. Jean-Pierre N'Diaye, merci", "PERSON", "Jean-Pierre N'Diaye"),
        ("la señora María Muñoz Pérez llamó", "PERSON", "María Muñoz Pérez"),
        ("my name is Aoife O'Brien and", "PERSON", "Aoife O'Brien"),
        ("wohnt Lange Straße 12a in", "ADDRESS", "Lange Straße 12a"),
        ("habite 12 bis, rue de la Paix", "ADDRESS", "12 bis, rue de la Paix"),
        ("abita in via Giuseppe Garibaldi 7", "ADDRESS", "via Giuseppe Garibaldi 7"),
        ("at 221B Baker Street since", "ADDRESS", "221B Baker Street"),
        ("geboren am 3. März 1980", "DATE_OF_BIRTH", "3. März 1980"),
        ("date of birth: 1980-03-02", "DATE_OF_BIRTH", "1980-03-02"),
        ("born on March 3rd, 1980", "DATE_OF_BIRTH", "March 3rd, 1980"),
    ],
)
def test_a_name_address_or_birth_date_is_found_by_the_words_beside_it(
    find: Seen, text: str, entity: str, value: str
):
    assert any(name == entity and value in hidden for name, hidden in find(text)), find(text)


def test_a_date_without_context_is_not_a_birth_date(find: Seen):
    assert find("Die Sitzung ist am 12.03.2024.") == []
