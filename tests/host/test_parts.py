"""The language host's parts, each alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import language_pb2 as messages

from sandbox.host.children import Children
from sandbox.host.guard import Guard, is_listening
from sandbox.host.interpreters import NoInterpreter, find_interpreter
from sandbox.host.service import LanguageHost, _run_response
from sandbox.toolchain import scripts


def environment(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    return folder


def test_the_virtual_environment_is_relative_to_the_root(tmp_path):
    created = environment(tmp_path / ".venv")
    root = tmp_path / "components"
    root.mkdir()
    actual = find_interpreter(root, {"virtualenv": "../.venv"})
    assert actual.python == str(created / "bin" / "python")
    variables = actual.environment({"EXTRA": "1"})
    assert variables["VIRTUAL_ENV"] == str(created)
    assert variables["PATH"].split(os.pathsep)[0] == str(created / "bin")
    assert variables["EXTRA"] == "1"


def test_a_named_environment_that_is_missing_is_no_reason_to_take_another(tmp_path):
    with pytest.raises(NoInterpreter, match="nowhere"):
        find_interpreter(tmp_path, {"virtualenv": "nowhere"})


def test_uv_means_the_usual_folder_and_no_option_means_our_own_interpreter(tmp_path):
    assert find_interpreter(tmp_path, {"toolchain": "uv"}).python == sys.executable
    created = environment(tmp_path / ".venv")
    assert find_interpreter(tmp_path, {"toolchain": "uv"}).python == str(created / "bin" / "python")
    assert find_interpreter(tmp_path, {}).python == sys.executable


def test_pythonhome_does_not_reach_an_activated_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/elsewhere")
    environment(tmp_path / ".venv")
    assert "PYTHONHOME" not in find_interpreter(tmp_path, {"virtualenv": ".venv"}).environment()


@pytest.mark.parametrize(
    ("code", "error", "bail"),
    [(0, "", False), (32, "", True), (1, "non-zero exit code: 1", False), (-9, "signal 9", False)],
)
def test_the_exit_code_says_who_has_told_the_error(code, error, bail):
    result = _run_response(code)
    assert result.bail is bail
    assert error in result.error
    assert bool(result.error) is bool(error)


def test_ending_a_program_ends_what_it_started_too():
    children = Children()
    code = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    process = children.start([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    assert len(family) == 2
    children.end_all()
    process.wait(5)
    process.stdout.close()
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
    with pytest.raises(RuntimeError):
        children.start([sys.executable, "-c", ""])


def test_a_program_that_ignores_the_request_is_ended_all_the_same(monkeypatch):
    monkeypatch.setattr("sandbox.host.children.GRACE_S", 0.3)
    children = Children()
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    process = children.start([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    children.end(process)
    assert process.wait(5) == -9
    process.stdout.close()


def listening() -> tuple[socket.socket, str]:
    server = socket.create_server(("127.0.0.1", 0))
    return server, f"127.0.0.1:{server.getsockname()[1]}"


def test_the_guard_calls_once_the_engines_address_is_dead_and_not_before():
    server, address = listening()
    over = threading.Event()
    guard = Guard(over.set, interval_s=0.02)
    guard.engine = address
    guard.start()
    assert not over.wait(0.3), "the engine was there"
    server.close()
    assert over.wait(3)


def test_one_refused_connection_is_not_the_end(monkeypatch):
    request = iter([False, False, True] * 100)
    monkeypatch.setattr("sandbox.host.guard.is_listening", lambda _: next(request))
    over = threading.Event()
    guard = Guard(over.set, interval_s=0.005)
    guard.start()
    assert not over.wait(0.3)
    guard.stop()


@pytest.mark.parametrize("address", [None, "", "unix:/somewhere", "no-port"])
def test_without_an_address_to_ask_the_guard_asks_nobody(address):
    assert is_listening(address)


def program_info(folder: Path, **options: str) -> messages.ProgramInfo:
    values = struct_pb2.Struct()
    values.update(options)
    return messages.ProgramInfo(
        root_directory=str(folder), program_directory=str(folder), entry_point=".", options=values
    )


class Context(SimpleNamespace):
    """As much of a call's context as the host uses."""

    def add_callback(self, call) -> None:
        self.cancel = call


@pytest.fixture
def host(tmp_path):
    executor = tmp_path / "exec"
    executor.write_text(
        "import json, os, sys\n"
        "json.dump({'arguments': sys.argv[1:], 'config': os.environ['PULUMI_CONFIG'],"
        " 'secret': os.environ['PULUMI_CONFIG_SECRET_KEYS']}, open('seen', 'w'))\n"
    )
    new_language_host = LanguageHost(str(executor), "127.0.0.1:1", Children(), Guard(lambda: None))
    yield new_language_host
    new_language_host.children.end_all()


