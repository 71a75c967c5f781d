"""`isthmus release`: at a real gateway, as people with a database user and a signing key each."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from edge.canary.rubric import digest_of
from edge.canary.stops import CanaryName
from isthmus.contracts.platform.model.serving import AnswerJudge
from isthmus.contracts.requirements.document import load as load_requirements
from isthmus.core import yaml_files
from isthmus.engine.releasing import releasing
from isthmus.engine.releasing.releasing import AtGateway, Wish
from isthmus.engine.releasing.stated import StatedRelease
from tests.cli.conftest import CommandResult, Isthmus
from tests.edge.audit.harness import AuditSite
from tests.edge.canary.releasing import STEPS, Person, Site, person
from tests.edge.counted import counted
from tests.edge.fake_model import FakeModel
from tests.edge.postgres import Postgres
from tests.edge.reviews.reviewed import sealing

WORKLOAD = "transaction-narratives"
"""Of the bank, class restricted at fra1."""
CANDIDATE = {
    **{"id": "restricted-qwen3-32b-v2", "class": "restricted", "site": "fra1", "target": "onprem-vllm"},
    **{"model": "Qwen/Qwen3-32B", "precision": "fp8", "pool": "fra1-h100-sxm-80gb", "gpus": 1},
    "weights": {"uri": "pvc://qwen3-32b-v2", "digest": "sha256:" + "b" * 64},
}
EARLY = ("--early", "--reason", "as-good")
STRANGER = "ssh-ed25519 " + "a" * 68 + " nobody"


def state(project: Path, releasers: list[str], impact: str = "material", **canary: Any) -> None:
    """Add a candidate to the bank's overrides. No steps: only its share is stated. `impact`: of the answers."""
    requirements, plan = (project / "stacks" / f"bank-dev.{name}.yaml" for name in ("requirements", "plan"))
    before, text = load_requirements(requirements).digest, requirements.read_text()
    its_impact = rf"(name: {WORKLOAD}\n(?:.*\n)*?    impact: )\w+"
    requirements.write_text(re.sub(its_impact, rf"\g<1>{impact}", text, count=1))
    plan.write_text(plan.read_text().replace(before, load_requirements(requirements).digest))
    file = project / "stacks" / "Pulumi.bank-dev.yaml"
    text = yaml_files.load(file).data
    overrides = text["config"]["isthmus:overrides"]
    others = [entry for entry in overrides.get("endpoints", []) if entry["id"] != CANDIDATE["id"]]
    overrides["endpoints"] = [*others, CANDIDATE]
    [gateway] = [entry for entry in overrides["gateways"] if entry["name"] == "restricted-fra1"]
    gateway["releasers"] = releasers
    gateway["workloads"] = [{"name": WORKLOAD, "canary": {"endpoint": CANDIDATE["id"], **canary}}]
    file.write_text(yaml_files.dumps(text))


def test_a_workload_without_a_canary_or_without_steps_is_told(isthmus: Isthmus, project: Path):
    result = isthmus("release", "bank-dev", WORKLOAD, "status", "--project", project)
    assert (result.code, f"`{WORKLOAD}` has no canary" in result.err) == (1, True), result.err
    state(project, [], percent=1)
    result = isthmus("release", "bank-dev", WORKLOAD, "status", "--project", project)
    assert (result.code, "has no steps" in result.err) == (1, True), result.err


def test_an_unknown_workload_or_site_is_told_with_the_known_ones(isthmus: Isthmus, project: Path):
    result = isthmus("release", "bank-dev", "transaction-narrative", "status", "--project", project)
    assert result.code == 2
    assert "Did you mean `transaction-narratives`?" in result.err
    result = isthmus("release", "bank-dev", WORKLOAD, "status", "--site", "mars", "--project", project)
    assert (result.code, "Choose one of: fra1" in result.err) == (2, True)


def test_a_move_needs_a_key_and_an_abort_a_reason(isthmus: Isthmus, project: Path, tmp_path: Path):
    result = isthmus("release", "bank-dev", WORKLOAD, "start", "--project", project)
    assert (result.code, "--signing-key" in result.err) == (2, True)
    key = ("--signing-key", tmp_path / "none")
    result = isthmus("release", "bank-dev", WORKLOAD, "abort", *key, "--project", project)
    assert (result.code, "--reason" in result.err) == (2, True)
    result = isthmus("release", "bank-dev", WORKLOAD, "start", *key, "--project", project)
    assert (result.code, "cannot be read" in result.err) == (2, True)


