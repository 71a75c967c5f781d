"""One row of the matrix: build, kill at a point, run the same command again, compare with a clean run."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest

from tests.recovery.world import Ended, World, paragraph

KILLS = ("cli", "provider", "aws-provider", "api-server", "cluster", "moto")
SERVED = ("api-server", "cluster", "moto")
"""What is no process of the run's, and is started again by hand."""
PHASES = ("up", "update", "replace", "refresh", "destroy")
_COUNTED = {"up": "created", "update": "updated", "replace": "replace", "destroy": "deleted"}
"""What a line of progress begins with that counts as a finished resource; a refresh is counted in the log."""
_ADMITTED = "the cluster refuses"
"""What an `up` says when its first step, which makes nothing in AWS, is over."""
AGAIN = 2
"""How often the same command may be needed."""
SETTINGS = "Pulumi.{stack}.yaml"
OTHER_ROUTE = "- {name: confidential-fra1, workloads: [{name: kyc-extraction, adapter: null}]}"
REPLACED = (("    budgets:\n", f"    gateways:\n      {OTHER_ROUTE}\n    budgets:\n"),)
"""A gateway's configuration with other content is another object."""


@dataclass(frozen=True)
class Row:
    """Kill `kill` in the middle of `during`, after `point` finished resources."""

    kill: str
    during: str
    point: int


@dataclass
class Outcome:
    """How a row ended."""

    row: Row
    killed: list[str] = field(default_factory=list)
    broke: str = ""
    """What the killed run said, where it could still say something."""
    again: list[Ended] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.wrong

    @property
    def seconds(self) -> float:
        return sum(attempt.seconds for attempt in self.again)

    @property
    def undecided(self) -> list[str]:
        return [attempt.error for attempt in self.again if "cannot be decided" in attempt.error]


@dataclass
class Clean:
    """What a run that nobody disturbed leaves, and how many resources each phase has."""

    sizes: dict[str, int]
    cluster: Counter[str]
    aws: Counter[str]
    state: Counter[str]
    left: tuple[Counter[str], Counter[str]]
    """Cluster and AWS after a destroy."""


def measure(world: World, phases: tuple[str, ...] = PHASES) -> Clean:
    """Go through all phases undisturbed; the state is compared after the update and the replacement too."""
    world.fresh()
    sizes = {"up": counted(good(world.isthmus("up")).said, "up")}
    cluster, aws = world.in_cluster(), world.in_aws()
    state = types(world)
    for phase in ("update", "replace"):
        if phase in phases:
            _change(world, phase)
            sizes[phase] = counted(good(world.isthmus("up")).said, phase)
    good(world.isthmus("up"))
    sizes["refresh"] = world.log_lines("refreshing")
    sizes["destroy"] = counted(good(world.isthmus("destroy")).said, "destroy")
    left = (_quiet(world), world.in_aws())
    return Clean(sizes, cluster, aws, state, left)


def rows(
    clean: Clean,
    *,
    points: int = 2,
    kills: tuple[str, ...] = KILLS,
    phases: tuple[str, ...] = PHASES,
) -> Iterator[Row]:
    """Rows at `points` of each phase, evenly spread.

    Ordered as a stack lives, one row of each phase in turn, so that a row finds what the one before it left.
    """
    lines = [
        [Row(kill, during, point) for point in _points(clean.sizes[during], points) for kill in kills]
        for during in PHASES
        if during in phases
    ]
    for turn in zip_longest(*lines):
        yield from (row for row in turn if row)


