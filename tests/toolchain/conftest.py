"""A `go` that pretends: it counts its builds, and fails as the test tells it to."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

FAKE_GO = """#!{python}
import json, os, pathlib, sys, time
home = pathlib.Path({home!r})
mode = (home / "mode").read_text() if (home / "mode").exists() else ""
args = sys.argv[1:]
with (home / "calls").open("a") as calls:
    calls.write(" ".join(args) + "\\n")
if args[:2] == ["env", "GOVERSION"]:
    print((home / "version").read_text() if (home / "version").exists() else "go1.26.8")
elif args[0] == "list":
    print("\\n".join("true" for n in range(10)))
elif args[:2] == ["mod", "download"]:
    folder = home / "sdk" / "python" / "cmd"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pulumi-language-python-exec").write_text("# the script\\n")
    print(json.dumps({{"Dir": str(home / "sdk")}}))
elif args[0] == "build":
    target = pathlib.Path(args[args.index("-o") + 1])
    for n in range(10):
        print(f"example.org/p{{n}}", file=sys.stderr, flush=True)
    if mode == "slow":
        time.sleep(1.5)
    if mode.startswith("fail ") and mode[5:] in os.getcwd():
        target.write_text("half a program")
        sys.exit("p7/x.go:3:5: undefined: nothing")
    if mode == "full":
        target.write_text("half a program")
        sys.exit("/tmp/go-build1/b7/_pkg_.a: no space left on device")
    if mode == "hang":
        (home / "hanging").write_text(str(os.getpid()))
        time.sleep(60)
    target.write_text("#!/bin/sh\\necho v1.2.3\\n")
    target.chmod(0o755)
"""


class FakeGo:
    """Steers the pretended `go`, and knows what it was asked."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.bin = home / "bin"
        self.bin.mkdir(parents=True)
        self.program(self.bin / "go", FAKE_GO.format(python=sys.executable, home=str(home)))

    @staticmethod
    def program(path: Path, text: str = "#!/bin/sh\necho v9.9.9\n") -> Path:
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        return path

    def mode(self, text: str) -> None:
        """ "", "slow", "full", "hang", or "fail TOOL"."""
        (self.home / "mode").write_text(text)

    def version(self, text: str) -> None:
        (self.home / "version").write_text(text)

    @property
    def builds(self) -> list[str]:
        """The build commands so far."""
        calls = self.home / "calls"
        return (
            [line for line in calls.read_text().splitlines() if line.startswith("build")]
            if calls.exists()
            else []
        )


@pytest.fixture
def cache_root(tmp_path, monkeypatch):
    """An empty cache, an empty PULUMI_HOME, an empty PATH, and no publisher that answers."""
    root = tmp_path / "cache"
    monkeypatch.setenv("ISTHMUS_CACHE", str(root))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi-home"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("ISTHMUS_RELEASES", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return root / "toolchain"


@pytest.fixture
def go(cache_root, tmp_path, monkeypatch) -> FakeGo:
    fake = FakeGo(tmp_path / "go")
    monkeypatch.setenv("PATH", os.pathsep.join([str(fake.bin), str(tmp_path / "empty")]))
    return fake