def test_without_access_to_the_database_the_person_is_told_what_to_name(
    isthmus: Isthmus, project: Path, tmp_path: Path
):
    state(project, [STRANGER], release="v2", steps=[1, 100])
    result = isthmus("release", "bank-dev", WORKLOAD, "status", "--project", project)
    assert (result.code, "Run `isthmus sandbox serve bank-dev` first" in result.err) == (3, True)
    desk = {"class": "restricted", "site": "fra1", "url": "https://reviews.bank.example"}
    access = tmp_path / "access.yaml"
    access.write_text(yaml_files.dumps({"desks": [desk]}))
    result = isthmus("release", "bank-dev", WORKLOAD, "status", "--access", access, "--project", project)
    assert (result.code, "names a review service only" in result.err) == (2, True)


class World:
    """A gateway of the bank, its project, and people who may release."""

    def __init__(self, site: Site, bob: Person, isthmus: Isthmus, project: Path) -> None:
        self.site, self.bob, self._isthmus, self._project = site, bob, isthmus, project

    def run(self, act: str, *more: str | Path, who: Person | None = None) -> CommandResult:
        who = who or self.site.ann
        folder = self.site.made.folder
        access, key = folder / f"{who.user}.access.yaml", folder / f"{who.user}.key"
        database = folder / f"{who.user}.database.yaml"
        database.write_text(yaml_files.dumps(who.settings()))
        place = {"class": "restricted", "site": "fra1", "file": database.name}
        access.write_text(yaml_files.dumps({"databases": [place]}))
        key.write_bytes(who.key)
        signing = [] if act == "status" else ["--signing-key", key]
        return self._isthmus(
            *("release", "bank-dev", WORKLOAD, act, *signing, *more),
            *("--access", access, "--project", self._project),
        )

    def status(self, *more: str) -> dict[str, Any]:
        result = self.run("status", "--format", "json", *more)
        assert result.code == 0, result.err
        [gateway] = json.loads(result.out)["gateways"]
        return gateway


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Person]]:
    postgres = Postgres()
    models = [FakeModel(), FakeModel()]
    try:
        with counted(tmp_path_factory.mktemp("releasing"), postgres, "releasing", models) as made:
            audit_site = AuditSite.at(made.folder / "audit")
            with sealing(audit_site):
                ann = person(made, postgres, "ann")
                yield (
                    Site(made, audit_site, ann, made.issue(WORKLOAD), WORKLOAD),
                    person(made, postgres, "bob"),
                )
    finally:
        postgres.stop()


@pytest.fixture
def world(site: tuple[Site, Person], isthmus: Isthmus, project: Path) -> World:
    state(project, [site[0].ann.public_key], release="second", steps=list(STEPS))
    return World(*site, isthmus, project)


@pytest.mark.service
def test_a_person_releases_a_model_in_steps_and_takes_it_back(world: World, project: Path):
    gateway = world.site.start()
    unstarted = world.run("next")
    assert (unstarted.code, "The release was not started" in unstarted.err) == (1, True), unstarted.err
    started = world.run("start")
    assert started.code == 0, started.err
    assert f"{WORKLOAD} at restricted, fra1: release second, under way: 10 % to restricted-qwen3-32b-v2" in (
        started.out
    )
    assert "steps: 10, 50, 100 %" in started.out
    assert f"followed by gw-{gateway}; every other copy follows within 5 s" in started.out
    world.site.wait_for(10, gateway)
    again = world.run("start")
    assert (again.code, "was started before" in again.err) == (1, True)

    unknown = world.run("next")
    assert unknown.code == 1
    assert "not enough is known for the step to 50 %: the candidate answered 0 requests" in unknown.err
    stranger = world.run("next", *EARLY, who=world.bob)
    assert (stranger.code, "this key may not move releases here" in stranger.err) == (1, True)
    assert world.run("next", *EARLY).code == 0
    world.site.wait_for(50, gateway)
    status = world.status()
    assert (status["state"], status["percent"], status["following"]) == ("under way", 50, [f"gw-{gateway}"])
    assert [(move["act"], move["by"], move["reason"]) for move in status["moves"]] == [
        ("start", world.site.ann.user, "planned"),
        ("next", world.site.ann.user, "as-good"),
    ]

    aborted = world.run("abort", "--reason", "worse-answers")
    assert (aborted.code, "release second, aborted: 0 %" in aborted.out) == (0, True), aborted.err
    world.site.wait_for(0, gateway)
    twice = world.run("abort", "--reason", "worse-answers")
    assert (twice.code, "was aborted before, and stays so" in twice.out) == (0, True)
    late = world.run("next")
    assert (late.code, "was aborted before. It comes back under another name only" in late.err) == (1, True)
    text = world.run("status").out
    assert "abort  50 % to 0 % by" in text


