"""Handles SIGHUP: reads the configuration again and, if it is valid, drains the process and restarts it in place."""

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
    """Handles SIGHUP. The process never restarts without draining, or with an invalid configuration."""

    def __init__(self, path: Path, mode: str) -> None:
        self._path, self._mode = path, mode
        self.wanted = False
        """Whether the process restarts after it has drained."""

    def listen(self, stop: asyncio.Event) -> None:
        """Handle SIGHUP from now on. `stop` is set when the process must drain."""
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
        """Restart this process with the same command if SIGHUP requested it. Otherwise returns."""
        if self.wanted:
            sys.stdout.flush()
            command = [sys.executable, *sys.orig_argv[1:]]  # the original command line of this process
            os.execve(sys.executable, command, environment.restored())  # noqa: S606
