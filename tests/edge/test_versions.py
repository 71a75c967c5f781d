"""Versions of an endpoint's weights on a node: the current and the previous one, whatever is interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.edge.processes import ROOT
from tests.edge.weighing import Store, run, signed


def release(store: Store, model: Path, text: str) -> str:
    """Put another version into the store. Returns its digest."""
    (model / "config.json").write_text(text)
    store.digest = signed(model)
    for path in model.rglob("*"):
        if path.is_file():
            store.s3.upload_file(str(path), "models", f"llama/v1/{path.relative_to(model).as_posix()}")
    return store.digest


def stored_digests(store: Store) -> set[str]:
    return {path.name for path in store.volume.iterdir()}


def is_complete(store: Store, digest: str) -> bool:
    folder = store.volume / digest.removeprefix("sha256:")
    return run("verify", "--digest", digest, str(folder)).returncode == 0


def name(digest: str) -> str:
    return digest.removeprefix("sha256:")


@pytest.mark.service
def test_the_previous_version_stays_beside_the_new_one_and_older_ones_are_deleted(
    store: Store, model: Path
) -> None:
    first = store.digest
    assert store.fetch(keep="2").returncode == 0
    second = release(store, model, "second")
    assert store.fetch(keep="2").returncode == 0
    assert stored_digests(store) == {name(first), name(second)}
    # Back to the first version: it was served last now, whenever it was fetched.
    release(store, model, '{"architectures": ["LlamaForCausalLM"]}')
    assert store.digest == first
    assert store.fetch(keep="2").returncode == 0
    third = release(store, model, "third")
    done = store.fetch(keep="2")
    assert done.returncode == 0, done.stderr
    assert stored_digests(store) == {name(first), name(third)}, "pods may still read the first"
    assert f"deleted {second}" in done.stdout
    assert is_complete(store, first)
    assert is_complete(store, third)


@pytest.mark.service
def test_a_failed_or_killed_fetch_deletes_no_version_in_use(store: Store, model: Path) -> None:
    served = []
    for text in ("one", "two"):
        served.append(release(store, model, text))
        assert store.fetch(keep="2").returncode == 0
    release(store, model, "three")
    store.s3.put_object(Bucket="models", Key="llama/v1/config.json", Body=b"{}")
    assert store.fetch(keep="2").returncode == 1
    assert all(is_complete(store, digest) for digest in served), (
        "the new one is not whole, so none is too many"
    )
    part = store.volume / f".part-{name(store.digest)}"
    assert part.is_dir()
    release(store, model, "four")
    with store.fetching(keep="2") as process:
        while process.poll() is None and not (store.volume / f".part-{name(store.digest)}").is_dir():
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert is_complete(store, served[1])
    assert is_complete(store, served[0]) or is_complete(store, store.digest)
    assert not part.exists(), "a part that will never be whole takes no room"
    assert store.fetch(keep="2").returncode == 0
    assert stored_digests(store) == {name(served[1]), name(store.digest)}


@pytest.mark.service
def test_an_interrupted_deletion_is_completed_by_the_next_run(store: Store) -> None:
    gone = store.volume / f".gone-{'a' * 64}"
    gone.mkdir()
    (gone / "config.json").write_text("{}")
    strange = store.volume / "lost+found"
    strange.mkdir()
    assert store.fetch(keep="2").returncode == 0
    assert stored_digests(store) == {store.fetched.name, "lost+found"}, (
        "what is no version of ours is left alone"
    )


@pytest.mark.service
def test_without_keep_no_version_is_deleted(store: Store, model: Path) -> None:
    digests = [store.digest]
    assert store.fetch().returncode == 0
    for text in ("two", "three"):
        digests.append(release(store, model, text))
        assert store.fetch().returncode == 0
    assert stored_digests(store) == {name(digest) for digest in digests}


def test_keeping_only_the_current_version_is_refused(tmp_path: Path) -> None:
    flags = [f"--{key}=x" for key in ("endpoint", "region", "bucket", "prefix", "digest", "credentials")]
    done = run(*flags, "--keep=1", str(tmp_path), module="edge.fetch")
    assert (done.returncode, "pods read the version before" in done.stderr) == (2, True)


def test_the_idle_process_of_a_fetch_pod_ends_at_once_on_sigterm() -> None:
    stays = [sys.executable, "-m", "edge.stay"]
    with subprocess.Popen(stays, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "on this machine" in process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.terminate()
        assert process.wait(5) == 0


def test_a_pod_on_a_new_node_waits_for_its_weights(model: Path, tmp_path: Path) -> None:
    digest = signed(model)
    late = tmp_path / "late"
    command = [sys.executable, "-m", "edge.weights", "verify", "--digest", digest, "--wait=30", str(late)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "not on this machine yet, waiting up to 30 s" in process.stdout.readline()
        model.rename(late)
        assert "4 files" in process.stdout.read()
    assert process.returncode == 0


def test_a_pod_whose_weights_never_arrive_reports_it_and_does_not_start(tmp_path: Path) -> None:
    began = time.monotonic()
    done = run("verify", "--digest", "sha256:" + "0" * 64, "--wait", "1", str(tmp_path / "never"))
    assert time.monotonic() - began >= 1
    assert done.returncode == 3
    assert "nothing has fetched it to this machine in 1 s" in done.stderr
    assert run("verify", "--digest", "sha256:" + "0" * 64, "--wait", "-1", str(tmp_path)).returncode == 2
