"""Progress of `isthmus sanitise`: a progress bar on a terminal, lines elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isthmus.cli.progress import Display

if TYPE_CHECKING:
    from edge.sanitising.manifest import Entry


class FileProgress(Display):
    """Watcher of `edge.sanitising`."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._files = self._all = self._size = self._part = self._whole = 0

    def _bars(self) -> Any:
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._bar = bars.add_task("listing the files", total=None)
        return bars

    def began(self, files: int, size: int) -> None:
        """The run starts. `files`: their number; `size`: their bytes."""
        self._all, self._whole = files, size
        self._show()

    def passed(self, characters: int) -> None:
        """More characters of the current file are done."""
        self._part += characters
        self._show()

    def ended(self, entry: Entry, kept: bool, size: int) -> None:
        """A file is done; a refusal is printed at once."""
        self._files += 1
        self._size, self._part = self._size + size, 0
        if entry.reason:
            self._line(f"refused: {entry.reason}")
        self._show()

    def _show(self) -> None:
        if self._live is not None:
            self._live.update(
                self._bar,
                completed=min(self._size + self._part, self._whole),
                total=self._whole or None,
                description=f"{self._files} of {self._all} files",
            )

    def _still(self) -> None:
        if self._all:
            done, total = (f"{size / 1e6:.1f}" for size in (self._size + self._part, self._whole))
            self._line(f"{self._files} of {self._all} files, {done} of {total} MB")
