"""SIGHUP: the configuration is read again, and a process with a valid one drains and begins anew in its own place."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from edge import environment
from edge.config import ConfigError, load
from edge.journal import write_line


class Reloading:
    """What a process does upon SIGHUP. It never ends undrained, and never for a file that is wrong."""

    def __init__(self, path: Path, mode: str) -> None:
        self._path, self._mode = path, mode
        self.wanted = False
        """Whether the process is to begin anew when it has drained."""

    def listen(self, stop: asyncio.Event) -> None:
        """From now on; `stop` is set when the process is to drain."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload, stop)

    def _reload(self, stop: asyncio.Event) -> None:
        try:
            config = load(self._path)
            if config.mode != self._mode:
                raise ConfigError(
                    f"{self._path}: mode: a running {self._mode} cannot become a {config.mode}."
                )
        except ConfigError as error:
            write_line("configuration", mode=self._mode, result=str(error))
            return
        write_line("configuration", mode=self._mode, result="valid: draining, to begin anew with it")
        self.wanted = True
        stop.set()

    def begin_anew(self) -> None:
        """Run the same command in this process, where SIGHUP asked for it; returns where it did not."""
        if self.wanted:
            sys.stdout.flush()
            command = [sys.executable, *sys.orig_argv[1:]]  # our own, as it was begun
            os.execve(sys.executable, command, environment.restored())  # noqa: S606
