"""The studio's server: who may call it, what it answers, and that its figures are those of the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from isthmus.blueprints import starters
from isthmus.blueprints.offers import offers
from isthmus.contracts.requirements import document as requirements_of
from isthmus.planning import planner
from isthmus.studio.server import Studio
from isthmus.studio.session import Session

TODAY, PORT = "2026-11-25", 4242
HOST = f"127.0.0.1:{PORT}"
SECRET = "a-secret"


class Client:
    """A browser that was given the address."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def get(self, path: str = "") -> Any:
        return self.client.get(f"/{SECRET}/{path}")

    def post(self, path: str, body: Any, **headers: str) -> Any:
        sent = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin", **headers}
        return self.client.post(f"/{SECRET}/{path}", content=json.dumps(body), headers=sent)

    def edit(self, *path: str | int, value: Any) -> Any:
        return self.post("edit", {"do": "set", "path": list(path), "value": value}).json()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studio") / "hospital.requirements.yaml"


@pytest.fixture(scope="module")
def served(file: Path) -> Iterator[TestClient]:
    file.write_text(starters.text("hospital"))
    studio = Studio(Session.open(file), TODAY, SECRET)
    with TestClient(studio.app(PORT), base_url=f"http://{HOST}") as client:
        yield client


@pytest.fixture
def client(served: TestClient, file: Path) -> Client:
    file.write_text(starters.text("hospital"))
    client = Client(served)
    assert client.post("edit", {"do": "load"}).status_code == 200
    return client


def test_the_page_loads_only_its_own_files_and_runs_only_its_own_script(client: Client):
    page = client.get()
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    for address in re.findall(r'(?:src|href)="([^#"]+)"', page.text):
        assert client.get(address).status_code == 200, address
        assert "//" not in address
    assert not re.search(r"<style|<script>|\son\w+=", page.text)


def test_without_the_secret_nothing_is_told(served: TestClient):
    for path in ("/", "/draft", "/other/", "/other/draft", f"/{SECRET}x/draft"):
        answer = served.get(path)
        assert answer.status_code == 404
        assert "hospital" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4242", "127.0.0.1:1", "127.0.0.1", ""])
def test_another_name_for_this_address_is_refused(served: TestClient, host: str):
    # A website whose name is suddenly resolved to 127.0.0.1 sends its own name.
    assert served.get(f"/{SECRET}/draft", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_website_cannot_edit_plan_or_save(client: Client, file: Path, headers: dict[str, str]):
    before = file.read_text()
    for path, body in (("edit", {"do": "text", "text": "evil: 1"}), ("save", {}), ("plan", {})):
        assert client.post(path, body, **headers).status_code == 403
    assert file.read_text() == before
    assert client.get("draft").json()["text"] == before


def test_a_request_without_an_origin_is_refused(served: TestClient):
    assert served.post(f"/{SECRET}/edit", content='{"do": "undo"}').status_code == 403


def test_an_edit_changes_the_draft_and_keeps_the_files_comments(client: Client, file: Path):
    state = client.edit("planning", "headroom", value=0.5)
    assert state["data"]["planning"] == {"headroom": 0.5}
    assert (state["changed"], state["undo"], state["mistakes"]) == (True, True, [])
    assert state["text"].count("#") == file.read_text().count("#")
    assert client.post("edit", {"do": "undo"}).json()["changed"] is False


def test_every_mistake_of_the_draft_is_told_with_its_place(client: Client):
    client.edit("workloads", 0, "sensitivity", value="secret")
    state = client.edit("workloads", 1, "survive", value="nodes")
    assert [mistake["path"] for mistake in state["mistakes"]] == [
        "workloads[discharge-letters].sensitivity",
        "workloads[staff-questions].survive",
    ]
    assert all(mistake["line"] and mistake["fix"] for mistake in state["mistakes"])
    outcome = client.post("plan", {}).json()
    assert (outcome["sentence"], outcome["feasible"]) == ("", False)


@pytest.mark.parametrize(
    "body",
    [
        {"do": "burn"},
        {"do": "set", "path": [], "value": 1},
        {"do": "set", "path": ["budget", -1], "value": 1},
        {"do": "set", "path": [True], "value": 1},
        {"do": "set", "path": ["name"], "yaml": "[1"},
        {"do": "text"},
        {"do": "remove", "path": ["nothing"]},
        [],
        "text",
    ],
)
def test_a_wrong_edit_is_refused_in_words_and_changes_nothing(client: Client, body: Any):
    answer = client.post("edit", body)
    assert answer.status_code == 422
    assert answer.json()["error"]
    assert client.get("draft").json()["changed"] is False


@pytest.mark.parametrize("scale", [0, -1, 1e9, "2", True, None])
def test_a_load_that_is_no_factor_is_refused(client: Client, scale: Any):
    assert client.post("plan", {"scale": scale}).status_code == 422


def test_a_plan_is_that_of_the_command_line_to_the_cent(client: Client, file: Path):
    outcome = client.post("plan", {}).json()
    requirements = requirements_of.load(file)
    plan = planner.make_plan(requirements, offers(), TODAY).plan
    assert outcome["monthly_usd"] == plan.monthly_cost_usd
    assert outcome["buildable"] is True
    page = client.get(f"page/{outcome['page']}")
    assert outcome["sentence"] in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_more_load_is_a_question_whose_plan_cannot_be_saved(client: Client, file: Path):
    outcome = client.post("plan", {"scale": 2}).json()
    assert outcome["buildable"] is False
    assert "What if scale-traffic=2" in client.get(f"page/{outcome['page']}").text
    refused = client.post("save", {"plan": True, "scale": 2})
    assert refused.status_code == 422
    assert not file.with_name("hospital.plan.yaml").exists()


def test_requirements_and_plan_are_saved_as_the_command_line_writes_them(client: Client, file: Path, isthmus):
    client.edit("planning", "headroom", value=0.2)
    assert client.post("plan", {}).json()["buildable"] is True
    written = client.post("save", {"plan": True}).json()["written"]
    assert written == ["hospital.requirements.yaml", "hospital.plan.yaml"]
    plan = file.with_name("hospital.plan.yaml")
    text = plan.read_text()
    plan.unlink()
    assert isthmus("plan", file, "-o", plan, "--as-of", TODAY).code == 0
    assert plan.read_text() == text
    plan.unlink()


def test_a_plan_of_an_older_draft_is_not_saved(client: Client, file: Path):
    assert client.post("plan", {}).json()["buildable"] is True
    client.edit("planning", "headroom", value=0.6)
    assert client.post("save", {"plan": True}).status_code == 422
    assert "headroom" not in file.read_text()


def test_the_kept_plan_and_the_present_one_stand_side_by_side(client: Client):
    assert client.post("keep", {}).json()["kept"] == "as written"
    outcome = client.post("compare", {"scale": 2}).json()
    page = client.get(f"page/{outcome['page']}").text
    assert "kept: as written" in page
    assert "now: 2 times the traffic" in page


def test_a_file_that_changed_meanwhile_is_kept_and_the_page_says_so(client: Client, file: Path):
    client.edit("planning", "headroom", value=0.5)
    file.write_text(file.read_text() + "# theirs\n")
    answer = client.post("save", {})
    assert answer.status_code == 422
    assert "changed by somebody else" in answer.json()["error"]
    assert file.read_text().endswith("# theirs\n")