def outcomes(world: World, release: str, variant: str, people: tuple[int, int], **sums: int) -> None:
    """The same sums for each of these people, on each of the four days after today: that of a move does not count."""
    columns = {**{"requests": 50, "latency_ms": 100_000, "failed": 0, "judged": 0, "judged_score": 0}, **sums}
    others = ("guard_refused", "streams", "first_token_ms", "output_tokens", "scored", "score")
    names, values = (*columns, *others), (*columns.values(), *(0 for _ in others))
    world.site.made.ask_database(
        f"INSERT INTO isthmus.release_outcomes (class, site, workload, model, release, variant, unit, day, "  # noqa: S608
        f"{', '.join(names)}) SELECT 'restricted', 'fra1', '{WORKLOAD}', '{WORKLOAD}', '{release}', '{variant}', "
        f"int8send(person), current_date - day, {', '.join(map(str, values))} "
        f"FROM generate_series({people[0]}::bigint, {people[1]}) person, generate_series(-4, -1) day"
    )


@pytest.mark.service
def test_outcomes_hold_a_release_back_let_it_go_on_or_say_that_it_must_end(world: World, project: Path):
    gateway = world.site.start("watched")
    state(project, [world.site.ann.public_key], release="watched", steps=list(STEPS))
    assert world.run("start").code == 0
    outcomes(world, "watched", "in-use", (1, 400), judged=50, judged_score=45)
    outcomes(world, "watched", "canary", (501, 510), judged=50, judged_score=45)
    few = world.run("next")
    assert few.code == 1
    assert "failures: not known yet, 10 people or conversations of at least 30 had each version" in few.err
    assert "If you accept this, add `--early` and a `--reason`" in few.err
    outcomes(world, "watched", "canary", (511, 900), judged=50, judged_score=45)
    status = world.status()["judgement"]
    assert (status["action"], status["next_percent"], status["requests"]) == ("continue", 50, 80_000)
    assert {finding["verdict"] for finding in status["findings"]} == {"as-good"}
    assert "nothing speaks against 50 %" in world.run("status").out
    outcomes(world, "watched", "canary", (1001, 1800), failed=5, latency_ms=90_000)
    worse = world.run("next", *EARLY)
    assert (worse.code, "the candidate is worse, so the release does not go on: failures" in worse.err) == (
        1,
        True,
    )
    assert world.status()["percent"] == 10
    assert world.run("abort", "--reason", "worse").code == 0
    world.site.made.gateways[gateway].stop()


@pytest.mark.service
def test_a_wide_step_waits_for_the_stated_judge_and_status_says_that_it_fails(world: World, project: Path):
    gateway = world.site.start("judging")
    state(project, [world.site.ann.public_key], release="judging", steps=list(STEPS))
    assert world.run("start").code == 0
    outcomes(world, "judging", "in-use", (1, 400))
    outcomes(world, "judging", "canary", (501, 900))
    rule = AnswerJudge(workload="checks", rubric="A right answer names the payee.", per_day=500)
    name, releasers = CanaryName(WORKLOAD, WORKLOAD, "judging"), (world.site.ann.public_key,)
    release = StatedRelease("restricted", "fra1", name, CANDIDATE["id"], STEPS, releasers, rule)
    file = world.site.made.folder / f"{world.site.ann.user}.database.yaml"
    [moved] = releasing.move_everywhere(
        [release], lambda _: file, Wish("next", "planned", world.site.ann.key)
    )
    assert "judged answers: no answers of both versions yet" in str(moved.error)
    assert "checks judges at most 500 answers a day by rubric " in (text := status_of(release, file))
    assert "it has judged none yet" in text
    world.site.made.ask_database(
        "INSERT INTO isthmus.release_judge_days (class, site, workload, model, release, day, rubric, asked, "  # noqa: S608
        f"failed, ungraded) VALUES ('restricted', 'fra1', '{WORKLOAD}', '{WORKLOAD}', 'judging', '2026-12-01', "
        f"'{digest_of(rule.rubric)}', 40, 9, 2)"
    )
    text = status_of(release, file)
    assert "on 2026-12-01 29 of 40 got a grade, 9 no answer, 2 no readable grade" in text
    assert "THE JUDGE checks FAILS" in text
    assert world.run("abort", "--reason", "over").code == 0
    world.site.made.gateways[gateway].stop()


