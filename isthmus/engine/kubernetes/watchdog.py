"""A cluster that dies while the engine works in it: the run is ended, rather than left to wait for it.

The Kubernetes provider asks on and on while it waits for a Deployment, until the wait's own timeout: for a large
model that is as long as loading it takes. So the clusters of a run are asked beside it, and where one has
been silent for too long the engine is interrupted: it stores what it knows, and the next run goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from isthmus.core.errors import EnvironmentFault, InputError, IsthmusError
from isthmus.engine.kubernetes.client import ApiRefusal, Cluster

VARIABLE = "ISTHMUS_SILENCE_S"
"""Seconds for which a cluster may be silent during a run."""
LIMIT_S = 120.0
"""More than an API server takes to restart."""
INTERVAL_S = 5.0
PATIENCE_S = 30.0
"""How long an interrupted engine may take to end before it is interrupted again, and then killed."""
_ENGINE = "pulumi"


@dataclass
class Watch:
    """What is known of the clusters of a run."""

    clusters: Mapping[str, Cluster]
    """By the site's name."""
    say: Callable[[str], None]
    limit: float
    every: float = field(default_factory=lambda: INTERVAL_S)
    interrupt: Callable[[int], None] = lambda turn: interrupt(turn)
    """Is told to end the engine, first with 0, then with 1 and more."""
    gone: str | None = None
    """The site whose cluster was silent for too long."""
    _heard: dict[str, float] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Ask until the run is over; in a thread of its own."""
        self._heard = dict.fromkeys(self.clusters, time.monotonic())
        warned: set[str] = set()
        turn, next_turn = 0, 0.0
        while not self._ended.wait(self.every):
            for site, cluster in self.clusters.items():
                silent = self._silent(site, cluster)
                if silent == 0:
                    warned.discard(site)
                elif site not in warned and silent >= min(self.every * 2, self.limit):
                    warned.add(site)
                    self.say(
                        f"site {site}: its cluster does not answer; the run ends after {self.limit:.0f} s of that"
                    )
                if silent >= self.limit:
                    self.gone = self.gone or site
            # The engine, too, may be deaf: it is interrupted twice, and killed then.
            if self.gone and time.monotonic() >= next_turn and not self._ended.is_set():
                self.interrupt(turn)
                turn, next_turn = turn + 1, time.monotonic() + PATIENCE_S

    def end(self) -> None:
        self._ended.set()

    def _silent(self, site: str, cluster: Cluster) -> float:
        """Seconds since it answered; a refusal is an answer, and what is no JSON comes from somebody else."""
        try:
            cluster.call("GET", "/version", timeout=self.every)
        except ApiRefusal:
            pass
        except (EnvironmentFault, ValueError):
            return time.monotonic() - self._heard[site]
        self._heard[site] = time.monotonic()
        return 0


@contextlib.contextmanager
def watch_clusters(clusters: Mapping[str, Cluster], say: Callable[[str], None]) -> Iterator[None]:
    """While the body runs the engine. Raises `EnvironmentFault` where a cluster's silence has ended it.

    `InputError` where `ISTHMUS_SILENCE_S` is no number of seconds.
    """
    watch = Watch(clusters, say, silence_limit())
    thread = threading.Thread(target=watch.run, name="isthmus-silence", daemon=True)
    thread.start()
    try:
        yield
    except IsthmusError as error:
        if watch.gone is None:
            raise
        cluster = clusters[watch.gone]
        raise EnvironmentFault(
            f"the cluster of context `{cluster.context}` has not answered at {cluster.server} for {watch.limit:.0f} s,"
            " so the run was ended",
            where=f"site {watch.gone}",
            fix="When it answers, run the same command again: what was being made is looked up, taken into the"
            f" state or made. {VARIABLE} says how many seconds it may be silent",
        ) from error
    finally:
        watch.end()
        thread.join(timeout=watch.every * 2)


def silence_limit() -> float:
    """Seconds for which a cluster may be silent: the variable, else the default."""
    text = os.environ.get(VARIABLE, "")
    try:
        seconds = float(text) if text else LIMIT_S
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86400:
        raise InputError(
            f"`{text}` is no number of seconds from 1 to 86400",
            where=VARIABLE,
            fix=f"Unset it for {LIMIT_S:.0f}",
        )
    return seconds


def interrupt(turn: int) -> None:
    """Interrupt the engines that are this process's own children: twice as Ctrl-C does, then for good."""
    import psutil

    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if child.name() == _ENGINE:
                child.send_signal(signal.SIGINT if turn < 2 else signal.SIGKILL)
