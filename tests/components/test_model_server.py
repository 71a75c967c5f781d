"""One model server: who reaches it, how it starts, stands and rolls."""

from typing import Any

import pytest
from ruamel.yaml import YAML

from components import ModelServer
from isthmus.core.errors import InputError
from tests.components.conftest import Engine
from tests.components.platforms import DIGEST, REGISTRY

EDGE, VLLM = f"{REGISTRY}edge@{DIGEST}", f"{REGISTRY}vllm@{DIGEST}"


def args(**more: Any) -> dict[str, Any]:
    return {
        "id": "llama",
        "sensitivity": "restricted",
        "model": "meta-llama/Llama-3.3-70B-Instruct",
        "weights": {"uri": "pvc://llama", "digest": DIGEST, "volume": "weights-llama", "size_gib": 150},
        "vllm_image": VLLM,
        "edge_image": EDGE,
        "product": "NVIDIA-H100-80GB-HBM3",
        "issuer": {"name": "bank-llm"},
        "monitoring_namespace": "monitoring",
        "tensor_parallel": 4,
        "replicas": 2,
        **more,
    }


def deploy(engine: Engine, **more: Any) -> dict[str, Any]:
    engine.deploy(ModelServer, "m", args(**more))
    return engine.only("Deployment", "m-server").pod


def test_vllm_listens_only_on_the_loopback(engine: Engine) -> None:
    pod = deploy(engine)
    (vllm,) = pod["containers"]
    assert "--host=127.0.0.1" in vllm["args"]
    assert "ports" not in vllm
    ports = {port["containerPort"] for port in pod["initContainers"][0]["ports"]}
    assert ports == {8443, 9090}, "only the sidecar faces the network"


def test_a_text_model_tells_the_gateway_how_much_of_a_prompt_was_cached(engine: Engine) -> None:
    assert "--enable-prompt-tokens-details" in deploy(engine)["containers"][0]["args"]
    other = deploy(Engine(), task="embedding")["containers"][0]["args"]
    assert "--enable-prompt-tokens-details" not in other


def test_the_sidecar_lets_its_class_gateway_in_and_no_one_else(engine: Engine) -> None:
    deploy(engine)
    config = YAML(typ="safe").load(engine.only("ConfigMap").inputs["data"]["config.yaml"])
    assert config["mode"] == "sidecar"
    assert config["class"] == "restricted"
    assert config["allowed_clients"] == ["restricted-gateway.isthmus-restricted.svc"]
    assert config["listen"]["client_ca"] == "/etc/isthmus/tls/ca.crt", "else anyone could speak to it"
    assert config["upstream"] == "http://127.0.0.1:8000"


def test_the_sidecar_outlives_vllm_so_that_answers_are_finished(engine: Engine) -> None:
    sidecar = deploy(engine)["initContainers"][0]
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["command"] == ["python", "-m", "edge", "--config", "/etc/isthmus/config/config.yaml"]


def test_only_the_class_gateway_may_reach_a_model(engine: Engine) -> None:
    deploy(engine)
    spec = engine.only("NetworkPolicy").spec
    assert spec["ingress"] == [
        {
            "from": [
                {
                    "podSelector": {
                        "matchLabels": {"isthmus.dev/role": "gateway", "isthmus.dev/class": "restricted"}
                    }
                }
            ],
            "ports": [{"protocol": "TCP", "port": 8443}],
        },
        {
            "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "ports": [{"protocol": "TCP", "port": 9090}],
        },
    ]


def test_a_model_reaches_nothing_and_asks_no_resolver(engine: Engine) -> None:
    pod = deploy(engine)
    spec = engine.only("NetworkPolicy").spec
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    assert "egress" not in spec, "a model could carry data out"
    assert (pod["dnsPolicy"], pod["dnsConfig"]) == ("None", {"nameservers": ["127.0.0.1"]})


def test_nothing_is_fetched_and_nothing_is_reported(engine: Engine) -> None:
    env = {variable["name"]: variable["value"] for variable in deploy(engine)["containers"][0]["env"]}
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK"):
        assert env[name] == "1", name


def test_shared_memory_is_in_memory_and_bounded(engine: Engine) -> None:
    pod = deploy(engine)
    volume = next(volume for volume in pod["volumes"] if volume["name"] == "shm")
    assert volume["emptyDir"]["medium"] == "Memory"
    assert volume["emptyDir"]["sizeLimit"]
    mounts = {
        volume_mount["mountPath"]: volume_mount["name"]
        for volume_mount in pod["containers"][0]["volumeMounts"]
    }
    assert mounts["/dev/shm"] == "shm"


