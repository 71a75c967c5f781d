"""Official releases before builds, against a server of this test: nothing here reaches the internet."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from isthmus.core.errors import EnvironmentFault, InputError
from sandbox import toolchain
from sandbox.toolchain import cache, download, scripts, table
from sandbox.toolchain.progress import Progress

PROGRAM = b"#!/bin/sh\necho v1.36.3\n"
WANTED = [name for tool in table.TOOLS if tool.wanted for name in tool.programs]


class Notes(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def archive_with(names: tuple[str, ...]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for name in ("README", *names):
            entry = tarfile.TarInfo(f"release/bin/{name}")
            entry.size = len(PROGRAM)
            archive.addfile(entry, io.BytesIO(PROGRAM))
    return whole.getvalue()


class Publishers(ThreadingHTTPServer):
    """All publishers at one address. `files` holds content by `/HOST/PATH`, `asked` the paths of downloads so far."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        for release in (release for tool in table.TOOLS for release in tool.releases):
            url = str(release.url)
            content = archive_with(release.programs) if url.endswith(".tar.gz") else PROGRAM
            self.files[self.path(url)] = content
            if release.checksums:
                line = f"{hashlib.sha256(content).hexdigest()}  {url.rpartition('/')[2]}\n"
                self.files[self.path(release.checksums)] = line.encode()

    @staticmethod
    def path(url: str) -> str:
        return "/" + url.removeprefix("https://")

    def find(self, part: str) -> str:
        return next(path for path in self.files if part in path)


class _Handler(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        assert isinstance(self.server, Publishers)
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path)
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args) -> None:
        pass


@pytest.fixture
def publishers(cache_root, monkeypatch):
    server = Publishers()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("ISTHMUS_RELEASES", server.address)
    # The archive of Kubernetes is another one here, so it has another digest. The digest in the table has its own test.
    kubernetes = table.CLUSTER.releases[-1]
    digest = hashlib.sha512(server.files[server.path(str(kubernetes.url))]).hexdigest()
    here = replace(kubernetes, sha512=dict.fromkeys(kubernetes.sha512, digest))
    monkeypatch.setitem(vars(table.CLUSTER), "releases", (*table.CLUSTER.releases[:-1], here))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def sources() -> dict[str, str]:
    return {entry.name: entry.source for entry in toolchain.status() if entry.name in WANTED}


def test_official_releases_come_before_builds_and_need_no_go(publishers, cache_root):
    done = {entry.name: entry for entry in toolchain.install()}
    assert set(sources().values()) == {"downloaded"}
    assert done["etcd"].version == "1.36.3"
    assert done["pulumi-resource-kubernetes"].version == "4.34.2"
    host = toolchain.find("pulumi-language-python")
    assert host is not None
    assert "sandbox.host" in host.read_text(), "Python programs are run by our own host"
    assert (host.parent / scripts.EXEC).read_bytes() == PROGRAM
    before = list(publishers.asked)
    assert len(before) == len(set(before)), "no file is fetched twice"
    toolchain.install()
    assert publishers.asked == before, "what is there is not fetched again"


def test_publishers_that_do_not_answer_leave_it_to_the_build(go):
    notes = Notes()
    toolchain.install(progress=notes)
    assert set(sources().values()) == {"built"}
    assert [line for line in notes.lines if "does not answer: the tools are built from Go modules" in line]


def cut(files: dict[str, bytes], path: str) -> None:
    files[path] = files[path][:-20]


DAMAGE = {
    "missing": (lambda files, path: files.pop(path), "404"),
    "other content": (lambda files, path: files.update({path: archive_with(("x",))}), "its publisher states"),
    "cut": (cut, "its publisher states"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", ["kubernetes-server", "pulumi-v", "etcd-v"])
def test_a_failed_or_damaged_download_is_noted_and_the_tool_is_built(
    go, publishers, cache_root, damage, file
):
    path, notes = publishers.find(file), Notes()
    change, expected = DAMAGE[damage]
    change(publishers.files, path)
    done = toolchain.install(progress=notes)
    assert [line for line in notes.lines if path in line and expected in line and "is built from Go" in line]
    built = {entry.name for entry in done if entry.source == "built"}
    assert ("pulumi" if file == "pulumi-v" else "etcd") in built
    assert toolchain.find("pulumi-resource-kubernetes") == (
        cache.release_folder(table.PROVIDER) / "bin" / "pulumi-resource-kubernetes"
    )
    assert not list(cache_root.glob(f"**/{cache.TEMPORARY_PREFIX}*"))


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("checksums.txt", b"", "does not list"),
        ("pulumi-resource-kubernetes", b"no archive", "not a complete archive"),
        ("pulumi-resource-kubernetes", archive_with(("x",)), "does not contain pulumi-resource-kubernetes"),
    ],
)
def test_a_forced_download_does_not_build_and_leaves_nothing_half_made(
    go, publishers, cache_root, file, content, reason
):
    publishers.files[publishers.find(file)] = content
    with pytest.raises(EnvironmentFault, match=rf"{reason}.*--from modules"):
        toolchain.install("download")
    assert go.builds == []
    assert not list(cache_root.glob(f"**/{cache.TEMPORARY_PREFIX}*"))


def test_a_tool_without_a_release_is_built(go, publishers):
    toolchain.install("download", tools=["alertmanager"])
    assert len(go.builds) == 1
    assert publishers.asked == []


def test_a_mirror_that_is_not_https_is_refused(publishers, monkeypatch):
    monkeypatch.setenv(download.MIRROR, "http://mirror.example")
    with pytest.raises(InputError, match="not an https address"):
        toolchain.install()


def test_every_address_is_https_and_names_the_version():
    for tool in table.TOOLS:
        for release in tool.releases:
            assert str(release.url).startswith("https://")
            assert all(len(digest) == 128 for digest in release.sha512.values())
