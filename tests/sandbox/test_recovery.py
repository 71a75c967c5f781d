"""A sample of the recovery matrix, two runs at once, and a state that is brought back from its copy.

One sandbox and one undisturbed run for all tests of a stack; each test goes on from what the one before it left.
`make test` takes a small stack, `make soak` the bank too. The whole matrix of the bank is `make recovery` and, in
test_recovery_whole.py, part of `make soak`.
"""

from __future__ import annotations

import json
import random
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.engine.automation import failures
from tests.accounting import aws
from tests.recovery import matrix
from tests.recovery.matrix import Clean, Row
from tests.recovery.world import SmallWorld, World

pytestmark = pytest.mark.sandbox

CHANCE = random.Random(20261125)
"""Points differ from row to row and never from run to run."""
RESOURCES = {"small": 40, "bank-dev": 200}
"""Each stack has some more: no point lies behind its last."""


@pytest.fixture(
    scope="module", params=[SmallWorld, pytest.param(World, marks=pytest.mark.soak)], ids=["small", "bank"]
)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    new_world = request.param(tmp_path_factory.mktemp("recovery"))
    new_world.fresh()
    try:
        yield new_world
    finally:
        new_world.close()


@pytest.fixture(scope="module")
def intruders(world: World) -> dict[str, str]:
    """What those were told who came while the first run was at work."""
    return {}


@pytest.fixture(scope="module")
def clean(world: World, intruders: dict[str, str]) -> Clean:
    """The undisturbed run, but for two who are refused meanwhile."""
    empty = world.in_aws()
    first = matrix.Watched(world.start("up"))
    first.until("up", 5, world)
    for verb in ("up", "destroy"):
        second = world.isthmus(verb)
        intruders[verb] = f"{second.code}: {second.error}"
    intruders["pid"] = str(first.process.pid)
    output = first.end()
    assert first.process.returncode == 0, output[-2000:]
    world.built = True
    resources = world.state()["resources"]
    retained = Counter(
        resource["type"]
        for resource in resources
        if resource.get("retainOnDelete") and resource["type"] in aws.LISTED
    )
    sizes: dict[str, int] = dict.fromkeys(matrix.PHASES, RESOURCES[world.stack])
    return Clean(
        sizes,
        world.in_cluster(),
        world.in_aws(),
        matrix.types(world),
        (Counter(), empty + retained),
    )


def recovers(world: World, clean: Clean, kill: str, during: str, point: int) -> None:
    outcome = matrix.run(world, Row(kill, during, point), clean)
    assert outcome.ok, "; ".join(outcome.wrong)
    assert len(outcome.again) == 1, f"the same command was needed {len(outcome.again)} times"


def test_two_at_once_are_refused_and_told_who_is_at_work(clean: Clean, intruders: dict[str, str]) -> None:
    for verb in ("up", "destroy"):
        assert intruders[verb].startswith("3: "), intruders[verb]
        assert f"another run is changing the stack: process {intruders['pid']} of " in intruders[verb]


def test_a_provider_killed_in_an_update_is_made_good(world: World, clean: Clean) -> None:
    recovers(world, clean, "provider", "update", CHANCE.randrange(1, 5))


@pytest.mark.soak
def test_aws_lost_in_an_update_is_built_again_by_the_next(world: World, clean: Clean) -> None:
    recovers(world, clean, "moto", "update", CHANCE.randrange(1, 5))


