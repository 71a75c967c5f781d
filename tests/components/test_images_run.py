"""The edge's three images, built and run as the rendered pods state: user id, read-only root, writable mounts alone.

A container runtime cannot run here, so bubblewrap gives each process the image's file system as its read-only root and
setpriv its user. Certificates, ports and paths are the tests' own (`tests/components/rendered.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from filelock import FileLock

from scripts import edge_image
from tests.components.conftest import Engine
from tests.components.rendered import gateway_mounts, read_config, send_to, shown
from tests.edge.certificates import Authority
from tests.edge.conftest import bearer
from tests.edge.fake_model import FakeModel
from tests.edge.processes import Edge
from tests.graders import tools
from tests.sampling import sampled

pytestmark = [pytest.mark.service, pytest.mark.timeout(1800)]
WORKLOAD, KEY = "kyc-extraction", "key-of-kyc"
NAMESPACE = "isthmus-confidential.svc"


def reason_to_skip() -> str | None:
    if sys.platform != "linux" or os.geteuid() != 0:
        return "building an image needs root on Linux"
    missing = [tool for tool in (*edge_image.TOOLS, "bwrap") if shutil.which(tool) is None]
    return (
        f"not installed: {', '.join(missing)} (`make graders` installs them on Debian)" if missing else None
    )


class Image:
    """A built target with its file system mounted."""

    def __init__(self, target: str) -> None:
        self.name = edge_image.build(target, edge_image.debian_base())
        self.container = edge_image.buildah("from", self.name)
        self.root = edge_image.buildah("mount", self.container)
        self.environment = edge_image.environment(self.name)

    def command(self, security: dict[str, Any], mounts: list[str], folder: Path | None = None) -> list[str]:
        """What starts a program in the image, with a pod's security context and its empty volumes at `mounts`."""
        user, group = security["user"], security["group"]
        shared = ",".join(map(str, security["groups"]))
        command = [
            "bwrap",
            "--die-with-parent",
            "--ro-bind",
            self.root,
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
        ]
        # A container runtime gives every container a writable /dev/shm.
        for path in dict.fromkeys(["/tmp", "/dev/shm", *mounts]):
            command += ["--perms", "1777", "--tmpfs", path]
        if folder is not None:
            command += ["--bind", str(folder), str(folder)]
        command += ["--unshare-pid", "--clearenv", "--chdir", "/"]
        for name, value in self.environment.items():
            command += ["--setenv", name, value]
        command += [
            "--cap-drop",
            "ALL",
            "--cap-add",
            "CAP_SETUID",
            "--cap-add",
            "CAP_SETGID",
            "--cap-add",
            "CAP_SETPCAP",
        ]
        drop = ["setpriv", f"--reuid={user}", f"--regid={group}", f"--groups={shared}", "--no-new-privs"]
        return [*command, *drop, "--bounding-set=-all", "--inh-caps=-all"]

    def remove(self) -> None:
        edge_image.buildah("umount", self.container)
        edge_image.buildah("rm", self.container)


@pytest.fixture(scope="module")
def images() -> Iterator[dict[str, Image]]:
    if reason := reason_to_skip():
        pytest.skip(reason)
    with FileLock(edge_image.storage().with_suffix(".lock")):
        built = {target: Image(target) for target in edge_image.TARGETS}
        try:
            yield built
        finally:
            for image in built.values():
                image.remove()


def pod_security(engine: Engine, name: str) -> dict[str, Any]:
    """Ids of a rendered pod's security context. The engine keeps whole numbers as floats."""
    context = pod_spec(engine, name)["securityContext"]
    groups = [int(group) for group in context.get("supplementalGroups", [])]
    groups += [int(context["fsGroup"])] if "fsGroup" in context else []
    return {"user": int(context["runAsUser"]), "group": int(context["runAsGroup"]), "groups": groups}


def pod_spec(engine: Engine, name: str) -> dict[str, Any]:
    """The pod's spec of a rendered Deployment."""
    return engine.only("Deployment", f"{name}-server").inputs["spec"]["template"]["spec"]


def empty_mounts(spec: dict[str, Any], container: str) -> list[str]:
    """Where a container's emptyDir volumes are mounted, but for /tmp."""
    empty = {volume["name"] for volume in spec["volumes"] if "emptyDir" in volume}
    containers = [*spec["containers"], *spec.get("initContainers", [])]
    [only_container] = [candidate for candidate in containers if candidate["name"] == container]
    assert only_container["securityContext"]["readOnlyRootFilesystem"] is True
    return [
        mount["mountPath"]
        for mount in only_container["volumeMounts"]
        if mount["name"] in empty and mount["mountPath"] != "/tmp"
    ]


