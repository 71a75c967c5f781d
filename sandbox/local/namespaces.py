"""Tries from network namespaces what pods reach: `python -m sandbox.local.namespaces FILE`, in namespaces of its own.

Each pod has a namespace with its address. Its kernel routes only what the pod's policies allow. All of them are linked
to one namespace that listens on the addresses to try. FILE is JSON; the answer is JSON on standard output.

It is started by `unshare`, so it needs no rights on the machine and leaves nothing behind.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WORLD, GATEWAY = "world", "169.254.1.1"
MAIN_RULE, REFUSE_RULE, FIRST_RULE = 32766, 30000, 1000
ANSWER_S = 2.0


def main(argv: Sequence[str] | None = None) -> int:
    [file] = argv if argv is not None else sys.argv[1:]
    task = json.loads(Path(file).read_text("utf-8"))
    _run("mount", "-t", "tmpfs", "tmpfs", "/run")
    _ip("netns", "add", WORLD)
    _ip("-n", WORLD, "link", "set", "lo", "up")
    targets = [(str(address), int(port)) for address, port in task["targets"]]
    for address in dict.fromkeys(address for address, _ in targets):
        _ip("-n", WORLD, "address", "add", f"{address}/32", "dev", "lo")
    for index, pod in enumerate(task["pods"]):
        _add_pod(index, pod)
    listener = subprocess.Popen(
        ["ip", "netns", "exec", WORLD, sys.executable, "-m", __spec__.name, "--listen", json.dumps(targets)],
        stdout=subprocess.PIPE,
    )
    try:
        assert listener.stdout is not None
        listener.stdout.readline()
        print(json.dumps([_reached(index, targets) for index, _ in enumerate(task["pods"])]))
    finally:
        listener.kill()
        listener.wait()
    return 0


def _add_pod(index: int, pod: Mapping[str, Any]) -> None:
    name, link = f"pod{index}", f"to-pod{index}"
    _ip("netns", "add", name)
    _ip("link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", link, "netns", WORLD)
    _ip("-n", name, "address", "add", f"{pod['address']}/32", "dev", "eth0")
    for namespace, device in ((name, "lo"), (name, "eth0"), (WORLD, link)):
        _ip("-n", namespace, "link", "set", device, "up")
    _ip("-n", WORLD, "address", "add", f"{GATEWAY}/32", "dev", link)
    _ip("-n", WORLD, "route", "add", f"{pod['address']}/32", "dev", link)
    _ip("-n", name, "route", "add", GATEWAY, "dev", "eth0")
    _ip("-n", name, "route", "add", "default", "via", GATEWAY)
    for number, allowed in enumerate(pod["reachable"]):
        rule = ["-n", name, "rule", "add", "priority", str(FIRST_RULE + number), "to", allowed["network"]]
        if allowed["protocol"]:
            rule += ["ipproto", allowed["protocol"]]
        if allowed["ports"]:
            rule += ["dport", "-".join(map(str, allowed["ports"]))]
        _ip(*rule, "lookup", "main")
    _ip("-n", name, "rule", "add", "priority", str(REFUSE_RULE), "prohibit")
    _ip("-n", name, "rule", "delete", "priority", str(MAIN_RULE))


def _reached(index: int, targets: Sequence[tuple[str, int]]) -> list[bool]:
    """Whether a pod reaches each target, by connecting from its namespace."""
    command = ["ip", "netns", "exec", f"pod{index}", sys.executable, "-m", __spec__.name]
    done = subprocess.run(
        [*command, "--connect", json.dumps(targets)], capture_output=True, text=True, check=True
    )
    return list(json.loads(done.stdout))


def _connects(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), ANSWER_S) as connection:
            return connection.recv(1) == b"."
    except OSError:
        return False


def _listen(targets: Sequence[tuple[str, int]]) -> None:
    """Answer on each target until the process is ended."""
    listeners = [socket.create_server((address, port)) for address, port in targets]

    def serve(listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b".")

    for listener in listeners:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
    print("listening", flush=True)
    threading.Event().wait()


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"`{' '.join(command)}` failed: {done.stderr.strip()}")


if __name__ == "__main__":
    if sys.argv[1] == "--listen":
        _listen([(address, port) for address, port in json.loads(sys.argv[2])])
    elif sys.argv[1] == "--connect":
        print(json.dumps([_connects(address, port) for address, port in json.loads(sys.argv[2])]))
    else:
        sys.exit(main())
