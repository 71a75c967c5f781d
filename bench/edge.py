"""Measures what the edge adds to a request, compared with the model server alone and LiteLLM's proxy.

    python -m bench.edge [latency] [throughput] [copies] [interfaces] [memory]      these parts, or all

    latency      added latency of whole answers and streams, at a rate that all systems can serve (open loop)
    throughput   requests a second, and requests a processor second, of clients that wait for each answer
    copies       requests a processor second of two copies of the gateway, compared with one
    interfaces   what /v1/responses and /v1/messages add to chat, at the same gateway (open loop)
    memory       memory after 50,000 requests, compared with 5,000

The first run builds the load generator (`isthmus sandbox install --tool load-generator`) and an environment for
LiteLLM's proxy (`bench/litellm-proxy.lock`), both in the toolchain's cache. Exit 1 if a bound is exceeded.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.attack import FORMS, AttackResult, Generator, percentiles
from bench.edge_systems import GENERATOR_CPU, HERE, MEASURED_CPU, RIVAL, System, Systems, pinned_to
from bench.measure import Failed
from bench.model_server import PACE_S, WORDS

ADDED_MS = 5.0
"""The most milliseconds that the edge may add at the median, on-prem."""
LEAST_MODEL_SERVER_RATIO = 3.0
"""The model server and the generator must be this many times faster than the system under test."""
SHARE = 0.10
"""How much memory may grow, and how much two copies may differ from one."""
ROUNDS, SECONDS, WARM_S = 3, 8.0, 3.0
RATE, STREAMS_RATE = 40.0, 10.0
COPY_RATE = 300.0
"""Requests a second for each copy, far below its limit. Clients that never pause would make the second copy, the
generator and the model server compete for a processor."""
CLIENTS = 16
FEW_REQUESTS, MANY_REQUESTS = 5_000, 50_000
LIMIT_AGAINST_OTHER = 1.1
"""The most that the median may exceed that of another checkout (`--against DIR`), as a factor."""
PARTS = ("latency", "throughput", "copies", "interfaces", "memory")
INTERFACE_MS = 0.5
"""The most milliseconds of processor time that an interface may add to a whole answer of chat."""


class Bench:
    """Runs the parts of the benchmark and records whether all bounds hold."""

    def __init__(self, generator: Generator, systems: Systems, other_checkout: Path | None = None) -> None:
        self.generator, self.systems = generator, systems
        self.direct = systems.direct()
        self.gateway = systems.gateway()
        self.chain = systems.chain()
        self.bare = systems.chain(records=False)
        self.litellm = systems.litellm()
        self.other_checkout = systems.chain(root=other_checkout) if other_checkout else None
        self.all_hold = True

    def check(self, holds: bool, statement: str) -> None:
        self.all_hold = self.all_hold and holds
        print(f"  {'holds' if holds else 'DOES NOT HOLD'}: {statement}", flush=True)

    def latency(self) -> None:
        for stream in (False, True):
            rate = STREAMS_RATE if stream else RATE
            kind = f"streams of {WORDS} events, {PACE_S * 1000:g} ms apart" if stream else "whole answers"
            print(f"latency: {kind}, {rate:g} a second, {ROUNDS} rounds of {SECONDS:g} s in turn", flush=True)
            compared = [self.direct, self.gateway, self.chain, self.bare, self.litellm]
            compared += [self.other_checkout] if self.other_checkout else []
            milliseconds_of: dict[str, list[float]] = {system.name: [] for system in compared}
            for system in compared:
                self.generator.run_at_rate(system.target, rate, WARM_S, stream=stream)
            for _ in range(ROUNDS):
                for system in compared:
                    result = self.generator.run_at_rate(system.target, rate, SECONDS, stream=stream)
                    milliseconds_of[system.name] += result.milliseconds
            direct_latencies = percentiles(milliseconds_of[self.direct.name])
            for system in compared:
                latencies = percentiles(milliseconds_of[system.name])
                added = [total - direct for total, direct in zip(latencies, direct_latencies, strict=True)]
                print(
                    f"  {system.name:24} {_format_three(latencies)}   added {_format_three(added)}"
                    f"   {len(milliseconds_of[system.name])} requests"
                )
            self._judge(
                direct_latencies,
                percentiles(milliseconds_of[self.chain.name]),
                percentiles(milliseconds_of[self.litellm.name]),
            )
            if self.other_checkout:
                self._judge_other(
                    direct_latencies[0],
                    *(
                        percentiles(milliseconds_of[system.name])[0]
                        for system in (self.chain, self.other_checkout)
                    ),
                )

    def _judge(self, direct: Sequence[float], edge: Sequence[float], litellm: Sequence[float]) -> None:
        added = edge[0] - direct[0]
        ratio = added / (litellm[0] - direct[0])
        self.check(ratio <= 0.5, f"added at the median: {ratio:.2f} of what LiteLLM's proxy adds")
        self.check(added <= ADDED_MS, f"at most {ADDED_MS:g} ms added at the median, {added:.1f} are")
        for name, edge_ms, litellm_ms in zip(("median", "95th", "99th"), edge, litellm, strict=True):
            self.check(
                edge_ms < litellm_ms,
                f"ahead of LiteLLM's proxy at the {name}: {edge_ms:.1f} ms, {litellm_ms:.1f} ms",
            )

    def _judge_other(self, direct: float, edge: float, other_edge: float) -> None:
        ratio = (edge - direct) / (other_edge - direct)
        self.check(
            ratio <= LIMIT_AGAINST_OTHER,
            f"added at the median: {ratio:.2f} times what the other checkout adds",
        )

    def throughput(self) -> None:
        print(
            f"throughput: {CLIENTS} clients, {ROUNDS} rounds of {SECONDS:g} s in turn, one processor",
            flush=True,
        )
        for stream in (False, True):
            compared = [
                self.direct,
                self.systems.direct_tls(),
                self.gateway,
                self.chain,
                self.bare,
                self.litellm,
            ]
            rates: dict[str, list[float]] = {system.name: [] for system in compared}
            by_cpu: dict[str, list[float]] = {system.name: [] for system in compared}
            for round_ in range(ROUNDS + 1):
                for system in compared:
                    seconds = SECONDS if round_ else WARM_S
                    result, cpu = self._busy(system, seconds, stream=stream)
                    if round_:
                        rates[system.name].append(result.per_second)
                        by_cpu[system.name].append(len(result.milliseconds) / cpu if cpu else 0.0)
            medians = {name: statistics.median(values) for name, values in rates.items()}
            print(f"  {'streams' if stream else 'whole answers'}")
            for name, values in rates.items():
                cpu = statistics.median(by_cpu[name])
                per_cpu = f", {cpu:6,.0f} a processor second" if cpu else ""
                spread = f"({min(values):,.0f} to {max(values):,.0f})"
                print(f"    {name:30} {medians[name]:7,.0f} a second {spread}{per_cpu}")
            edge, litellm = medians[self.chain.name], medians[self.litellm.name]
            self.check(
                edge > litellm, f"ahead of LiteLLM's proxy: {edge / litellm:.1f} times as many a second"
            )
            if not stream:
                ratio = medians[compared[1].name] / medians[self.gateway.name]
                self.check(
                    ratio >= LEAST_MODEL_SERVER_RATIO,
                    f"the model server is not what limits: {ratio:.1f} times the gateway",
                )

    def _busy(self, system: System, seconds: float, *, stream: bool = False) -> tuple[AttackResult, float]:
        """The results of clients that wait for each answer, and the processor seconds of the system under test."""
        cpu_before = system.cpu_s()
        result = self.generator.run_with_clients(system.target, CLIENTS, seconds, stream=stream)
        return result, system.cpu_s() - cpu_before

    def copies(self) -> None:
        rate = f"{COPY_RATE:g} a second each"
        print(f"copies: {rate}, a processor each, {ROUNDS} rounds of {SECONDS:g} s in turn", flush=True)
        compared = [self.gateway, self.systems.gateway([MEASURED_CPU, GENERATOR_CPU])]
        per_cpu_second: dict[str, list[float]] = {system.name: [] for system in compared}
        for round_ in range(ROUNDS + 1):
            for system in compared:
                cpu_before, seconds = system.cpu_s(), SECONDS if round_ else WARM_S
                result = self.generator.run_at_rate(system.target, COPY_RATE * len(system.processes), seconds)
                if round_:
                    per_cpu_second[system.name].append(
                        len(result.milliseconds) / (system.cpu_s() - cpu_before)
                    )
        single, double = (statistics.median(per_cpu_second[system.name]) for system in compared)
        for name, values in per_cpu_second.items():
            spread = f"({min(values):,.0f} to {max(values):,.0f})"
            print(f"  {name:24} {statistics.median(values):6,.0f} requests a processor second {spread}")
        self.check(
            abs(double / single - 1) <= SHARE,
            f"two copies within {SHARE:.0%} of one: {double / single - 1:+.1%}",
        )

    def interfaces(self) -> None:
        targets = {name: replace(self.chain.target, form=form) for name, form in FORMS.items()}
        for stream in (False, True):
            rate = STREAMS_RATE if stream else RATE
            kind = f"streams of {WORDS} events" if stream else "whole answers"
            print(
                f"interfaces: {kind}, {rate:g} a second, {ROUNDS} rounds of {SECONDS:g} s in turn", flush=True
            )
            milliseconds_of: dict[str, list[float]] = {name: [] for name in targets}
            cpu_of: dict[str, list[float]] = {name: [] for name in targets}
            for round_ in range(ROUNDS + 1):
                for name, target in targets.items():
                    before, seconds = self.chain.cpu_s(), SECONDS if round_ else WARM_S
                    result = self.generator.run_at_rate(target, rate, seconds, stream=stream)
                    if round_:
                        milliseconds_of[name] += result.milliseconds
                        spent = self.chain.cpu_s() - before
                        cpu_of[name].append(spent * 1000 / len(result.milliseconds))
            cpu_ms = {name: statistics.median(values) for name, values in cpu_of.items()}
            for name, milliseconds in milliseconds_of.items():
                latencies = _format_three(percentiles(milliseconds))
                added = cpu_ms[name] - cpu_ms["chat"]
                print(f"  {name:10} {latencies}   {cpu_ms[name]:.2f} ms of processor time, added {added:.2f}")
                if not stream:
                    what = f"{name}: at most {INTERFACE_MS:g} ms of processor time more than chat"
                    self.check(added <= INTERFACE_MS, what)

    def memory(self) -> None:
        gateway = self.systems.gateway()
        start, count, after_few = gateway.mib(), 0, None
        while count < MANY_REQUESTS:
            result, _ = self._busy(gateway, 2.0 if after_few is None else SECONDS)
            count += len(result.milliseconds)
            if after_few is None and count >= FEW_REQUESTS:
                after_few = (count, gateway.mib())
        assert after_few is not None
        end = gateway.mib()
        print(
            f"memory of one gateway: {start:.1f} MiB at its start, {after_few[1]:.1f} after {after_few[0]:,} "
            f"requests, {end:.1f} after {count:,}"
        )
        self.check(end <= after_few[1] * (1 + SHARE), f"within {SHARE:.0%}: {end / after_few[1] - 1:+.1%}")
        print(
            f"  gateway and sidecar {self.chain.mib():.0f} MiB, LiteLLM's proxy {self.litellm.mib():.0f} MiB"
        )


def _format_three(values: Sequence[float]) -> str:
    return " ".join(f"{value:7.2f}" for value in values) + " ms"


def prepare() -> Path:
    """Build vegeta, install LiteLLM's proxy, and return the path of vegeta. Raises `EnvironmentFault`."""
    from sandbox import toolchain
    from tests.graders import tools

    tools.install(RIVAL, HERE)
    toolchain.install(tools=["load-generator"])
    program = toolchain.find("vegeta")
    assert program is not None
    return program