def _points(size: int, points: int) -> list[int]:
    """After how many finished resources."""
    return sorted({max(1, size * number // (points + 1)) for number in range(1, points + 1)})


def run(world: World, row: Row, clean: Clean) -> Outcome:
    """The whole row; the world is brought to where the row begins, unless the row before left it there."""
    outcome = Outcome(row)
    begin(world, row.during)
    _change(world, row.during)
    verb = "destroy" if row.during == "destroy" else "up"
    outcome.killed, output, code = disturbed(world, row.kill, row.during, row.point, verb)
    if not outcome.killed:
        outcome.wrong.append("the run was over before anything was killed")
    outcome.broke = paragraph(output)
    if row.kill != "cli" and code not in (0, 3):
        outcome.wrong.append(f"the killed run ended with {code}: {outcome.broke}")
    for _ in range(AGAIN):
        outcome.again.append(world.isthmus(verb))
        if outcome.again[-1].code == 0:
            break
    if outcome.again[-1].code != 0:
        outcome.wrong.append(outcome.again[-1].error or outcome.again[-1].said[-500:])
        return outcome
    outcome.wrong += gone(world, clean, row.kill) if verb == "destroy" else same(world, clean)
    world.built = outcome.ok and verb == "up"
    return outcome


def begin(world: World, during: str) -> None:
    """Bring the world to where a phase begins, unless what ran before has left it there."""
    if during == "up" or not world.built:
        world.fresh()
        if during != "up":
            good(world.isthmus("up"))
    world.built = False


def disturbed(world: World, kill: str, during: str, point: int, verb: str) -> tuple[list[str], str, int]:
    """Run the command and kill once `point` resources are finished: what was killed, what the run said, its code.

    Nothing is killed where the run is over before.
    """
    run = Watched(world.start(verb))
    after = _ADMITTED if (kill, during) == ("aws-provider", "up") else ""
    killed = world.kill(kill, run.process) if run.until(during, point, world, after) else []
    end = run.end()
    if killed and kill in SERVED:
        world.mend()
    return killed, end, run.process.returncode


def same(world: World, clean: Clean) -> list[str]:
    """Nothing to change, every resource once, nothing besides."""
    wrong = []
    preview = world.pulumi("preview", "--expect-no-changes")
    if preview.code != 0:
        wrong.append(f"a preview finds changes: {_steps(preview.said)}")
    if world.state().get("pending_operations"):
        wrong.append("operations are still pending")
    wrong += [f"state: {line}" for line in difference(clean.state, types(world))]
    wrong += [
        f"cluster: {line}" for line in difference(_nameless(clean.cluster), _nameless(world.in_cluster()))
    ]
    return wrong + [f"AWS: {line}" for line in difference(clean.aws, world.in_aws())]


def gone(world: World, clean: Clean, kill: str) -> list[str]:
    """Nothing is left but what a destroy retains."""
    wrong = [f"cluster: {line}" for line in difference(clean.left[0], _quiet(world))]
    left = [
        resource
        for resource in world.state().get("resources") or []
        if resource["type"] != "pulumi:pulumi:Stack"
    ]
    wrong += [f"state: {len(left)} left"] if left else []
    # After the endpoint's death nothing is there to be retained.
    expected = Counter() if kill == "moto" else clean.left[1]
    in_aws = world.in_aws()
    more = difference(expected, in_aws)
    return wrong + [f"AWS: {line}" for line in more if kill != "moto" or not line.startswith("+")]


def difference(expected: Counter[str], counts: Counter[str]) -> list[str]:
    """`+` what is too much, `-` what is missing."""
    more = [f"+{count} {name}" for name, count in sorted((counts - expected).items())]
    return more + [f"-{count} {name}" for name, count in sorted((expected - counts).items())]


def _quiet(world: World, seconds: float = 60.0) -> Counter[str]:
    """The cluster's inventory once no namespace of ours is leaving any more."""
    deadline = time.monotonic() + seconds
    while (in_cluster := world.in_cluster()) and time.monotonic() < deadline:
        time.sleep(0.5)
        if in_cluster == world.in_cluster():
            break
    return in_cluster


def _nameless(counts: Counter[str]) -> Counter[str]:
    """Without the hash of a configuration's content, which an update changes."""
    out: Counter[str] = Counter()
    for name, count in counts.items():
        out[re.sub(r"-[0-9a-f]{10}$", "", name)] += count
    return out


def types(world: World) -> Counter[str]:
    """How many resources of each type the state has."""
    return Counter(resource["type"] for resource in world.state().get("resources") or [])


def _change(world: World, phase: str) -> None:
    """Edit the project so that the next up has the phase's work to do; a second time, back again."""
    settings = SETTINGS.format(stack=world.stack)
    text = (world.root / "stacks" / settings).read_text("utf-8")
    if phase == "update":
        digest = re.search(r"isthmus/edge@sha256:([0-9a-f]{64})", text)
        assert digest, "the bank's settings name no edge image"
        world.edit(settings, digest[1], digest[1][::-1])
    elif phase == "replace":
        back = OTHER_ROUTE in text
        for before, after in REPLACED:
            world.edit(settings, *((after, before) if back else (before, after)))


class Watched:
    """A run that is at work, and what it says on stderr."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._rest = threading.Thread(target=self._read, daemon=True)

    def until(self, during: str, point: int, world: World, after: str = "") -> bool:
        """Wait until so many resources are finished, or the run is over; whether they are. The rest is read aside.

        `after`: only those count that are finished after this has been said.
        """
        if during == "refresh":
            while not (reached := world.log_lines("refreshing") >= point) and self.process.poll() is None:
                time.sleep(0.02)
        else:
            reached = False
            for line in self.process.stderr or ():
                self.lines.append(line)
                if reached := counted(self._said(after), during) >= point:
                    break
        self._rest.start()
        return reached

    def end(self, seconds: float = 300) -> str:
        """Wait for the end; all that it said, stderr first."""
        self.process.wait(timeout=seconds)
        self._rest.join(timeout=10)
        return "".join(self.lines) + (self.process.stdout.read() if self.process.stdout else "")

    def _said(self, after: str) -> str:
        output = "".join(self.lines)
        return output.partition(after)[2] if after else output

    def _read(self) -> None:
        self.lines.extend(self.process.stderr or ())


def counted(output: str, phase: str) -> int:
    """How many resources the phase has finished."""
    return len(re.findall(rf"^  {_COUNTED[phase]}", output, re.MULTILINE))


def _steps(output: str) -> str:
    steps = [line.strip() for line in output.splitlines() if re.match(r"\s+[-+~]{1,2} ", line)]
    return "; ".join(steps[:4]) or output[-300:]


def good(ended: Ended) -> Ended:
    """The same, for a run that nobody disturbed."""
    assert ended.code == 0, ended.said[-2000:]
    return ended
