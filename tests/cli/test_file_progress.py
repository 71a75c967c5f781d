"""Progress over many files: occasional lines without a terminal, a bar of bytes on one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from edge.sanitising.manifest import Entry
from isthmus.cli import console
from isthmus.cli.file_progress import FileProgress


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_reported_in_files_and_bytes(monkeypatch: pytest.MonkeyPatch, terminal: bool):
    out = io.StringIO()
    monkeypatch.setattr(
        console, "err", lambda: Console(file=out, force_terminal=terminal, width=100, highlight=False)
    )
    with FileProgress() as progress:
        progress.began(2, 2_000_000)
        progress.passed(500_000)
        progress._still()
        progress.ended(Entry("a.txt", reason="a.txt: it is encrypted."), False, 1_000_000)
        progress._still()
    getvalue = out.getvalue()
    assert "0 of 2 files, 0.5 of 2.0 MB" in getvalue
    assert "refused: a.txt: it is encrypted." in getvalue
    assert "1 of 2 files, 1.0 of 2.0 MB" in getvalue, "what was said of a file's parts is not counted twice"
    assert ("━" in getvalue) == terminal
