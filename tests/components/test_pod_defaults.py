"""What holds for every pod and every Kubernetes object of the platform."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.components.conftest import Engine

pytestmark = pytest.mark.whole

ALLOWED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


KEYLESS = {
    ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9911"),
    ("AWS_EC2_METADATA_DISABLED", "false"),
    ("AWS_CONFIG_FILE", "/dev/null"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
}
"""What a translator is told of AWS: where the helper beside it answers, and to look nowhere else."""


@pytest.fixture
def bank(built: Engine) -> Engine:
    assert len(built.pods()) == 15, sorted(built.pods())
    return built


def boxes(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["containers"], *pod.get("initContainers", [])]


def test_every_pod_passes_the_restricted_pod_security_standard(bank: Engine) -> None:
    for name, pod in bank.pods().items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] != 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
        for volume in pod["volumes"]:
            assert set(volume) - {"name"} <= ALLOWED_VOLUMES, f"{name}: {volume}"
        for box in boxes(pod):
            security = box["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            # CoreDNS's program has this file capability; the standard allows it.
            more = {"add": ["NET_BIND_SERVICE"]} if name.endswith("-resolver") else {}
            assert security["capabilities"] == {"drop": ["ALL"], **more}, name
            assert not security.get("privileged"), name
            assert all("hostPort" not in port for port in box.get("ports", [])), name


def test_no_pod_mounts_a_service_account_token(bank: Engine) -> None:
    for name, pod in bank.pods().items():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["serviceAccountName"] == name, "each has an account of its own"
    accounts = bank.all("ServiceAccount")
    assert len(accounts) == 15
    assert all(account.inputs["automountServiceAccountToken"] is False for account in accounts)


def test_every_image_is_named_by_digest(bank: Engine) -> None:
    for name, pod in bank.pods().items():
        for box in boxes(pod):
            assert re.search(r"@sha256:[0-9a-f]{64}$", box["image"]), f"{name}: {box['image']}"


def instructions(instruction: str) -> list[str]:
    text = (Path(__file__).parents[2] / "edge" / "Containerfile").read_text("utf-8")
    return re.findall(rf"^{instruction} (.+)$", text, re.MULTILINE)


def test_the_edges_command_finds_the_python_of_the_edges_image(bank: Engine) -> None:
    commands = {
        tuple(box["command"])
        for pod in bank.pods().values()
        for box in boxes(pod)
        if box.get("command", [])[1:3] == ["-m", "edge"]
    }
    assert len(commands) == 1, "the edge's containers are not looked at"
    program, *arguments = commands.pop()
    (entrypoint,) = (json.loads(instruction) for instruction in instructions("ENTRYPOINT"))
    (defaults,) = (json.loads(instruction) for instruction in instructions("CMD"))
    paths = [
        match[1]
        for instruction in instructions("ENV")
        if (match := re.search(r"(?:^|\s)PATH=(\S+)", instruction))
    ]
    assert len(paths) == 1
    # The base has a `python` on its own PATH, without the edge's packages: ours must come first.
    assert f"{paths[0].split(':')[0]}/{program}" == entrypoint[0]
    assert paths[0].endswith(":$PATH")
    assert arguments == [*entrypoint[1:], *defaults]


def test_no_container_has_a_secret_or_an_aws_key_in_its_environment(bank: Engine) -> None:
    for name, pod in bank.pods().items():
        for box in boxes(pod):
            assert "envFrom" not in box, name
            for variable in box.get("env", []):
                assert "valueFrom" not in variable, f"{name}: {variable['name']}"
                if variable["name"].startswith("AWS_"):
                    assert "translator" in name, f"{name}: {variable['name']}"
                    assert (variable["name"], variable["value"]) in KEYLESS, f"{name}: {variable}"


def test_only_vllm_may_write_to_its_root_file_system(bank: Engine) -> None:
    writable = {
        box["name"]
        for pod in bank.pods().values()
        for box in boxes(pod)
        if not box["securityContext"]["readOnlyRootFilesystem"]
    }
    assert writable == {"vllm"}, "the CDI hook needs it there, nobody else does"


def test_requests_equal_limits_in_every_container(bank: Engine) -> None:
    for name, pod in bank.pods().items():
        for box in boxes(pod):
            assert box["resources"]["requests"] == box["resources"]["limits"], name


def test_every_mount_has_its_volume(bank: Engine) -> None:
    for name, pod in bank.pods().items():
        volumes = {volume["name"] for volume in pod["volumes"]}
        for box in boxes(pod):
            assert {mount["name"] for mount in box["volumeMounts"]} <= volumes, name


def test_probes_ask_the_health_port_since_kubelet_has_no_certificate(bank: Engine) -> None:
    for name, pod in bank.pods().items():
        sidecars = [box for box in pod.get("initContainers", []) if box["name"] == "edge"]
        for box in [*pod["containers"], *sidecars]:
            if box["name"] == "vllm":
                continue
            # A restart repairs neither a database, a store nor an engine that is down: such containers wait.
            waits = name.endswith(("-gateway", "-translator", "-sealer", "-reviews"))
            running = "/live" if box in sidecars or waits else "/health"
            for probe, path in (
                ("startupProbe", running),
                ("readinessProbe", "/health"),
                ("livenessProbe", running),
            ):
                assert box[probe]["httpGet"] == {"path": path, "port": 9090, "scheme": "HTTP"}, name


def test_every_object_forces_its_patches(bank: Engine) -> None:
    for resource in bank.made:
        if resource.type.startswith("kubernetes:"):
            assert resource.meta["annotations"]["pulumi.com/patchForce"] == "true", resource.name
            assert "pulumi.com/skipAwait" not in resource.meta["annotations"], (
                f"{resource.name} is not waited for"
            )


def test_every_object_has_a_fixed_name_and_ownership_labels(bank: Engine) -> None:
    for resource in bank.made:
        if resource.type.startswith("kubernetes:"):
            assert resource.meta["name"], resource.name
            if resource.kind != "NodePatch":
                assert resource.meta["labels"]["app.kubernetes.io/part-of"] == "isthmus", resource.name


def test_every_workload_has_a_disruption_budget_and_a_pod_monitor(bank: Engine) -> None:
    for kind in ("PodDisruptionBudget", "PodMonitor", "NetworkPolicy"):
        names = {resource.meta["name"] for resource in bank.all(kind)}
        assert set(bank.pods()) <= names, kind


def test_selectors_match_the_pods_they_mean(bank: Engine) -> None:
    pods = {
        deployment.meta["name"]: deployment.spec["template"]["metadata"]["labels"]
        for deployment in bank.all("Deployment")
    }
    for service in bank.all("Service"):
        server = service.meta["name"].removesuffix("-replicas")  # the Service that lists a server's replicas
        assert service.spec["selector"].items() <= pods[server].items(), service.name
    for pod_disruption_budget in (
        *bank.all("PodDisruptionBudget"),
        *bank.all("PodMonitor"),
        *bank.all("Deployment"),
    ):
        match_labels = pod_disruption_budget.spec["selector"]["matchLabels"]
        matched = [name for name, labels in pods.items() if match_labels.items() <= labels.items()]
        assert matched == [pod_disruption_budget.meta["name"]], pod_disruption_budget.name
