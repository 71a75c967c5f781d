"""`--from download`, against a server and an installer of this test: nothing here reaches the internet."""

from __future__ import annotations

import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from isthmus.core.errors import EnvironmentFault
from sandbox import toolchain
from sandbox.toolchain import cache, download, table
from sandbox.toolchain.progress import Progress

SCRIPT = b"#!/bin/sh\necho v1.36.3\n"


def tar_with(name: str, content: bytes) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        entry = tarfile.TarInfo(f"etcd-v3/{name}")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return whole.getvalue()


class Releases(ThreadingHTTPServer):
    """Serves what is in `files`, and remembers what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        self.base = f"http://127.0.0.1:{self.server_address[1]}"
        suffix = f"{download.sys.platform}-{download._architecture()}"
        kube = [f"/kube/{name}" for name in table.CLUSTER.programs if name.startswith("kube-")]
        addresses = [self.base + path for path in kube]
        addresses += [
            f"{self.base}/etcd.tar.gz#etcd",
            f"{self.base}/kwok/kwok-{suffix}",
            f"{self.base}/kubectl",
        ]
        kwokctl = "#!/bin/sh\n" + "".join(f"echo '{address}'\n" for address in addresses)
        self.files = dict.fromkeys(kube, SCRIPT)
        self.files["/etcd.tar.gz"] = tar_with("etcd", SCRIPT)
        self.files[f"/kwok/kwok-{suffix}"] = SCRIPT
        self.files[f"/kwok/kwokctl-{suffix}"] = kwokctl.encode()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Releases)
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path)
        self.send_response(200 if content is not None else 404)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args) -> None:
        pass


@pytest.fixture
def releases(monkeypatch):
    server = Releases()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("KWOK_BINARY_PREFIX", f"{server.base}/kwok")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def pulumi_installer(folder: Path) -> None:
    """Puts a release in place as Pulumi's own installer does; its `plugin install` makes the plugin's folder."""
    (folder / "bin").mkdir()
    script = (
        '#!/bin/sh\n[ "$1" = plugin ] || { echo v3.274.1; exit; }\n'
        'd="$PULUMI_HOME/plugins/resource-$4-v$5"\n'
        'mkdir -p "$d"; echo "#!/bin/sh" > "$d/pulumi-resource-$4"; chmod +x "$d/pulumi-resource-$4"\n'
    )
    for name in ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-language-yaml"):
        (folder / "bin" / name).write_text(script)
        (folder / "bin" / name).chmod(0o755)


@pytest.fixture
def no_internet(cache_root, monkeypatch):
    monkeypatch.setattr(download, "_install_pulumi", pulumi_installer)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def test_official_releases_are_fetched_and_found_without_go(releases, no_internet):
    done = {entry.name: entry for entry in toolchain.install("download")}
    expected = [name for tool in table.TOOLS if tool.wanted for name in tool.programs]
    assert {done[name].source for name in expected} == {"downloaded"}
    assert done["etcd"].version == "1.36.3"
    assert "/kubectl" not in releases.asked, "what is not needed is not fetched"
    assert (cache.download_folder() / "bin" / "pulumi-resource-aws").exists()
    before = len(releases.asked)
    toolchain.install("download")
    assert len(releases.asked) == before, "what is there is not fetched again"


def test_a_failed_download_leaves_nothing_half_made_and_says_what_else_there_is(releases, no_internet):
    del releases.files["/kube/kube-scheduler"]
    with pytest.raises(EnvironmentFault, match=r"could not be downloaded.*404.*without `--from download`"):
        toolchain.install("download")
    assert toolchain.find("etcd") is None
    assert not list(cache.root().glob(f"**/{cache.TEMPORARY_PREFIX}*"))
    assert toolchain.find("pulumi") is None or (cache.download_folder() / "pulumi").exists()


def test_an_address_that_is_not_https_is_refused(releases, no_internet):
    suffix = next(path for path in releases.files if "kwokctl-" in path)
    releases.files[suffix] = b"#!/bin/sh\necho http://elsewhere.example/bin/etcd\n"
    with pytest.raises(EnvironmentFault, match="not https"):
        download.fetch([table.CLUSTER], Progress())


def test_nothing_is_fetched_unless_asked(go, releases):
    toolchain.install()
    assert releases.asked == []
