"""Fits the rules of a platform to a test: only what runs is watched, and windows are short."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sandbox import toolchain
from sandbox.local.monitoring import ALERTMANAGER, PROMETHEUS_PROGRAM, Target

COPIES = ("GatewayCopiesMissing", "ModelReplicasMissing")
"""Alerts that compare the number of copies with the plan."""
_JOB, _PORT = re.compile(r'job="([^"]+)"'), re.compile(r'[{,]endpoint="([^"]+)"')
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WINDOW = re.compile(r"\[([0-9]+)([smhd])\]")
_DURATION = re.compile(r"([0-9]+)([smhd])")


def install() -> None:
    """Install Prometheus and Alertmanager if they are missing. Raises `EnvironmentFault`."""
    toolchain.install(tools=[PROMETHEUS_PROGRAM, ALERTMANAGER])


def of_running(
    groups: Iterable[Mapping[str, Any]], targets: Sequence[Target], *, copies: bool = False
) -> list[dict[str, Any]]:
    """The groups without alerts about pods that do not run here and, unless `copies`, about further copies."""
    jobs = {target.job for target in targets}
    ports = {target.endpoint for target in targets}
    kept = []
    for group in groups:
        rules = [
            rule
            for rule in group["rules"]
            if (copies or rule.get("alert") not in COPIES)
            and set(_JOB.findall(rule["expr"])) <= jobs
            and set(_PORT.findall(rule["expr"])) <= ports
        ]
        if rules:
            kept.append({**group, "rules": rules})
    return kept


def shortened(groups: Iterable[Mapping[str, Any]], factor: int) -> list[dict[str, Any]]:
    """The groups with each window, hold and interval divided by a factor, and at least a second long.

    Names of recording rules keep the window that they were written for.
    """

    def divided(match: re.Match[str]) -> str:
        return f"{max(1, int(match[1]) * _SECONDS[match[2]] // factor)}s"

    shorter = []
    for group in groups:
        rules = []
        for rule in group["rules"]:
            changed = {"expr": _WINDOW.sub(lambda match: f"[{divided(match)}]", rule["expr"])}
            if rule.get("for", "0m") != "0m":
                changed["for"] = _DURATION.sub(divided, rule["for"])
            rules.append({**rule, **changed})
        interval = {"interval": _DURATION.sub(divided, group["interval"])} if "interval" in group else {}
        shorter.append({**group, **interval, "rules": rules})
    return shorter