def test_a_state_that_is_cut_off_is_named_and_comes_back_by_the_commands_that_are_named(
    world: World, clean: Clean
) -> None:
    file = next((world.home / "pulumi-state").glob(f".pulumi/stacks/*/{world.stack}.json"))
    file.write_bytes(file.read_bytes()[:20000])
    broken = world.isthmus("up")
    assert broken.code == 3
    assert "is truncated after 20000 bytes" in broken.error
    assert str(file) in broken.error
    commands = re.search(r"`(rm [^`]+)`, `(pulumi [^`]+)` and `(pulumi [^`]+)`", broken.error)
    assert commands, broken.error
    for command in commands.groups():
        done = subprocess.run(
            shlex.split(command), cwd=world.root, env=world.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    preview = world.pulumi("preview", "--expect-no-changes")
    assert preview.code == 0, preview.said[-2000:]


def test_attributes_that_a_killed_engine_left_empty_do_not_keep_us_from_the_state(
    world: World, clean: Clean
) -> None:
    file = next((world.home / "pulumi-state").glob(f".pulumi/stacks/*/{world.stack}.json.attrs"))
    file.write_bytes(b"")
    assert "EOF" in world.pulumi("stack", "export").said, "what a plain Pulumi says of it"
    again = world.isthmus("up")
    assert again.code == 0, again.said[-2000:]
    assert f"removed {file.name}" in again.said


def test_a_state_of_a_newer_engine_is_left_alone(world: World, clean: Clean) -> None:
    file = next((world.home / "pulumi-state").glob(f".pulumi/stacks/*/{world.stack}.json"))
    good = file.read_text("utf-8")
    file.write_text(json.dumps({**json.loads(good), "version": 99}), "utf-8")
    newer = world.isthmus("up")
    assert (newer.code, "has version 99" in newer.error) == (3, True), newer.said[-2000:]
    assert json.loads(file.read_text("utf-8"))["version"] == 99, "nothing may be written over it"
    file.write_text(good, "utf-8")


def test_a_state_in_s3_comes_back_from_our_copy(world: World, clean: Clean, tmp_path: Path) -> None:
    """As docs/recovery.md says; the sandbox's own stacks have a file backend, so plain `pulumi` here."""
    env = world.env
    s3 = aws.clients(env)("s3")
    bucket = "isthmus-recovery-state"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    env |= {
        "PULUMI_BACKEND_URL": f"s3://{bucket}?region=eu-central-1&s3ForcePathStyle=true"
        f"&hostname_immutable=true&endpoint={env['AWS_ENDPOINT_URL']}"
    }
    for name in ("Pulumi.yaml", "images.lock.yaml"):
        shutil.copy(world.root / name, tmp_path)
    shutil.copytree(world.root / "stacks", tmp_path / "stacks")

    def pulumi(*fragments: str) -> subprocess.CompletedProcess[str]:
        command = ["pulumi", *fragments, "--stack", world.stack]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    def urns() -> list[str]:
        return [
            each["urn"] for each in json.loads(pulumi("stack", "export").stdout)["deployment"]["resources"]
        ]

    copy = max((world.root / "out" / "backups" / world.stack).glob("*.json"))
    key = f".pulumi/stacks/isthmus/{world.stack}.json"
    bring_back = ("stack", "import", "--file", str(copy))
    assert pulumi("stack", "init").returncode == 0
    assert pulumi(*bring_back).returncode == 0
    before = urns()
    assert len(before) > RESOURCES[world.stack]
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=bucket, Key=key, Body=body[:20000])
    broken = pulumi("stack", "export")
    assert broken.returncode != 0
    output = failures.failure([], broken.stderr, world.stack, None)
    assert "truncated or damaged in its backend" in str(output)
    s3.delete_object(Bucket=bucket, Key=key)
    assert pulumi("stack", "init").returncode == 0
    assert pulumi(*bring_back).returncode == 0
    assert urns() == before
    for each in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        s3.delete_object(Bucket=bucket, Key=each["Key"])
    # What AWS holds is compared with the undisturbed run later.
    s3.delete_bucket(Bucket=bucket)


def test_a_command_line_killed_in_a_destroy_leaves_nothing_behind(world: World, clean: Clean) -> None:
    recovers(world, clean, "cli", "destroy", CHANCE.randrange(20, RESOURCES[world.stack]))


@pytest.mark.soak
def test_an_api_server_killed_in_the_first_build_doubles_nothing(world: World, clean: Clean) -> None:
    recovers(world, clean, "api-server", "up", CHANCE.randrange(20, RESOURCES[world.stack]))
