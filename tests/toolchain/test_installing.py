"""What `install` makes, what it leaves alone, and what remains when it fails."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from isthmus.core.errors import EnvironmentFault, InputError
from sandbox import toolchain
from sandbox.toolchain import cache, table
from sandbox.toolchain.progress import Estimate, LineProgress, Progress

ROOT = Path(__file__).resolve().parents[2]
WANTED = {name for tool in table.TOOLS if tool.wanted for name in tool.programs}


def half_made(root: Path) -> list[str]:
    return [path.name for path in root.glob(f"{cache.TEMPORARY_PREFIX}*")] if root.exists() else []


def test_an_empty_machine_gets_every_wanted_program(go, cache_root):
    done = toolchain.install()
    assert {entry.name for entry in done if entry.source == "built"} == WANTED
    for name in WANTED:
        path = toolchain.find(name)
        assert path is not None
        assert os.access(path, os.X_OK)
    assert len(go.builds) == 3, "one build each for engine, cluster and provider"
    assert half_made(cache_root) == []


def test_a_version_already_built_is_never_built_again(go, cache_root):
    toolchain.install()
    go.mode("full")
    before = len(go.builds)
    toolchain.install()
    assert len(go.builds) == before


def test_a_changed_go_sum_is_another_tool(go, cache_root, monkeypatch, tmp_path):
    toolchain.install(tools=["engine"])
    other = tmp_path / "modules"
    (other / "engine").mkdir(parents=True)
    (other / "engine" / "go.mod").write_text("module changed\n")
    monkeypatch.setattr(table, "MODULES", other)
    assert toolchain.find("pulumi") is None
    toolchain.install(tools=["engine"])
    assert len(go.builds) == 2


def test_programs_on_path_are_used_and_nothing_is_built(go, cache_root):
    for name in WANTED:
        go.program(go.bin / name)
    done = toolchain.install()
    assert {entry.source for entry in done if entry.wanted} == {"official"}
    assert go.builds == []
    assert toolchain.find("etcd") == go.bin / "etcd"
    assert next(entry.version for entry in done if entry.name == "etcd") == "9.9.9"
    assert not list(cache_root.glob("*-*")), "nothing may be made where all is there"


def test_one_program_missing_on_path_is_built_and_the_others_stay_official(go, cache_root):
    for name in WANTED - {"kwok"}:
        go.program(go.bin / name)
    toolchain.install()
    assert len(go.builds) == 1
    assert toolchain.find("etcd") == go.bin / "etcd"
    assert toolchain.find("kwok") == cache.tool_folder(table.CLUSTER) / "bin" / "kwok"


def test_our_own_cache_on_path_does_not_count_as_official(go, cache_root, monkeypatch):
    toolchain.install()
    folders = [str(folder) for folder in toolchain.path_entries()]
    monkeypatch.setenv("PATH", os.pathsep.join([*folders, os.environ["PATH"]]))
    assert {entry.source for entry in toolchain.status() if entry.wanted} == {"built"}
    assert toolchain.path_entries() == []


def test_a_plugin_that_pulumi_installed_is_found_and_the_newest_wins(go, tmp_path):
    for version in ("4.9.0", "4.34.2"):
        folder = tmp_path / "pulumi-home" / "plugins" / f"resource-kubernetes-v{version}"
        folder.mkdir(parents=True)
        go.program(folder / "pulumi-resource-kubernetes")
    actual = next(entry for entry in toolchain.status() if entry.name == "pulumi-resource-kubernetes")
    assert (actual.source, actual.version) == ("official", "4.34.2")


@pytest.mark.parametrize("source", ["modules", "build"])
def test_from_modules_does_not_count_what_is_on_path(go, cache_root, source):
    for name in WANTED:
        go.program(go.bin / name)
    toolchain.install(source, tools=["engine"])
    assert len(go.builds) == 1


def test_no_go_says_what_to_do(cache_root):
    with pytest.raises(EnvironmentFault, match=r"Install Go 1\.26 or newer.*--from download") as caught:
        toolchain.install()
    assert caught.value.exit_code == 3


def test_an_old_go_is_refused_before_it_works_for_minutes(go):
    go.version("go1.24.1")
    with pytest.raises(EnvironmentFault, match=r"go1\.24\.1, but the toolchain needs at least go1\.26"):
        toolchain.install()
    assert go.builds == []


def test_no_space_left_while_building_leaves_nothing_half_made(go, cache_root):
    go.mode("full")
    with pytest.raises(EnvironmentFault, match="disk is full") as caught:
        toolchain.install()
    assert caught.value.exit_code == 3
    assert "ISTHMUS_CACHE" in caught.value.fix
    assert half_made(cache_root) == []
    assert toolchain.find("pulumi") is None


@pytest.mark.parametrize("call", ["mkdir", "rename"])
def test_no_space_left_for_the_cache_itself_leaves_nothing_half_made(go, cache_root, monkeypatch, call):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, call, full)
        with pytest.raises(EnvironmentFault, match="disk is full"):
            toolchain.install()
    assert half_made(cache_root) == []
    assert toolchain.find("pulumi") is None


def test_a_cache_that_may_not_be_written_is_named(go, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        toolchain.install()


def test_a_failed_build_keeps_what_was_finished_and_the_next_call_goes_on(go, cache_root):
    go.mode("fail cluster")
    with pytest.raises(EnvironmentFault, match=r"cluster 1\.36\.3 could not be built.*undefined: nothing"):
        toolchain.install()
    assert toolchain.find("pulumi") is not None
    assert toolchain.find("etcd") is None
    assert half_made(cache_root) == []
    go.mode("")
    before = len(go.builds)
    toolchain.install()
    assert len(go.builds) == before + 2, "the engine was finished: only cluster and provider remain"


def test_two_at_once_do_not_clash_and_build_once(go):
    go.mode("slow")
    notes: list[str] = []

    class Heard(Progress):
        def note(self, text: str) -> None:
            notes.append(text)

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(toolchain.install, tools=["engine"], progress=Heard()) for _ in range(2)]
        for entry in both:
            assert next(entry for entry in entry.result() if entry.name == "pulumi").source == "built"
    assert len(go.builds) == 1
    assert notes.count("another install is building engine; waiting for it") == 1


def test_what_a_killed_install_left_is_cleared_by_the_next(go, cache_root):
    go.mode("hang")
    code = "from sandbox import toolchain; toolchain.install(tools=['engine'])"
    first = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env={**os.environ})
    hanging = go.home / "hanging"
    end = time.monotonic() + 20
    while not hanging.exists() and time.monotonic() < end:
        time.sleep(0.05)
    first.kill()
    first.wait()
    os.kill(int(hanging.read_text()), signal.SIGKILL)
    assert half_made(cache_root), "the test did not interrupt anything"
    go.mode("")
    toolchain.install(tools=["engine"])
    assert half_made(cache_root) == []
    assert toolchain.find("pulumi") is not None


def test_an_interrupted_install_ends_the_compiler_and_leaves_nothing(go, cache_root):
    go.mode("hang")
    code = "from sandbox import toolchain; toolchain.install(tools=['engine'])"
    first = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ}, stderr=subprocess.DEVNULL
    )
    hanging = go.home / "hanging"
    end = time.monotonic() + 20
    while not (hanging.exists() and hanging.read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)
    first.wait(20)
    assert half_made(cache_root) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(hanging.read_text()), 0)


def test_the_six_programs_of_the_cluster_are_one_file_that_knows_its_name(go):
    toolchain.install(tools=["cluster"])
    paths = [toolchain.find(name) for name in table.CLUSTER.programs]
    assert len({path.stat().st_ino for path in paths if path}) == 1
    assert [path.resolve().name for path in paths if path] == list(table.CLUSTER.programs)


def test_an_unknown_tool_is_named_with_those_that_exist(go):
    with pytest.raises(InputError, match=r"tool `kubelet` is unknown.*engine, cluster"):
        toolchain.install(tools=["kubelet"])


def test_the_time_of_a_build_is_noted(go):
    toolchain.install(tools=["engine"])
    noted = json.loads((cache.root() / "timings.json").read_text())
    assert noted[cache.tool_folder(table.ENGINE).name]["packages_compiled"] == 10


def test_the_progress_says_what_and_how_far(go):
    output = io.StringIO()
    go.mode("slow")
    toolchain.install(tools=["engine", "cluster"], progress=LineProgress(output, interval_s=0.4))
    lines = output.getvalue().splitlines()
    assert any(line.startswith("[1/2] engine 3.274.1") for line in lines)
    assert any(line.startswith("[2/2] cluster 1.36.3") for line in lines)
    assert any("10 packages, linking" in line and "remaining in total" in line for line in lines), lines


def test_the_estimate_follows_the_machine(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("sandbox.toolchain.progress.time.monotonic", lambda: now[0])
    tools = [table.ENGINE, table.CLUSTER]
    total = sum(tool.typical_s for tool in tools)
    estimate = Estimate(tools)
    assert estimate.remaining(0, 0.0) == total
    now[0] = table.ENGINE.typical_s * 2
    assert estimate.remaining(1, 0.0) == pytest.approx(table.CLUSTER.typical_s * 2)
    estimate.start(1, 0.5)
    assert estimate.remaining(1, 0.0) == pytest.approx(table.CLUSTER.typical_s)
