"""`isthmus stop`: at real gateways through a review service, a database, a file and a Secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.core import yaml_files
from tests.cli.conftest import Isthmus
from tests.edge.postgres import Postgres
from tests.edge.reviews.reviewed import RULE, Reviewed, reviewed

WORKLOAD = "transaction-narratives"
"""Of the bank, class restricted at fra1."""


def test_an_unknown_workload_is_told_with_the_nearest_one(isthmus: Isthmus, project: Path):
    result = isthmus("stop", "bank-dev", "transaction-narrative", "--reason", "fire", "--project", project)
    assert result.code == 2
    assert "Did you mean `transaction-narratives`?" in result.err


def test_a_stop_needs_a_reason_of_one_word(isthmus: Isthmus, project: Path):
    for more in ([], ["--reason", "It burns"]):
        result = isthmus("stop", "bank-dev", WORKLOAD, *more, "--project", project)
        assert (result.code, "--reason" in result.err) == (2, True)
    result = isthmus(
        *("stop", "bank-dev", WORKLOAD, "--reason", "fire", "--message", "a\nb", "--project", project)
    )
    assert (result.code, "--message" in result.err) == (2, True)


def test_what_does_not_run_cannot_be_stopped(isthmus: Isthmus, project: Path):
    result = isthmus(
        *("stop", "bank-dev", WORKLOAD, "--reason", "fire", "--format", "json", "--project", project)
    )
    assert result.code == 3
    assert "Run `isthmus sandbox serve bank-dev` first" in result.err
    (gateway,) = json.loads(result.out)["gateways"]
    assert (gateway["class"], gateway["site"], gateway["outcome"]) == ("restricted", "fra1", "failed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reviewed]:
    postgres = Postgres()
    people = [
        {"name": f"{name}@bank", "client": f"{name}.people.bank", "senior": True} for name in ("erika", "max")
    ]
    try:
        with reviewed(
            tmp_path_factory.mktemp("stopped-by-command"),
            postgres,
            "stopped_by_command",
            [{"name": WORKLOAD, "impact": "low", "review": RULE}],
            data_class="restricted",
            desk={"reviewers": people},
        ) as made:
            made.made.authority.issue("max", "max.people.bank")
            yield made
    finally:
        postgres.stop()


def access_file(site: Reviewed, name: str) -> Path:
    """A person's file for `--access`: the desk by certificate."""
    file = site.folder / f"stop-{name}.yaml"
    desk = {
        **{"class": "restricted", "site": "fra1", "url": site.desk.url},
        **{"certificate": f"{name}.crt", "certificate_key": f"{name}.key"},
        "ca": str(site.made.authority.path),
    }
    file.write_text(yaml_files.dumps({"desks": [desk]}))
    return file


@pytest.mark.service
def test_one_person_stops_a_running_gateway_and_two_restart_it(
    isthmus: Isthmus, project: Path, site: Reviewed
):
    assert site.ask(WORKLOAD).status_code == 200

    def stop(person: str, *more: str) -> tuple[int, str, str]:
        result = isthmus(
            *("stop", "bank-dev", WORKLOAD, "--access", access_file(site, person), "--project", project),
            *more,
        )
        return result.code, result.out, result.err

    code, out, err = stop("erika", "--reason", "wrong-answers", "--message", "Call 4711.", "--format", "json")
    assert code == 0, err
    (gateway,) = json.loads(out)["gateways"]
    assert (gateway["way"], gateway["outcome"], len(gateway["refusing"])) == ("reviews", "stopped", 1)
    refused = site.ask(WORKLOAD)
    assert (refused.status_code, refused.json()["error"]["message"]) == (503, "Call 4711.")
    code, out, _ = stop("max", "--reason", "abuse")
    assert (code, "was stopped before, and stays so" in out) == (0, True)
    code, out, _ = stop("erika", "--restart")
    assert (code, "STILL STOPPED" in out) == (0, True)
    code, _, err = stop("erika", "--restart")
    assert (code, "Another person must ask for it too" in err) == (1, True)
    assert site.ask(WORKLOAD).status_code == 503
    code, out, _ = stop("max", "--restart")
    assert (code, "restarted" in out) == (0, True)
    code, _, err = stop("max", "--restart")
    assert (code, f"`{WORKLOAD}` is not stopped" in err) == (1, True)


@pytest.mark.service
def test_an_operator_stops_by_the_database_with_a_user_of_their_own(
    isthmus: Isthmus, project: Path, site: Reviewed
):
    made = site.made
    password, database, access = (site.folder / name for name in ("otto", "otto.yaml", "stop-otto.yaml"))
    made.postgres.ask("CREATE ROLE otto LOGIN PASSWORD 'otto-s3cret'")
    made.keys("migrate", "--operators-user", "otto")
    password.write_text("otto-s3cret")
    place = made.postgres.administrator(made.database)
    database.write_text(yaml_files.dumps({**place, "user": "otto", "password": str(password)}))
    entry = {"class": "restricted", "site": "fra1", "file": database.name}
    access.write_text(yaml_files.dumps({"databases": [entry]}))
    command = ("stop", "bank-dev", WORKLOAD, "--access", access, "--project", project)
    result = isthmus(*command, "--reason", "fire", "--format", "json")
    assert result.code == 0, result.err
    (gateway,) = json.loads(result.out)["gateways"]
    assert (gateway["way"], gateway["outcome"], len(gateway["refusing"])) == ("database", "stopped", 1)
    assert site.ask(WORKLOAD).status_code == 503
    assert "STILL STOPPED" in isthmus(*command, "--restart").out
    again = isthmus(*command, "--restart")
    assert (again.code, "Another person must ask" in again.err) == (1, True)
    made.postgres.ask("ALTER ROLE otto NOLOGIN")
    refused = isthmus(*command, "--restart")
    assert (refused.code, "the database did not do it" in refused.err) == (3, True)