@pytest.mark.service
def test_where_two_people_are_needed_one_proposes_and_another_one_approves(world: World, project: Path):
    ann, bob = world.site.ann, world.bob
    gateway = world.site.start("both", second=bob)
    name, releasers = CanaryName(WORKLOAD, WORKLOAD, "both"), (ann.public_key, bob.public_key)
    release = StatedRelease("restricted", "fra1", name, CANDIDATE["id"], STEPS, releasers, two_people=True)

    def act(what: Literal["start", "next", "approve"], who: Person, *, early: bool = False) -> AtGateway:
        file = world.site.made.folder / f"{who.user}.both.yaml"
        file.write_text(yaml_files.dumps(who.settings()))
        wish = Wish(what, "planned", who.key, early=early)
        [result] = releasing.move_everywhere([release], lambda _: file, wish)
        return result

    assert "nobody proposed a move" in str(act("approve", bob).error)
    proposed = act("start", ann)
    assert proposed.standing is not None, proposed.error
    assert (proposed.moved, proposed.standing.percent, proposed.standing.state) == (False, 0, "not started")
    state(project, list(releasers), "high", release="both", steps=list(STEPS))
    shown = world.run("status").out
    assert f"{ann.user} proposed start at " in shown
    assert "Another person makes it within a day: `approve`" in shown
    assert (world.status()["proposal"]["to"], world.status()["proposal"]["expired"]) == (10, False)
    world.site.made.ask_database("UPDATE isthmus.release_proposals SET at = at - interval '25 hours'")
    assert "It has expired after a day. Propose it again: `start`" in world.run("status").out
    assert world.status()["proposal"]["expired"] is True
    assert "more than a day ago. Propose it again" in str(act("approve", bob).error)
    act("start", ann)
    assert "your approval would not count" in str(act("approve", ann).error)
    approved = act("approve", bob)
    assert approved.standing is not None, approved.error
    assert (approved.moved, approved.standing.percent) == (True, 10)
    world.site.wait_for(10, gateway)
    state(project, list(releasers), release="both", steps=list(STEPS))
    lowered = world.run("next", *EARLY)
    assert (lowered.code, "Restore `impact: high` and approve it" in lowered.err) == (1, True), lowered.err
    state(project, list(releasers), "high", release="both", steps=list(STEPS))
    act("next", ann, early=True)
    assert "not enough is known for the step to 50 %" in str(act("approve", bob).error), (
        "the second one looks too"
    )
    assert act("approve", bob, early=True).moved
    world.site.wait_for(50, gateway)
    assert f"10 % to 50 % by {ann.user} and {bob.user} (planned)" in world.run("status").out
    act("next", ann, early=True)
    assert world.status()["proposal"]["to"] == 100
    stop = f"'restricted', 'fra1', '{WORKLOAD}', '{WORKLOAD}', 'both', 'gw', 10, 9"
    world.site.made.ask_database(
        "INSERT INTO isthmus.canary_stops (class, site, workload, model, release, gateway, answered, failed) "  # noqa: S608
        f"VALUES ({stop})"
    )
    status = world.status()
    assert (status["state"], status["proposal"]) == ("stopped", None), "nobody can approve it any more"
    assert world.run("abort", "--reason", "over").code == 0
    world.site.made.gateways[gateway].stop()