def test_a_replica_asks_for_the_gpus_of_its_tensor_parallelism(engine: Engine) -> None:
    pod = deploy(engine)
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "4"
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    assert pod["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_a_claim_binds_to_the_named_volume_and_to_no_other(engine: Engine) -> None:
    pod = deploy(engine)
    spec = engine.only("PersistentVolumeClaim").spec
    assert spec["volumeName"] == "weights-llama"
    assert spec["storageClassName"] == "", "another volume could be provisioned in its place"
    assert spec["accessModes"] == ["ReadOnlyMany"]
    assert spec["resources"]["requests"]["storage"] == "150Gi"
    volume = next(volume for volume in pod["volumes"] if volume["name"] == "weights")
    assert volume["persistentVolumeClaim"] == {"claimName": "llama", "readOnly": True}


def test_a_claim_without_a_volume_exists_already(engine: Engine) -> None:
    deploy(engine, weights={"uri": "pvc://llama", "digest": DIGEST})
    assert not engine.all("PersistentVolumeClaim")


def test_weights_from_a_registry_are_an_image_volume_by_digest(engine: Engine) -> None:
    reference = f"{REGISTRY}weights/llama@{DIGEST}"
    pod = deploy(engine, weights={"uri": f"oci://{reference}", "digest": DIGEST})
    volume = next(volume for volume in pod["volumes"] if volume["name"] == "weights")
    assert volume["image"]["reference"] == reference
    assert not engine.all("PersistentVolumeClaim")


@pytest.mark.parametrize("uri", ["gs://bucket/llama", "oci://registry/llama:latest"])
def test_weights_from_elsewhere_or_without_a_digest_are_refused(engine: Engine, uri: str) -> None:
    with pytest.raises(InputError, match="is not a valid location of weights"):
        deploy(engine, weights={"uri": uri, "digest": DIGEST})


def test_the_certificate_is_for_the_service_and_serves_only(engine: Engine) -> None:
    deploy(engine)
    spec = engine.only("Certificate").spec
    assert spec["dnsNames"] == ["llama.isthmus-restricted.svc"]
    assert spec["issuerRef"] == {"name": "bank-llm", "kind": "ClusterIssuer", "group": "cert-manager.io"}
    assert "server auth" in spec["usages"]
    assert "client auth" not in spec["usages"], "a model server calls no one"
    assert spec["privateKey"]["rotationPolicy"] == "Always"


def test_a_named_secret_takes_the_certificates_place(engine: Engine) -> None:
    pod = deploy(engine, certificate_secret="own-tls")
    assert not engine.all("Certificate")
    volume = next(volume for volume in pod["volumes"] if volume["name"] == "tls")
    assert volume["secret"]["secretName"] == "own-tls"


def test_without_issuer_and_secret_there_is_no_server(engine: Engine) -> None:
    arguments = args()
    del arguments["issuer"]
    with pytest.raises(InputError, match="neither a cert-manager issuer nor a Secret"):
        engine.deploy(ModelServer, "m", arguments)


def test_a_full_pool_rolls_without_surge(engine: Engine) -> None:
    deploy(engine)
    rolling = engine.only("Deployment").spec["strategy"]["rollingUpdate"]
    assert rolling == {"maxSurge": 0, "maxUnavailable": 1}


def test_a_pool_that_keeps_gpus_for_it_rolls_with_surge(engine: Engine) -> None:
    deploy(engine, surge=True)
    rolling = engine.only("Deployment").spec["strategy"]["rollingUpdate"]
    assert rolling == {"maxSurge": 1, "maxUnavailable": 0}


def test_waits_are_as_long_as_loading_takes(engine: Engine) -> None:
    pod = deploy(engine, load_timeout_s=3600, replicas=3)
    deployment = engine.only("Deployment")
    probe = pod["containers"][0]["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 3600
    assert deployment.spec["progressDeadlineSeconds"] > 3600
    assert int(deployment.timeouts["create"][:-1]) > 3600
    assert int(deployment.timeouts["update"][:-1]) > 3 * 3600, "replicas are rolled one by one"
    service = engine.only("Service")
    assert int(service.timeouts["create"][:-1]) > 3600, "it is ready when its first pod is"


def test_a_pod_drains_before_it_ends(engine: Engine) -> None:
    pod = deploy(engine)
    assert pod["containers"][0]["lifecycle"]["preStop"] == {"sleep": {"seconds": 15}}
    assert pod["terminationGracePeriodSeconds"] == 60
    assert "--shutdown-timeout=40" in pod["containers"][0]["args"]


def test_a_queued_pod_names_its_queue_and_priority(engine: Engine) -> None:
    deploy(engine, queue="h100", priority_class="h100-restricted")
    deployment = engine.only("Deployment")
    for labels in (deployment.meta["labels"], deployment.spec["template"]["metadata"]["labels"]):
        assert labels["kueue.x-k8s.io/queue-name"] == "h100"
        assert labels["kueue.x-k8s.io/priority-class"] == "h100-restricted"


def test_without_a_queue_no_pod_names_one(engine: Engine) -> None:
    deploy(engine)
    labels = engine.only("Deployment").spec["template"]["metadata"]["labels"]
    assert not [key for key in labels if "kueue" in key]


def test_a_changed_configuration_is_a_new_config_map_so_that_pods_roll(engine: Engine) -> None:
    deploy(engine)
    fresh_engine = Engine()
    deploy(fresh_engine, sensitivity="confidential")
    first, second = engine.only("ConfigMap"), fresh_engine.only("ConfigMap")
    assert first.meta["name"] != second.meta["name"]
    assert first.inputs["immutable"] is True
    volumes = {volume["name"]: volume for volume in engine.only("Deployment").pod["volumes"]}
    assert volumes["config"]["configMap"]["name"] == first.meta["name"]


def test_an_unknown_class_is_refused_with_the_allowed_ones(engine: Engine) -> None:
    with pytest.raises(InputError, match=r"'secret' is not known.*Allowed: public, internal"):
        deploy(engine, sensitivity="secret")


def test_no_pod_monitor_where_prometheus_operator_is_absent(engine: Engine) -> None:
    deploy(engine, pod_monitors=False)
    assert not engine.all("PodMonitor")


def test_cpu_and_memory_grow_with_the_gpus_of_a_replica(engine: Engine) -> None:
    requests = {}
    for gpus in (1, 8):
        engine.made.clear()
        requests[gpus] = deploy(engine, tensor_parallel=gpus)["containers"][0]["resources"]["requests"]
    assert (requests[1]["cpu"], requests[1]["memory"]) == ("8", "64Gi")
    assert (requests[8]["cpu"], requests[8]["memory"]) == ("22", "176Gi")


def test_stated_cpu_and_memory_win_over_the_profile(engine: Engine) -> None:
    requests = deploy(engine, cpu="5", memory="40Gi")["containers"][0]["resources"]["requests"]
    assert (requests["cpu"], requests["memory"]) == ("5", "40Gi")


def test_an_unknown_model_gives_a_warning_that_names_the_settings_to_fill_in(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda text, *_: warned.append(text))
    deploy(engine, model="bank/own-model")
    (warning,) = warned
    for setting in (
        "llama",
        "bank/own-model",
        "tool_call_parser",
        "reasoning_parser",
        "chat_template",
        "cpu",
        "memory",
    ):
        assert setting in warning
    engine.made.clear()
    deploy(engine, model="bank/own-model", tool_call_parser="hermes")
    assert len(warned) == 1, "who states a parser has filled the gap"


def test_a_hung_sidecar_is_started_again_and_not_the_engine_behind_it(engine: Engine) -> None:
    pod = deploy(engine)
    (vllm,), (sidecar,) = pod["containers"], pod["initContainers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert "httpGet" not in vllm[probe], "through the sidecar, its hang would end vLLM"
        assert "'127.0.0.1', 8000" in vllm[probe]["exec"]["command"][2]
        assert sidecar[probe]["httpGet"]["port"] == 9090
    assert sidecar["livenessProbe"]["httpGet"]["path"] == "/live", (
        "it must not end because vLLM is still loading"
    )
    assert sidecar["startupProbe"]["httpGet"]["path"] == "/live", "vLLM starts after it"
    assert sidecar["readinessProbe"]["httpGet"]["path"] == "/health"


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_engine_probe_returns_its_health(engine: Engine, status: int, code: int) -> None:
    import http.server
    import subprocess
    import sys
    import threading

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    program = deploy(engine)["containers"][0]["livenessProbe"]["exec"]["command"][2]
    with http.server.HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        local_program = program.replace("8000", str(server.server_port))
        assert subprocess.run([sys.executable, "-c", local_program], check=False).returncode == code
        server.shutdown()
    assert (
        subprocess.run([sys.executable, "-c", local_program], check=False, capture_output=True).returncode
        != 0
    )


@pytest.mark.parametrize(("streams", "cpu"), [(None, "1"), (256, "1"), (1024, "1"), (64, "450m")])
def test_a_sidecar_has_cpu_for_its_streams(engine: Engine, streams: int | None, cpu: str) -> None:
    more = {"max_num_seqs": streams} if streams else {}
    (sidecar,) = deploy(engine, **more)["initContainers"]
    assert sidecar["resources"]["limits"]["cpu"] == cpu