def main(arguments: list[str]) -> int:
    from isthmus.core.errors import IsthmusError

    if arguments == ["attack"]:
        from bench import edge_attack

        return edge_attack.main()
    other_checkout = None
    if "--against" in arguments:
        index = arguments.index("--against")
        other_checkout, arguments = (
            Path(arguments[index + 1]).resolve(),
            [*arguments[:index], *arguments[index + 2 :]],
        )
    unknown = sorted(set(arguments) - set(PARTS))
    if unknown or not {GENERATOR_CPU, MEASURED_CPU} <= os.sched_getaffinity(0):
        problem = f"there is no part {', '.join(unknown)}" if unknown else "two processors are needed"
        print(f"bench.edge: {problem}; the parts are {', '.join(PARTS)}", file=sys.stderr)
        return 2 if unknown else 3
    try:
        program = prepare()
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="isthmus-edge-")))
            stack.enter_context(pinned_to(GENERATOR_CPU))
            load = ", ".join(f"{average:.2f}" for average in os.getloadavg())
            print(f"edge: Python {sys.version.split()[0]}, load averages before the start {load}")
            bench = Bench(Generator(program, folder), Systems(folder, stack), other_checkout)
            for part in arguments or PARTS:
                getattr(bench, part)()
            return 0 if bench.all_hold else 1
    except (IsthmusError, Failed) as error:
        print(f"bench.edge: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
