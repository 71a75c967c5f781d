"""Weights from S3: fetched by a job that alone may, verified in each pod before the engine starts."""

from typing import Any

import pytest

from components import ModelServer
from components.serving.weights.cache import FETCH_CPU
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.core.errors import InputError
from tests.components.conftest import Engine
from tests.components.platforms import DIGEST, REGISTRY
from tests.components.test_model_server import args

TRANSLATOR = f"{REGISTRY}translator@{DIGEST}"
STORE = {"endpoint": "https://s3.fra1.bank.example:9000", "address": "10.40.3.10", "credentials_secret": "s3"}
S3 = {
    "uri": "s3://models/llama/v1",
    "digest": DIGEST,
    "store": STORE,
    "cache": {"storage_class": "shared"},
    "size_gib": 300,
}


def deploy(engine: Engine, weights: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    arguments = args(**{"fetch_image": TRANSLATOR, "weights": {**S3, **(weights or {})}, **more})
    engine.deploy(ModelServer, "m", arguments)
    return engine.only("Deployment", "m-server").pod if "nodes_per_replica" not in more else {}


def flags(box: dict[str, Any]) -> dict[str, str]:
    pairs = (arg.removeprefix("--").split("=", 1) for arg in box["args"] if arg.startswith("--"))
    return {pair[0]: pair[1] for pair in pairs}


def test_a_job_fetches_what_the_digest_names_into_a_volume_that_many_machines_mount(engine: Engine) -> None:
    deploy(engine)
    claim = engine.only("PersistentVolumeClaim", "m-cache").spec
    assert claim["accessModes"] == ["ReadWriteMany"]
    assert (claim["storageClassName"], claim["resources"]["requests"]["storage"]) == ("shared", "300Gi")
    job = engine.only("Job", "m-fetch")
    (box,) = job.pod["containers"]
    assert box["image"] == TRANSLATOR, "it has boto3"
    assert box["command"] == ["python", "-m", "edge.fetch"]
    assert flags(box) == {
        "endpoint": STORE["endpoint"],
        "region": "us-east-1",
        "bucket": "models",
        "prefix": "llama/v1",
        "digest": DIGEST,
        "credentials": "/etc/isthmus/store/secret/credentials",
    }
    assert box["args"][-1] == "/models"


def test_the_job_accepts_its_flags_as_the_program_reads_them(
    engine: Engine, monkeypatch: Any, tmp_path: Any
) -> None:
    from edge import fetch

    deploy(engine, {"store": {**STORE, "ca_bundle": "ca"}, "public_key": "signers"})
    (box,) = engine.only("Job").pod["containers"]
    calls: dict[str, Any] = {}
    monkeypatch.setattr(fetch, "client", lambda *args: calls.update(client=args))
    monkeypatch.setattr(fetch, "fetch", lambda *args: calls.update(fetch=args) or (1, 1))
    assert fetch.main(box["args"]) == 0
    assert str(calls["client"][3]) == "/etc/isthmus/store/ca/ca.crt"
    assert str(calls["fetch"][5]) == "/etc/isthmus/weights/weights.pub"


def test_credentials_are_a_file_of_the_job_and_of_nothing_that_serves(engine: Engine) -> None:
    pod = deploy(engine)
    job = engine.only("Job").pod
    mounted = [volume for volume in job["volumes"] if "secret" in volume]
    assert [volume["secret"]["secretName"] for volume in mounted] == ["s3"]
    assert all("env" not in box for box in job["containers"]), (
        "AWS_… is refused in a restricted namespace, too"
    )
    assert "s3" not in [volume.get("secret", {}).get("secretName") for volume in pod["volumes"]]


def test_the_job_reaches_the_store_alone_and_asks_no_resolver(engine: Engine) -> None:
    deploy(engine)
    policy = engine.only("NetworkPolicy", "m-fetch-network").spec
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == [
        {"to": [{"ipBlock": {"cidr": "10.40.3.10/32"}}], "ports": [{"protocol": "TCP", "port": 9000}]}
    ]
    assert "ingress" not in policy
    labels = engine.only("Job").spec["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    serving = engine.only("NetworkPolicy", "m-network").spec["podSelector"]["matchLabels"]
    assert not serving.items() <= labels.items(), "the gateway could speak to it"
    job = engine.only("Job").pod
    assert job["dnsConfig"] == {"nameservers": ["127.0.0.1"]}
    assert job["hostAliases"] == [{"ip": "10.40.3.10", "hostnames": ["s3.fra1.bank.example"]}]


def test_pods_start_after_the_job_and_mount_what_it_fetched_read_only(engine: Engine) -> None:
    pod = deploy(engine)
    assert "m-fetch" in engine.only("Deployment").depends_on
    volume = next(volume for volume in pod["volumes"] if volume["name"] == "weights")
    assert volume["persistentVolumeClaim"] == {"claimName": "llama-weights", "readOnly": True}
    mounts = [
        volume_mount
        for volume_mount in pod["containers"][0]["volumeMounts"]
        if volume_mount["name"] == "weights"
    ]
    assert mounts == [
        {
            "name": "weights",
            "mountPath": "/models",
            "readOnly": True,
            "subPath": DIGEST.removeprefix("sha256:"),
        }
    ]
    assert pod["containers"][0]["args"][0] == "/models"


def test_every_byte_is_verified_before_the_sidecar_and_the_engine_start(engine: Engine) -> None:
    pod = deploy(engine)
    first, second = pod["initContainers"]
    assert (first["name"], second["name"]) == ("verify-weights", "edge")
    assert "restartPolicy" not in first, "it must end, and well, before anything else starts"
    assert first["command"] == ["python", "-m", "edge.weights", "verify"]
    assert first["args"] == [f"--digest={DIGEST}", "/models"]
    cpu = pod["containers"][0]["resources"]["limits"]["cpu"]
    assert first["resources"]["limits"] == {"cpu": cpu, "memory": "1Gi"}, "no more than the engine asks for"
    assert [volume_mount["name"] for volume_mount in first["volumeMounts"]] == ["weights", "tmp"]


def test_a_signature_is_checked_by_the_job_and_in_each_pod(engine: Engine) -> None:
    pod = deploy(engine, {"public_key": "signers"})
    for box, volumes in (
        (pod["initContainers"][0], pod["volumes"]),
        (engine.only("Job").pod["containers"][0], engine.only("Job").pod["volumes"]),
    ):
        assert flags(box)["public-key"] == "/etc/isthmus/weights/weights.pub"
        assert "weights-key" in [volume_mount["name"] for volume_mount in box["volumeMounts"]]
        assert {"name": "weights-key", "configMap": {"name": "signers", "defaultMode": 0o440}} in volumes


def test_weights_on_a_claim_are_verified_if_stated(engine: Engine) -> None:
    weights = {"uri": "pvc://llama/base", "digest": DIGEST, "verify": True}
    engine.deploy(ModelServer, "m", args(weights=weights))
    (first, _) = engine.only("Deployment").pod["initContainers"]
    assert first["args"][-1] == "/models/base"
    assert not engine.all("Job")


def test_every_pod_of_a_group_verifies_for_itself(engine: Engine) -> None:
    deploy(engine, nodes_per_replica=2)
    template = engine.only("LeaderWorkerSet").spec["leaderWorkerTemplate"]
    for part in ("leaderTemplate", "workerTemplate"):
        spec = template[part]["spec"]
        assert spec["initContainers"][0]["name"] == "verify-weights"
        mounted = {volume_mount["name"] for volume_mount in spec["initContainers"][0]["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in spec["volumes"]}, part


def test_other_weights_make_another_job_and_the_same_ones_the_same(engine: Engine) -> None:
    names = []
    for digest in (DIGEST, DIGEST, "sha256:" + "b" * 64):
        again = Engine()
        deploy(again, {"digest": digest})
        names.append(again.only("Job").meta["name"])
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    ("weights", "more", "message"),
    [
        ({"store": None}, {}, "store"),
        ({"cache": None}, {}, "cache"),
        ({}, {"fetch_image": None}, "fetch_image"),
        ({"store": {**STORE, "endpoint": "http://s3"}}, {}, "not a plain https address"),
        ({"store": {**STORE, "endpoint": "https://a:b@s3"}}, {}, "not a plain https address"),
    ],
)
def test_unfetchable_weights_are_refused(
    engine: Engine, weights: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        deploy(engine, weights, **more)
    assert not engine.made


def test_the_job_counts_in_its_classs_quota(engine: Engine, platform: dict[str, Any]) -> None:
    from components.sites.namespaces import namespace_args

    def cpus() -> float:
        checked = CheckedPlatform.model_validate(platform)
        quota = namespace_args(checked, checked.sites[0], "confidential")["quota"]  # type: ignore[typeddict-item]
        return float(quota["requests.cpu"])

    before = cpus()
    platform["endpoints"][1]["weights"] = {key: value for key, value in S3.items() if key != "size_gib"}
    assert cpus() == before + 2 * float(FETCH_CPU)
