"""The table of failure modes: every part has sourced figures, and the requirements' own figures replace them."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from bench.replay import read
from isthmus.contracts.vocabulary import FailurePart
from isthmus.core.errors import InputError
from isthmus.planning.catalogues import failure_modes
from scripts import failure_modes_table
from tests.planning.test_planner import bank


def stated(**failures: Any) -> Any:
    figures = {part.replace("_", "-"): values for part, values in failures.items()}
    return read(bank(planning={"headroom": 0.3, "stress": 1.5, "failures": figures}))


def test_every_part_that_may_fail_has_a_mode_with_its_source_and_date() -> None:
    assert tuple(failure_modes.table()) == get_args(FailurePart)
    for mode in failure_modes.table().values():
        assert mode.rate_per_year > 0
        assert mode.repair_hours > 0
        assert 0 <= mode.common_cause < 1
        assert mode.kind in ("estimated", "assumed")
        assert len(mode.source) > 20
        assert mode.as_of[:2] == "20"


def test_a_providers_sla_is_called_a_refund_and_not_an_availability() -> None:
    for part in ("provider-bedrock", "provider-sagemaker"):
        mode = failure_modes.table()[part]
        assert mode.kind == "assumed"
        assert "refund" in mode.source
        assert "not an availability" in mode.source


def test_a_part_that_fails_once_a_year_for_a_day_is_down_for_a_day_in_366() -> None:
    assert failure_modes.share_down(1, 24) == pytest.approx(1 / 366)
    assert failure_modes.share_down(0, 24) == 0


def test_figures_of_the_requirements_replace_those_of_the_table() -> None:
    modes = failure_modes.of_requirements(
        stated(
            database={"rate_per_year": 0.5, "repair_hours": 0.1, "common_cause": 0, "source": "our incidents"}
        )
    )
    database = modes["database"]
    assert (database.rate_per_year, database.repair_hours, database.kind) == (0.5, 0.1, "given")
    assert (database.source, database.as_of) == ("our incidents", "not stated")
    assert modes["gateway"] == failure_modes.table()["gateway"]


def test_a_single_stated_figure_keeps_the_others_and_names_their_source() -> None:
    mode = failure_modes.of_requirements(stated(node_on_prem={"repair_hours": 4, "as_of": "2026-11-01"}))[
        "node-on-prem"
    ]
    table = failure_modes.table()["node-on-prem"]
    assert (mode.rate_per_year, mode.repair_hours) == (table.rate_per_year, 4)
    assert mode.source.startswith("requirements, planning.failures.node-on-prem; other figures: ")
    assert mode.as_of == "2026-11-01"


@pytest.mark.parametrize(
    ("failures", "where"),
    [
        ({"node": {"repair_hours": 4}}, r"planning\.failures"),
        ({"gateway": {"repair_hours": 0}}, r"planning\.failures\.gateway\.repair_hours"),
        ({"gateway": {"common_cause": 1.5}}, r"planning\.failures\.gateway\.common_cause"),
    ],
    ids=["an unknown part", "no time to repair", "a share above 1"],
)
def test_a_wrong_figure_is_refused_with_its_place(failures: Any, where: str) -> None:
    with pytest.raises(InputError) as raised:
        stated(**failures)
    assert raised.match(where) or where.replace("\\", "") in str(raised.value.where)


def test_the_table_in_the_docs_is_the_one_of_the_data() -> None:
    text = failure_modes_table.DOC.read_text("utf-8")
    assert failure_modes_table.fill_document(text) == text, "run `python -m scripts.failure_modes_table`"