@pytest.mark.service
def test_in_a_freeze_a_move_is_refused_and_an_abort_is_not(world: World, project: Path):
    freeze = {"begin": "2020-01-01T00:00:00Z", "end": "2120-01-01T00:00:00Z"}
    gateway = world.site.start("frozen", release_freezes=[freeze])
    state(project, [world.site.ann.public_key], release="frozen", steps=list(STEPS))
    end = time.monotonic() + 15
    while (frozen := world.run("start")).code == 0:
        assert time.monotonic() < end, "the gateway states the freeze when it reads the moves"
    assert "No release moves on now: the platform states a freeze" in frozen.err
    assert world.run("abort", "--reason", "over").code == 0
    world.site.made.gateways[gateway].stop()


def status_of(release: StatedRelease, file: Path) -> str:
    """What `status` says of the outcomes."""
    [result] = releasing.status_everywhere([release], lambda _: file, None)
    assert result.standing is not None, result.error
    assert result.standing.judgement is not None
    return "\n".join(result.standing.judgement.lines())


@pytest.mark.service
def test_a_step_that_outcomes_support_is_taken(world: World, project: Path):
    gateway = world.site.start("good")
    state(project, [world.site.ann.public_key], release="good", steps=list(STEPS))
    assert world.run("start").code == 0
    outcomes(world, "good", "in-use", (1, 400))
    outcomes(world, "good", "canary", (501, 900))
    moved = world.run("next")
    assert (moved.code, "50 % to restricted-qwen3-32b-v2" in moved.out) == (0, True), moved.err
    assert "no answers are judged, so only the evaluation says how good they are" in world.run("status").out
    assert world.run("abort", "--reason", "over").code == 0
    world.site.made.gateways[gateway].stop()


def test_early_is_for_next_and_needs_a_reason(isthmus: Isthmus, project: Path, tmp_path: Path):
    key = ("--signing-key", tmp_path / "none", "--early", "--project", project)
    result = isthmus("release", "bank-dev", WORKLOAD, "start", *key)
    assert (result.code, "Leave it out of `start`" in result.err) == (2, True)
    assert "it is for `next` and `approve`" in result.err
    result = isthmus("release", "bank-dev", WORKLOAD, "next", *key)
    assert (result.code, "there is no reason" in result.err) == (2, True)


@pytest.mark.service
def test_a_move_that_no_copy_follows_is_told_and_an_earlier_release_can_be_aborted(
    world: World, project: Path
):
    for gateway in world.site.made.gateways:
        gateway.stop()
    state(project, [world.site.ann.public_key], release="third", steps=list(STEPS))
    started = world.run("start")
    assert (started.code, "no copy of the gateway has said that it follows" in started.err) == (3, True)
    state(project, [world.site.ann.public_key], release="fourth", steps=list(STEPS))
    blocked = world.run("start")
    assert (blocked.code, "Abort it first: `abort --release third`" in blocked.err) == (1, True), blocked.err
    unknown = world.run("abort", "--release", "thrid", "--reason", "over")
    assert (unknown.code, "there is no release `thrid`" in unknown.err) == (2, True)
    for act in ("next", "approve"):
        other = world.run(act, "--release", "third")
        assert (other.code, "can only be aborted" in other.err) == (2, True)
    assert world.run("abort", "--release", "third", "--reason", "over").code == 0
    assert world.status("--release", "third")["state"] == "aborted"
    assert world.status()["state"] == "not started"


@pytest.mark.service
def test_status_names_a_move_that_gateways_ignore(world: World, project: Path):
    state(project, [STRANGER], release="ignored", steps=list(STEPS))
    world.site.ann.move_of(WORKLOAD, "start", "ignored")
    status = world.status()
    assert (status["percent"], status["moves"][0]["ignored"]) == (0, "nobody who may release signed it")
    assert "IGNORED: nobody who may release signed it" in world.run("status").out
    world.site.ann.move_of(WORKLOAD, "abort", "ignored")


@pytest.mark.service
def test_a_wrong_user_and_a_lost_database_are_told(world: World):
    nobody = Person(world.site.made, "releasing_gateway")
    (world.site.made.folder / "releasing_gateway-password").write_text("operator-s3cret\n")
    result = world.run("status", who=nobody)
    assert result.code == 3, result.err
    assert "the database does not answer" in result.err
    world.site.made.ask_database("CREATE ROLE plain LOGIN PASSWORD 'operator-s3cret'")
    result = world.run("status", who=Person(world.site.made, "plain"))
    assert (result.code, "your database user may not move releases" in result.err) == (1, True), result.err
