"""The rendered Corefiles on the real CoreDNS: the listed names are answered, every other name goes nowhere."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.graders import coredns_install, manifests
from tests.graders.examples import ROOT, Rendering

A, TXT, AAAA = 1, 16, 28
NOERROR, NXDOMAIN = 0, 3


@dataclass
class Upstream:
    """The cluster's DNS: it answers every query with one address, and keeps the names that reach it."""

    socket: socket.socket
    names: list[str] = field(default_factory=list)

    def serve(self) -> None:
        while True:
            try:
                query, sender = self.socket.recvfrom(4096)
            except OSError:
                return
            name, end = name_in(query)
            self.names.append(name)
            header = query[:2] + b"\x84\x00" + struct.pack(">HHHH", 1, 1, 0, 0)
            record = b"\xc0\x0c" + struct.pack(">HHIH", A, 1, 30, 4) + bytes([10, 1, 2, 3])
            self.socket.sendto(header + query[12 : end + 4] + record, sender)


def name_in(message: bytes) -> tuple[str, int]:
    """The queried name in lower case, and where it ends."""
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode())
        at += 1 + message[at]
    return ".".join(labels).lower() + ".", at + 1


@dataclass
class Resolver:
    """A running CoreDNS with a rendered Corefile."""

    port: int
    upstream: Upstream
    listed: list[str]

    def ask(self, name: str, kind: int = A) -> tuple[int, int]:
        """The answer's code, and how many records it has."""
        labels_bytes = b"".join(bytes([len(label)]) + label.encode() for label in name.strip(".").split("."))
        query = (
            struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels_bytes + b"\0" + struct.pack(">HH", kind, 1)
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.sendto(query, ("127.0.0.1", self.port))
            answer = client.recv(4096)
        return answer[3] & 15, struct.unpack(">H", answer[6:8])[0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def corefile_in(rendering: Rendering) -> str:
    """Of the internal class at fra1: it has model servers, a translator and an AWS identity."""
    folder = rendering.folder / "kubernetes" / "fra1"
    bodies = manifests.read(sorted(folder.glob("*/*.yaml")))
    (text,) = [
        body["data"]["Corefile"]
        for body in manifests.of_kind(bodies, "ConfigMap")
        if body["metadata"]["name"].startswith("internal-resolver-config")
    ]
    return text


@pytest.fixture(scope="module")
def resolver(rendered: dict[str, Rendering], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resolver]:
    text = corefile_in(rendered["bank-dev"])
    listed = re.findall(r"'([^']+\.)'", text.partition("name() in [")[2].partition("]")[0])
    front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    front.bind(("127.0.0.1", 0))
    upstream = Upstream(front)
    threading.Thread(target=upstream.serve, daemon=True).start()
    port = free_port()
    # The ports and the cluster's resolver are this machine's; the rest is as rendered.
    for old, new in (
        ("/etc/resolv.conf", f"127.0.0.1:{front.getsockname()[1]}"),
        (".:1053", f".:{port}"),
        (":9090", f"127.0.0.1:{free_port()}"),
        (":9153", f"127.0.0.1:{free_port()}"),
        ("lameduck 10s", "lameduck 0s"),
    ):
        assert old in text
        text = text.replace(old, new)
    file = tmp_path_factory.mktemp("coredns") / "Corefile"
    file.write_text(text)
    program: Path | None = coredns_install.program()
    assert program is not None, "CoreDNS is not built: run `make graders`"
    with subprocess.Popen(
        [str(program), "-conf", str(file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        running = Resolver(port, upstream, listed)
        deadline = time.monotonic() + 30
        while True:
            try:
                running.ask("is-it-there.example")
                break
            except OSError:
                assert process.poll() is None, process.communicate()[0].decode()
                assert time.monotonic() < deadline, "CoreDNS does not answer"
                time.sleep(0.1)
        yield running
        process.terminate()
        process.communicate()
    front.close()


def test_each_listed_name_is_resolved_in_any_case(resolver: Resolver) -> None:
    assert len(resolver.listed) >= 3
    for name in resolver.listed:
        assert resolver.ask(name) == (NOERROR, 1), name
        assert resolver.ask(name.upper()) == (NOERROR, 1), name
        assert resolver.ask(name, AAAA)[0] == NOERROR, name


@pytest.mark.parametrize(
    "name",
    [
        "c2VjcmV0.evil.example",
        "c2VjcmV0.bedrock-runtime.eu-central-1.amazonaws.com",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "kubernetes.default.svc.cluster.local",
        "c2VjcmV0.internal-gateway.isthmus-internal.svc.cluster.local",
        "amazonaws.com",
        "com",
    ],
)
@pytest.mark.parametrize("kind", [A, TXT])
def test_any_other_name_gets_no_answer_and_reaches_no_other_resolver(
    resolver: Resolver, name: str, kind: int
) -> None:
    resolver.upstream.names.clear()
    assert resolver.ask(name, kind) == (NXDOMAIN, 0)
    assert resolver.upstream.names == []


def test_another_type_of_a_listed_name_is_empty_and_not_forwarded(resolver: Resolver) -> None:
    resolver.upstream.names.clear()
    assert resolver.ask(resolver.listed[0], TXT) == (NOERROR, 0)
    assert resolver.upstream.names == []


def test_the_program_is_of_the_version_that_the_platform_runs() -> None:
    expected = re.search(r"coredns/coredns v(\S+)", (coredns_install.MODULE / "go.mod").read_text())
    assert expected
    assert f"coredns/coredns:{expected[1]}\n" in (ROOT / "images.lock.yaml").read_text()