def give_to(folder: Path, security: dict[str, Any]) -> None:
    """Hand a folder to a pod's user and group, as kubelet does with its volumes."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, security["user"], security["groups"][0])
        path.chmod(0o770 if path.is_dir() else 0o640)


def test_rendered_pods_run_from_the_built_images(built: Engine, images: dict[str, Image]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="isthmus-images-", dir="/tmp"))
    security = pod_security(built, "isthmus-fra1-confidential-gateway")
    authority = Authority(folder)
    authority.issue("app", "app.claims.svc")
    mounts = gateway_mounts(folder, authority, {WORKLOAD: KEY})
    model = FakeModel()
    tls = shown(authority, folder / "model-tls", "confidential-llama-8b", NAMESPACE)
    behind = read_config(built, "isthmus-confidential-llama-8b-config", {"/etc/isthmus/tls": tls})
    behind["upstream"] = model.url
    gateway_tls = shown(authority, folder / "gateway-tls", "confidential-gateway", NAMESPACE)
    front = read_config(
        built,
        "isthmus-fra1-confidential-gateway-config",
        {**mounts.gateway, "/etc/isthmus/tls": gateway_tls},
    )
    # Without a sealer its health check would say that nothing is sealed.
    del front["audit"]
    looking = read_config(built, "isthmus-fra1-public-gateway-detector-config", {})
    gateway_pod = pod_spec(built, "isthmus-fra1-public-gateway")
    running: list[Edge] = []

    def start(name: str, target: str, config: dict[str, Any], empty: list[str]) -> Edge:
        run = folder / f"run-{name}"
        run.mkdir()
        give_to(folder, security)
        process = Edge(run, config, within=images[target].command(security, empty, folder), python="python")
        running.append(process)
        (run / "config.yaml").chmod(0o644)
        return process

    try:
        sidecar = start("sidecar", "edge", behind, [])
        send_to(front["routes"][0], f"https://127.0.0.1:{sidecar.port}")
        gateway = start("gateway", "edge", front, [])
        start("detector", "detector", looking, empty_mounts(gateway_pod, "detector"))
        for process in running:
            process.wait_until_up().wait_until_well(120)
        body = {"model": WORKLOAD, "messages": [{"role": "user", "content": "IBAN DE02"}]}
        with httpx.Client(verify=authority.client("app"), trust_env=False, timeout=20) as client:
            answer = client.post(f"{gateway.url}/v1/chat/completions", json=body, headers=bearer(KEY))
        assert answer.status_code == 200, answer.text
    finally:
        # bubblewrap ends at the signal and takes the edge with it, so there is no exit code of the edge's own.
        for process in reversed(running):
            process.stop()
        model.shutdown()
        model.server_close()
        shutil.rmtree(folder)


@pytest.mark.parametrize("target", edge_image.TARGETS)
def test_an_image_runs_as_the_pods_user_and_cannot_write_its_root(
    built: Engine, images: dict[str, Image], target: str
) -> None:
    security = pod_security(built, "isthmus-fra1-confidential-gateway")
    program = (
        "import json, os\n"
        "def writes(path):\n"
        "    try:\n"
        "        open(path, 'w').close()\n"
        "    except OSError as error:\n"
        "        return error.errno\n"
        "    return 0\n"
        "print(json.dumps([os.getuid(), os.getgid(), writes('/app/x'), writes('/opt/edge/x'), writes('/tmp/x')]))"
    )
    command = [*images[target].command(security, []), "python", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    user, group, app, packages, scratch = json.loads(done.stdout)
    assert (user, group) == (security["user"], security["group"])
    # 13 is EACCES, 30 EROFS.
    assert {app, packages} <= {13, 30}
    assert scratch == 0


def test_the_translator_image_holds_what_translator_and_sealer_import(
    built: Engine, images: dict[str, Image]
) -> None:
    security = pod_security(built, "isthmus-fra1-confidential-gateway")
    program = "import litellm, boto3, edge.audit.sealing, edge.translator; print('imported')"
    command = [*images["translator"].command(security, []), "python", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("imported"), done.stderr[-2000:]


@pytest.mark.parametrize("target", sampled(edge_image.TARGETS, 3))
def test_the_sbom_names_the_packages_that_the_image_holds(
    images: dict[str, Image], target: str, tmp_path: Path
) -> None:
    python = tools.python("sbom")
    if python is None:
        pytest.skip("`make graders` installs cyclonedx-bom")
    edge_image.write_sbom(target, tmp_path / "sbom.json", python)
    sbom = json.loads((tmp_path / "sbom.json").read_text())
    names = {component["name"].lower().replace("_", "-") for component in sbom["components"]}
    hashed = [
        component["name"]
        for component in sbom["components"]
        if component.get("hashes") or component.get("externalReferences")
    ]
    assert len(hashed) == len(sbom["components"])
    [packages] = Path(images[target].root).glob("opt/edge/lib/python3*/site-packages")
    installed = {
        folder.name.rsplit("-", 1)[0].split("-")[0].lower().replace("_", "-")
        for folder in packages.glob("*.dist-info")
    } - {"setuptools"}
    assert installed, "nothing is installed"
    assert installed <= names


def test_nothing_but_the_edge_enters_an_image(images: dict[str, Image]) -> None:
    names = {path.name for path in Path(images["edge"].root, "app").iterdir()}
    assert names == {"edge"}
    assert not list(Path(images["edge"].root, "app").rglob("__pycache__"))
