"""Digests from a real registry (the reference implementation): open, with passwords, and with tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.contracts import images_lock
from isthmus.core.errors import EnvironmentFault
from isthmus.core.image_references import Reference
from isthmus.engine.images.registry import Registries
from isthmus.engine.images.registry_logins import Logins
from sandbox.toolchain import find, install
from tests.cli.conftest import Isthmus
from tests.registries import BASIC, HTPASSWD, PASSWORD, USER, TokenServer, push, served

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def program() -> Path:
    if find("registry") is None:
        install(tools=["registry"])
    path = find("registry")
    assert path is not None
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registries")


@pytest.fixture(scope="module")
def mirror(program: Path, folder: Path) -> Iterator[str]:
    with served(program, folder / "open", folder / "content") as host:
        yield host


@pytest.fixture(scope="module")
def with_passwords(program: Path, folder: Path, mirror: str) -> Iterator[str]:
    (folder / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "bank", "path": str(folder / "htpasswd")}}
    with served(program, folder / "passwords", folder / "content", auth) as host:
        yield host


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[TokenServer]:
    server = TokenServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def with_tokens(
    program: Path, folder: Path, tmp_path: Path, mirror: str, tokens: TokenServer
) -> Iterator[str]:
    with served(program, tmp_path / "tokens", folder / "content", tokens.auth) as host:
        yield host


def resolve(host: str, name: str, logins: Logins | None = None, tag: str = "v1") -> str:
    registries = Registries(logins or Logins())
    try:
        return registries.digest(Reference(host, name, tag))
    finally:
        registries.close()


def test_the_digest_of_an_image_or_index_equals_that_of_the_registry(mirror):
    image = push(mirror, "one/image", "v1", "image")
    index = push(mirror, "one/index", "v1", "index", index=True)
    assert resolve(mirror, "one/image") == image
    assert resolve(mirror, "one/index") == index
    assert image != index


def test_a_missing_tag_is_reported(mirror):
    with pytest.raises(EnvironmentFault, match="does not have this tag"):
        resolve(mirror, "one/image", tag="v9")


def test_a_registry_with_passwords_gets_the_credentials_of_docker_login(mirror, with_passwords):
    digest = push(mirror, "two/image", "v1", "two")
    assert resolve(with_passwords, "two/image", Logins({with_passwords: BASIC})) == digest
    with pytest.raises(EnvironmentFault, match=r"refused access without credentials.*docker login"):
        resolve(with_passwords, "two/image")
    wrong = "Basic " + base64.b64encode(f"{USER}:wrong".encode()).decode()
    with pytest.raises(EnvironmentFault, match="the registry refused access with these credentials"):
        resolve(with_passwords, "two/image", Logins({with_passwords: wrong}))


def test_without_a_docker_login_a_token_is_requested_anonymously(mirror, with_tokens, tokens):
    digest = push(mirror, "three/image", "v1", "three")
    assert resolve(with_tokens, "three/image") == digest
    assert tokens.asked == [("repository:three/image:pull", None)], "one token is enough for both requests"


def test_a_closed_registry_with_tokens_gets_the_credentials_at_its_token_server(mirror, with_tokens, tokens):
    tokens.closed = True
    digest = push(mirror, "three/closed", "v1", "closed")
    assert resolve(with_tokens, "three/closed", Logins({with_tokens: BASIC})) == digest
    with pytest.raises(EnvironmentFault, match="refused access without credentials"):
        resolve(with_tokens, "three/closed")


@pytest.fixture
def locked(mirror: str) -> dict[str, str]:
    """What the bank's stack takes from the lock, pushed to the mirror: name → digest."""
    lock = images_lock.load(Path(__file__).parents[2] / images_lock.FILE)
    places = {
        name: lock.images[name].upstream
        for name in ("vllm", "credential_helper", "resolver", "chat", "sign_on")
    }
    places |= {
        name: lock.charts[name].in_mirror(name, mirror) for name in ("cert-manager", "gpu-operator", "kueue")
    }
    return {name: push(mirror, at.name, str(at.tag), name) for name, at in places.items()}


def test_resolve_fills_the_lock_from_a_mirror_and_lists_images_by_digest(
    isthmus: Isthmus, project, mirror, locked
):
    arguments = ("images", "bank-dev", "--project", project)
    result = isthmus(*arguments, "--resolve", "--registry", f"http://{mirror}", "--format", "hauler")
    assert result.code == 0, result.err
    assert f"vllm: {mirror}/vllm/vllm-openai:v0.33.0 resolved to {locked['vllm']}" in result.err
    assert f"docker.io/vllm/vllm-openai@{locked['vllm']}" in result.out
    lock = images_lock.load(project / images_lock.FILE)
    assert {**lock.images, **lock.charts}["kueue"].digest == locked["kueue"]
    assert lock.images["edge"].digest is None, "the overrides give it: nobody asked"
    again = isthmus(*arguments, "--resolve", "--registry", f"http://{mirror}")
    assert again.code == 0
    assert again.err.count(" still sha256:") == 8
    assert images_lock.load(project / images_lock.FILE) == lock


def test_a_moved_tag_is_reported_and_accepted_only_on_request(isthmus: Isthmus, project, mirror, locked):
    arguments = ("images", "bank-dev", "--project", project, "--resolve", "--registry", f"http://{mirror}")
    assert isthmus(*arguments).code == 0
    before = (project / images_lock.FILE).read_bytes()
    moved = push(mirror, "vllm/vllm-openai", "v0.33.0", "another image under the same tag")
    result = isthmus(*arguments)
    assert (result.code, result.out) == (1, "")
    assert f"moved from {locked['vllm']} to {moved}, left as it is" in result.err
    assert "--update" in result.err
    assert (project / images_lock.FILE).read_bytes() == before
    assert isthmus(*arguments, "--update").code == 0
    assert images_lock.load(project / images_lock.FILE).images["vllm"].digest == moved


def test_resolve_uses_the_credentials_that_docker_login_stored(
    isthmus: Isthmus,
    project,
    with_passwords,
    locked,
    tmp_path,
):
    arguments = (
        "images",
        "bank-dev",
        "--project",
        project,
        "--resolve",
        "--registry",
        f"http://{with_passwords}",
    )
    (tmp_path / "docker").mkdir()
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {with_passwords: {"auth": auth}}}))
    refused = isthmus(*arguments, DOCKER_CONFIG=str(tmp_path / "none"))
    assert refused.code == 3
    missing = "vllm, credential_helper, resolver, chat, sign_on, cert-manager, gpu-operator, kueue"
    assert f"not resolved: {missing}" in refused.err
    result = isthmus(*arguments, DOCKER_CONFIG=str(tmp_path / "docker"))
    assert result.code == 0, result.err
    assert auth not in result.err + result.out
