"""Screening at a gateway: redaction that the class requires, and guards. If the detector fails, nothing passes."""

from __future__ import annotations

from typing import Any

from edge.config import GatewayConfig, Place
from edge.exchange import Exchange
from edge.screening.client import DetectorClient
from edge.screening.guards import Judge
from edge.screening.screen import MayNotLeave, Screen

__all__ = ["MayNotLeave", "Screen", "Screeners"]


class Screeners:
    """A gateway's detector client, its guard models, and the redaction that its class requires."""

    def __init__(self, config: GatewayConfig) -> None:
        assert config.screening is not None
        self._config, self._settings = config, config.screening
        self._demanded = config.screening.demanded(config.data_class)
        self._detector = DetectorClient(config.screening, config.limits)
        self._judges = {
            guard.name: Judge(guard.model, config.upstream_tls, config.limits)
            for guard in config.screening.guards
            if guard.model is not None
        }

    def of(self, workload: str, exchange: Exchange, request: dict[str, Any]) -> Screen | None:
        """The screen of a request. None if no guard applies and nothing is redacted."""
        guards = self._settings.guards_of(self._config.data_class, workload)
        if not guards and not self._redacts_what_leaves:
            return None
        judges = {name: judge for name, judge in self._judges.items() if any(g.name == name for g in guards)}
        return Screen(
            self._detector.of(workload),
            judges,
            guards,
            exchange,
            request,
            restore=self._settings.restore,
            images_pass=self._settings.images == "pass",
        )

    def redacts(self, place: Place) -> bool:
        """Whether requests to the place are redacted."""
        return self._redacts_what_leaves and self._leaves(place)

    @property
    def _redacts_what_leaves(self) -> bool:
        return "prompts-leaving-site" in self._demanded

    def _leaves(self, place: Place) -> bool:
        """Whether the place is outside the site. Without `site` and `target` it counts as outside."""
        if place.site is not None:
            return place.site != self._config.site
        return place.target != "onprem-vllm"

    @property
    def judges(self) -> list[Judge]:
        """The guard models."""
        return list(self._judges.values())

    async def close(self) -> None:
        """Close every connection."""
        await self._detector.close()
        for judge in self._judges.values():
            await judge.endpoint.close()
