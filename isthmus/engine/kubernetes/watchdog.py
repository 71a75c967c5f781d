"""Interrupts a run whose cluster has stopped answering.

The Kubernetes provider keeps polling an unreachable cluster until the timeout of the resource, which is long for large
models. So a thread polls the clusters of a run. If one is silent for too long, it interrupts the engine, which stores
its state; the next run continues from there.
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
from isthmus.core.kubernetes_client import ApiRefusal, KubeClient

VARIABLE = "ISTHMUS_SILENCE_S"
"""Environment variable: seconds for which a cluster may be silent during a run."""
LIMIT_S = 120.0
"""Default; longer than the restart of an API server."""
INTERVAL_S = 5.0
PATIENCE_S = 30.0
"""Seconds that an interrupted engine has before it is interrupted again, and then killed."""
_ENGINE = "pulumi"


@dataclass
class Watch:
    """Poller of the clusters of a run."""

    clusters: Mapping[str, KubeClient]
    """Site → cluster."""
    say: Callable[[str], None]
    limit: float
    every: float = field(default_factory=lambda: INTERVAL_S)
    interrupt: Callable[[int], None] = lambda turn: interrupt(turn)
    """Ends the engine; called with 0, then 1, and so on."""
    gone: str | None = None
    """The first site whose cluster was silent for too long."""
    _heard: dict[str, float] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Poll the clusters until `end`; runs in a thread of its own."""
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
                        f"site {site}: its cluster does not answer; the run is interrupted after {self.limit:.0f} s"
                    )
                if silent >= self.limit:
                    self.gone = self.gone or site
            # The engine may ignore interrupts, so it is killed after two.
            if self.gone and time.monotonic() >= next_turn and not self._ended.is_set():
                self.interrupt(turn)
                turn, next_turn = turn + 1, time.monotonic() + PATIENCE_S

    def end(self) -> None:
        self._ended.set()

    def _silent(self, site: str, cluster: KubeClient) -> float:
        """Seconds since the last answer. A refusal is an answer; a reply that is not JSON comes from another server."""
        try:
            cluster.get("/version", timeout_s=self.every)
        except ApiRefusal:
            pass
        except (EnvironmentFault, ValueError):
            return time.monotonic() - self._heard[site]
        self._heard[site] = time.monotonic()
        return 0


@contextlib.contextmanager
def watch_clusters(clusters: Mapping[str, KubeClient], say: Callable[[str], None]) -> Iterator[None]:
    """Watch the clusters while the body runs the engine.

    Raises `EnvironmentFault` if a silent cluster ended the run, `InputError` for an invalid `ISTHMUS_SILENCE_S`.
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
            " so the run was interrupted",
            where=f"site {watch.gone}",
            fix="When the cluster answers, run the same command again: it looks up what was being created, and"
            f" continues. {VARIABLE} sets how many seconds a cluster may be silent",
        ) from error
    finally:
        watch.end()
        thread.join(timeout=watch.every * 2)


def silence_limit() -> float:
    """Seconds for which a cluster may be silent: from the variable, otherwise the default."""
    text = os.environ.get(VARIABLE, "")
    try:
        seconds = float(text) if text else LIMIT_S
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86400:
        raise InputError(
            f"`{text}` is not a number of seconds from 1 to 86400",
            where=VARIABLE,
            fix=f"Set it to a number in that range, or unset it for the default of {LIMIT_S:.0f}",
        )
    return seconds


def interrupt(turn: int) -> None:
    """Interrupt the engines among this process's children, like Ctrl-C; kill them from the third call on."""
    import psutil

    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if child.name() == _ENGINE:
                child.send_signal(signal.SIGINT if turn < 2 else signal.SIGKILL)
