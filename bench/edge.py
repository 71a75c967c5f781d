"""What the edge adds to a request, beside the model server itself and LiteLLM's proxy, in one run.

    python -m bench.edge [latency] [throughput] [copies] [memory]      those, or all

    latency      added at a rate that all can serve, whole answers and streams: open loop, each request counted
                 from when it was due
    throughput   requests a second and a processor second, of clients that always wait for an answer
    copies       requests a processor second of two copies of the gateway beside one
    memory       after 50,000 requests against after 5,000

The first run builds the generator (`isthmus sandbox install --tool load-generator`) and makes an environment for
LiteLLM's proxy (`bench/litellm-proxy.lock`), both in the toolchain's cache. Exit 1 where a bound is not kept.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.attack import Generator, Seen, percentiles
from bench.edge_sides import GENERATOR_CPU, HERE, MEASURED_CPU, RIVAL, Side, Sides, on
from bench.measure import Failed
from bench.model_server import PACE_S, WORDS

ADDED_MS = 5.0
"""At most, at the median, on-prem."""
CEILING = 3.0
"""So many times more than whatever stands before it the model server and the generator must manage."""
SHARE = 0.10
"""By which memory may grow, and two copies may differ from one."""
ROUNDS, SECONDS, WARM_S = 3, 8.0, 3.0
RATE, STREAMS_RATE = 40.0, 10.0
COPY_RATE = 300.0
"""A copy: far from what it can, since what is asked is whether a copy costs the others anything. With clients that
never pause the second copy, the generator and the model server would fight for a processor."""
CLIENTS = 16
FEW, MANY = 5_000, 50_000
AGAINST = 1.1
"""Times what another checkout (`--against DIR`) adds at the median."""
PARTS = ("latency", "throughput", "copies", "memory")


class Bench:
    """The generator, the sides, and what was found."""

    def __init__(self, generator: Generator, sides: Sides, against: Path | None = None) -> None:
        self.generator, self.sides = generator, sides
        self.direct = sides.direct()
        self.gateway = sides.gateway()
        self.chain = sides.chain()
        self.bare = sides.chain(records=False)
        self.rival = sides.rival()
        self.other = sides.chain(root=against) if against else None
        self.fine = True

    def hold(self, holds: bool, claim: str) -> None:
        self.fine = self.fine and holds
        print(f"  {'holds' if holds else 'DOES NOT HOLD'}: {claim}", flush=True)

    def latency(self) -> None:
        for stream in (False, True):
            rate = STREAMS_RATE if stream else RATE
            kind = f"streams of {WORDS} events, {PACE_S * 1000:g} ms apart" if stream else "whole answers"
            print(f"latency: {kind}, {rate:g} a second, {ROUNDS} rounds of {SECONDS:g} s in turn", flush=True)
            each = [self.direct, self.gateway, self.chain, self.bare, self.rival]
            each += [self.other] if self.other else []
            found: dict[str, list[float]] = {side.name: [] for side in each}
            for side in each:
                self.generator.at_rate(side.target, rate, WARM_S, stream=stream)
            for _ in range(ROUNDS):
                for side in each:
                    seen = self.generator.at_rate(side.target, rate, SECONDS, stream=stream)
                    found[side.name] += seen.milliseconds
            base = percentiles(found[self.direct.name])
            for side in each:
                at = percentiles(found[side.name])
                added = [mine - bare for mine, bare in zip(at, base, strict=True)]
                print(
                    f"  {side.name:24} {_three(at)}   added {_three(added)}   {len(found[side.name])} requests"
                )
            self._judge(base, percentiles(found[self.chain.name]), percentiles(found[self.rival.name]))
            if self.other:
                self._judge_other(
                    base[0], *(percentiles(found[side.name])[0] for side in (self.chain, self.other))
                )

    def _judge(self, base: Sequence[float], ours: Sequence[float], theirs: Sequence[float]) -> None:
        added = ours[0] - base[0]
        half = added / (theirs[0] - base[0])
        self.hold(half <= 0.5, f"added at the median: {half:.2f} of what LiteLLM's proxy adds")
        self.hold(added <= ADDED_MS, f"at most {ADDED_MS:g} ms added at the median, {added:.1f} are")
        for name, mine, other in zip(("median", "95th", "99th"), ours, theirs, strict=True):
            self.hold(mine < other, f"ahead of LiteLLM's proxy at the {name}: {mine:.1f} ms, {other:.1f} ms")

    def _judge_other(self, base: float, ours: float, other: float) -> None:
        times = (ours - base) / (other - base)
        self.hold(times <= AGAINST, f"added at the median: {times:.2f} times what the other checkout adds")

    def throughput(self) -> None:
        print(
            f"throughput: {CLIENTS} clients, {ROUNDS} rounds of {SECONDS:g} s in turn, one processor",
            flush=True,
        )
        for stream in (False, True):
            each = [self.direct, self.sides.direct_tls(), self.gateway, self.chain, self.bare, self.rival]
            rates: dict[str, list[float]] = {side.name: [] for side in each}
            by_cpu: dict[str, list[float]] = {side.name: [] for side in each}
            for round_ in range(ROUNDS + 1):
                for side in each:
                    seconds = SECONDS if round_ else WARM_S
                    seen, cpu = self._busy(side, seconds, stream=stream)
                    if round_:
                        rates[side.name].append(seen.per_second)
                        by_cpu[side.name].append(len(seen.milliseconds) / cpu if cpu else 0.0)
            medians = {name: statistics.median(values) for name, values in rates.items()}
            print(f"  {'streams' if stream else 'whole answers'}")
            for name, values in rates.items():
                cpu = statistics.median(by_cpu[name])
                told = f", {cpu:6,.0f} a processor second" if cpu else ""
                spread = f"({min(values):,.0f} to {max(values):,.0f})"
                print(f"    {name:30} {medians[name]:7,.0f} a second {spread}{told}")
            ours, theirs = medians[self.chain.name], medians[self.rival.name]
            self.hold(ours > theirs, f"ahead of LiteLLM's proxy: {ours / theirs:.1f} times as many a second")
            if not stream:
                times = medians[each[1].name] / medians[self.gateway.name]
                self.hold(
                    times >= CEILING, f"the model server is not what limits: {times:.1f} times the gateway"
                )

    def _busy(self, side: Side, seconds: float, *, stream: bool = False) -> tuple[Seen, float]:
        """What clients that always wait got, and the processor seconds of what stands before the model server."""
        before = side.cpu_s()
        seen = self.generator.at_once(side.target, CLIENTS, seconds, stream=stream)
        return seen, side.cpu_s() - before

    def copies(self) -> None:
        rate = f"{COPY_RATE:g} a second each"
        print(f"copies: {rate}, a processor each, {ROUNDS} rounds of {SECONDS:g} s in turn", flush=True)
        both = [self.gateway, self.sides.gateway([MEASURED_CPU, GENERATOR_CPU])]
        found: dict[str, list[float]] = {side.name: [] for side in both}
        for round_ in range(ROUNDS + 1):
            for side in both:
                before, seconds = side.cpu_s(), SECONDS if round_ else WARM_S
                seen = self.generator.at_rate(side.target, COPY_RATE * len(side.processes), seconds)
                if round_:
                    found[side.name].append(len(seen.milliseconds) / (side.cpu_s() - before))
        one, two = (statistics.median(found[side.name]) for side in both)
        for name, values in found.items():
            told = f"({min(values):,.0f} to {max(values):,.0f})"
            print(f"  {name:24} {statistics.median(values):6,.0f} requests a processor second {told}")
        self.hold(abs(two / one - 1) <= SHARE, f"two copies within {SHARE:.0%} of one: {two / one - 1:+.1%}")

    def memory(self) -> None:
        gateway = self.sides.gateway()
        start, count, few = gateway.mib(), 0, None
        while count < MANY:
            seen, _ = self._busy(gateway, 2.0 if few is None else SECONDS)
            count += len(seen.milliseconds)
            if few is None and count >= FEW:
                few = (count, gateway.mib())
        assert few is not None
        end = gateway.mib()
        print(f"memory of one gateway: {start:.1f} MiB at its start, {few[1]:.1f} after {few[0]:,} requests, "
              f"{end:.1f} after {count:,}")  # fmt: skip
        self.hold(end <= few[1] * (1 + SHARE), f"within {SHARE:.0%}: {end / few[1] - 1:+.1%}")
        print(f"  gateway and sidecar {self.chain.mib():.0f} MiB, LiteLLM's proxy {self.rival.mib():.0f} MiB")


def _three(values: Sequence[float]) -> str:
    return " ".join(f"{value:7.2f}" for value in values) + " ms"


def prepare() -> Path:
    """vegeta, built, and LiteLLM's proxy, installed; raises `EnvironmentFault`."""
    from sandbox import toolchain
    from tests.graders import tools

    tools.install(RIVAL, HERE)
    toolchain.install(tools=["load-generator"])
    program = toolchain.find("vegeta")
    assert program is not None
    return program


def main(words: list[str]) -> int:
    from isthmus.core.errors import IsthmusError

    if words == ["attack"]:
        from bench import edge_attack

        return edge_attack.main()
    against = None
    if "--against" in words:
        at = words.index("--against")
        against, words = Path(words[at + 1]).resolve(), [*words[:at], *words[at + 2 :]]
    unknown = sorted(set(words) - set(PARTS))
    if unknown or not {GENERATOR_CPU, MEASURED_CPU} <= os.sched_getaffinity(0):
        what = f"there is no part {', '.join(unknown)}" if unknown else "two processors are needed"
        print(f"bench.edge: {what}; the parts are {', '.join(PARTS)}", file=sys.stderr)
        return 2 if unknown else 3
    try:
        program = prepare()
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="isthmus-edge-")))
            stack.enter_context(on(GENERATOR_CPU))
            load = ", ".join(f"{each:.2f}" for each in os.getloadavg())
            print(f"edge: Python {sys.version.split()[0]}, load averages before the start {load}")
            bench = Bench(Generator(program, folder), Sides(folder, stack), against)
            for part in words or PARTS:
                getattr(bench, part)()
            return 0 if bench.fine else 1
    except (IsthmusError, Failed) as error:
        print(f"bench.edge: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
