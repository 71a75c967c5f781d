"""The plugin as an executable: written once, started by the engine, ended with it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2_grpc as rpc

from sandbox.aws.plugin import install, is_ours
from sandbox.aws.provider import VERSION


def test_it_is_written_once_and_is_executable(tmp_path: Path) -> None:
    path = install(tmp_path / "new" / "bin")
    assert path == tmp_path / "new" / "bin" / "pulumi-resource-aws"
    assert os.access(path, os.X_OK)
    before = path.stat().st_mtime_ns
    assert install(path.parent) == path
    assert path.stat().st_mtime_ns == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "no temporary file is left"


def test_ours_is_told_from_the_real_one(tmp_path: Path) -> None:
    assert is_ours(install(tmp_path / "bin"))
    real = tmp_path / "pulumi-resource-aws"
    real.write_bytes(b"\x7fELF" + bytes(1000))
    assert not is_ours(real)
    assert not is_ours(tmp_path / "none")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_port_answers_and_ends_quietly(tmp_path: Path, number: int) -> None:
    process = subprocess.Popen(
        [install(tmp_path), "127.0.0.1:1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert rpc.ResourceProviderStub(channel).GetPluginInfo(empty_pb2.Empty()).version == VERSION
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")
