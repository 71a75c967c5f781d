"""Faults in redaction: no redaction, a cloud that counts as the own site, an exposed detector."""

from __future__ import annotations

from typing import Any

from tests.broken_graphs.parts import CONFIGS, CONFIGURED
from tests.mutation.shapes import Context, Family

FAMILY = Family("data-path")


def _away(config: Any) -> list[dict[str, Any]]:
    """Places beyond the site of a gateway that redacts what goes there."""
    if config["mode"] != "gateway" or config["class"] == "public" or not config.get("screening"):
        return []
    routes = config["routes"]
    destinations = [*routes, *(route["overflow"] for route in routes if "overflow" in route)]
    return [
        destination for destination in destinations if destination.get("site") not in (None, config["site"])
    ]


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=lambda config, _: _away(config))
def gateway_that_redacts_nothing(config: Any, context: Context) -> None:
    """A gateway's configuration names no screening any more, and its prompts leave the site."""
    del config["screening"]


def _answers(config: Any) -> bool:
    """Whether it is a gateway's whose class has secrets redacted in answers, wherever they come from."""
    scans_answers = config["mode"] == "gateway" and bool(config.get("screening"))
    return scans_answers and config["class"] in ("public", "internal")


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=lambda config, _: _answers(config))
def gateway_whose_answers_nobody_looks_through(config: Any, context: Context) -> None:
    """A gateway's configuration names no detector any more, and secrets in its answers are passed on."""
    del config["screening"]


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=lambda config, _: _away(config))
def cloud_taken_for_the_own_site(config: Any, context: Context) -> None:
    """A gateway is told that a model in AWS stands on its own site."""
    context.rng.choice(_away(config))["site"] = config["site"]


@FAMILY.changes(
    *CONFIGURED, lens=CONFIGS, where=lambda config, _: config["mode"] == "detector", also=["encryption"]
)
def detector_that_others_can_ask(config: Any, context: Context) -> None:
    """A detector listens on every address of its pod, without TLS."""
    config["listen"]["host"] = "0.0.0.0"  # noqa: S104