def test_the_handshake_moves_the_engines_address_and_the_guard_follows(host):
    host.Handshake(messages.LanguageHandshakeRequest(engine_address="127.0.0.1:2"), Context())
    assert host.engine == host.guard.engine == "127.0.0.1:2"


def test_a_program_gets_the_engines_words_and_its_configuration(host, tmp_path):
    import json

    request = messages.RunRequest(
        project="bank", stack="dev", organization="org", monitor_address="127.0.0.1:3", parallel=7, dryRun=True,
        config={"bank:a": "1"}, configSecretKeys=["bank:b"], info=program_info(tmp_path),
    )  # fmt: skip
    assert host.Run(request, Context()) == messages.RunResponse()
    observed = json.loads((tmp_path / "seen").read_text())
    pairs = dict(zip(observed["arguments"][::2], observed["arguments"][1::2], strict=False))
    assert pairs["--project"] == "bank"
    assert pairs["--monitor"] == "127.0.0.1:3"
    assert pairs["--engine"] == "127.0.0.1:1"
    assert pairs["--parallel"] == "7"
    assert "--dry_run=true" in observed["arguments"]
    assert observed["arguments"][-1] == f"{tmp_path}/."
    assert json.loads(observed["config"]) == {"bank:a": "1"}
    assert json.loads(observed["secret"]) == ["bank:b"]


def test_a_cancelled_run_ends_the_program(host, tmp_path):
    Path(host.executor).write_text("open('started', 'w').close()\nimport time\ntime.sleep(60)\n")
    context = Context()
    results = []
    request = messages.RunRequest(info=program_info(tmp_path))
    thread = threading.Thread(target=lambda: results.append(host.Run(request, context)))
    thread.start()
    end = time.monotonic() + 10
    while not (tmp_path / "started").exists() and time.monotonic() < end:
        time.sleep(0.02)
    context.cancel()
    thread.join(10)
    assert not thread.is_alive()
    assert "signal 15" in results[0].error, repr(results)


def test_a_plugins_output_and_exit_code_are_streamed(host, tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__main__.py").write_text(
        "import os, sys\nprint(os.environ['GIVEN'], *sys.argv[1:])\nprint('bad', file=sys.stderr)\nsys.exit(3)\n"
    )
    request = messages.RunPluginRequest(
        pwd=str(tmp_path),
        args=["127.0.0.1:1"],
        env=["GIVEN=a=b"],
        kind="resource",
        info=program_info(package),
    )
    parts = list(host.RunPlugin(request, Context()))
    assert b"".join(part.stdout for part in parts) == b"a=b 127.0.0.1:1\n"
    assert b"".join(part.stderr for part in parts) == b"bad\n"
    assert parts[-1].exitcode == 3


def test_the_packages_of_a_program_are_listed(host, tmp_path):
    request = messages.GetProgramDependenciesRequest(info=program_info(tmp_path), transitiveDependencies=True)
    every = {
        entry.name: entry.version for entry in host.GetProgramDependencies(request, Context()).dependencies
    }
    assert "pulumi" in every
    request.transitiveDependencies = False
    direct = {entry.name for entry in host.GetProgramDependencies(request, Context()).dependencies}
    assert "grpcio" in every
    assert "grpcio" not in direct, "pulumi brings it"


def start_host(tmp_path: Path, **options) -> subprocess.Popen:
    script = tmp_path / "pulumi-language-python"
    script.write_text(scripts.host_script())
    script.chmod(0o755)
    (tmp_path / scripts.EXEC).write_text("")
    # In a folder with a module that bears the name of one in use: the script must not run it.
    (tmp_path / "grpc.py").write_text("raise SystemExit('the wrong grpc')")
    return subprocess.Popen([str(script), *options.pop("arguments", [])], cwd=tmp_path, text=True, **options)


@pytest.mark.parametrize("sign", ["SIGINT", "SIGTERM"])
def test_the_script_prints_its_port_alone_and_ends_quietly(tmp_path, sign):
    import signal

    process = start_host(tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert 0 < int(process.stdout.readline()) < 65536
    process.send_signal(getattr(signal, sign))
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


def test_the_host_ends_when_the_engine_is_gone(tmp_path):
    server, address = listening()
    process = start_host(tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, arguments=[address])
    assert process.stdout is not None
    process.stdout.readline()
    server.close()
    out, err = process.communicate(timeout=15)
    assert (process.returncode, out, err) == (0, "", "")
