"""A replica over several machines: who leads, who reaches whom, how the group stands, waits and rolls."""

from typing import Any

import pytest

from components import ModelServer
from components.serving.model_network import addressable_groups
from isthmus.contracts.reference import vllm_flags
from isthmus.core.errors import InputError
from tests.components.conftest import Engine
from tests.components.test_model_server import args

GROUP, MEMBER = "leaderworkerset.sigs.k8s.io/group-index", "leaderworkerset.sigs.k8s.io/worker-index"
CHOSEN = {"app.kubernetes.io/name": "llama", "isthmus.dev/class": "restricted"}
HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
FORCED, PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)


def deploy(engine: Engine, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pod specs of leader and worker."""
    engine.deploy(ModelServer, "m", args(**{"nodes_per_replica": 2, "tensor_parallel": 8, **more}))
    template = engine.only("LeaderWorkerSet").spec["leaderWorkerTemplate"]
    return template["leaderTemplate"]["spec"], template["workerTemplate"]["spec"]


def vllm(pod: dict[str, Any]) -> dict[str, Any]:
    (box,) = pod["containers"]
    return box


def test_a_one_machine_replica_is_a_deployment_and_a_larger_one_a_leader_worker_set(engine: Engine) -> None:
    deploy(engine)
    assert not engine.all("Deployment")
    leader_worker_set = engine.only("LeaderWorkerSet")
    assert leader_worker_set.type == "kubernetes:leaderworkerset.x-k8s.io/v1:LeaderWorkerSet"
    assert leader_worker_set.meta["name"] == "llama-group", "its controller makes a Service of that name"
    assert (leader_worker_set.spec["replicas"], leader_worker_set.spec["leaderWorkerTemplate"]["size"]) == (
        2,
        2,
    )
    fresh_engine = Engine()
    fresh_engine.deploy(ModelServer, "m", args(nodes_per_replica=1))
    assert fresh_engine.only("Deployment")
    assert not fresh_engine.all("LeaderWorkerSet")


def test_tensor_parallel_within_a_machine_pipeline_parallel_over_them(engine: Engine) -> None:
    leader, worker = (vllm(pod)["args"] for pod in deploy(engine, nodes_per_replica=3))
    shared = {
        "--tensor-parallel-size=8",
        "--pipeline-parallel-size=3",
        "--nnodes=3",
        "--master-port=29501",
        "--distributed-executor-backend=mp",
        "--distributed-timeout-seconds=2280",  # twice the startup of a text model on 8 GPUs
    }
    assert shared <= set(leader) & set(worker)
    assert set(leader) - set(worker) == {"--node-rank=0", "--master-addr=$(VLLM_HOST_IP)"}
    assert set(worker) - set(leader) == {"--node-rank=$(MEMBER)", "--master-addr=$(LEADER)", "--headless"}
    flags = [argument.partition("=")[0] for argument in (*leader, *worker) if argument.startswith("--")]
    assert [flag for flag in flags if not vllm_flags.is_known(flag)] == []


def test_a_worker_knows_its_rank_and_its_leader_without_asking_anyone(engine: Engine) -> None:
    pods = deploy(engine)
    addresses = [engine.only("Service", f"m-leader-{group}") for group in range(4)]
    for pod in pods:
        assert (pod["dnsPolicy"], pod["dnsConfig"]) == ("None", {"nameservers": ["127.0.0.1"]})
        assert [alias["hostnames"] for alias in pod["hostAliases"]] == [[f"leader-{n}"] for n in range(4)]
        assert len({alias["ip"] for alias in pod["hostAliases"]}) == 4
    env = {variable["name"]: variable for variable in vllm(pods[1])["env"]}
    assert env["LEADER"]["value"] == "leader-$(GROUP)"
    paths = {name: env[name]["valueFrom"]["fieldRef"]["fieldPath"] for name in ("GROUP", "MEMBER")}
    assert paths == {"GROUP": f"metadata.labels['{GROUP}']", "MEMBER": f"metadata.labels['{MEMBER}']"}
    order = [variable["name"] for variable in vllm(pods[1])["env"]]
    assert order.index("GROUP") < order.index("LEADER"), "a variable sees those before it"
    for group, service in enumerate(addresses):
        assert service.spec["selector"] == {**CHOSEN, GROUP: str(group), MEMBER: "0"}
        assert service.spec["publishNotReadyAddresses"] is True, "they meet before any of them is ready"
        assert service.meta["annotations"]["pulumi.com/waitFor"] == "jsonpath={.spec.clusterIP}"


def test_pods_of_one_machine_talk_over_the_loopback_those_of_several_do_not(engine: Engine) -> None:
    for pod in deploy(engine):
        (variable,) = [variable for variable in vllm(pod)["env"] if variable["name"] == "VLLM_HOST_IP"]
        assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"


def test_the_gateway_reaches_the_leader_only_and_so_does_its_service(engine: Engine) -> None:
    deploy(engine)
    leads = {**CHOSEN, MEMBER: "0"}
    assert engine.only("NetworkPolicy", "m-network").spec["podSelector"] == {"matchLabels": leads}
    assert engine.only("Service", "m-service").spec["selector"] == leads
    assert engine.only("PodMonitor").spec["selector"]["matchLabels"] == leads


def test_pods_of_a_group_reach_each_other_on_named_ports_and_nobody_else(engine: Engine) -> None:
    deploy(engine)
    policies = {
        network_policy.meta["name"]: network_policy.spec for network_policy in engine.all("NetworkPolicy")
    }
    assert set(policies) == {"llama", "llama-group-0", "llama-group-1"}
    for group in (0, 1):
        members = {"podSelector": {"matchLabels": {**CHOSEN, GROUP: str(group)}}}
        spec = policies[f"llama-group-{group}"]
        assert spec["podSelector"] == members["podSelector"]
        assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
        (into,), (out,) = spec["ingress"], spec["egress"]
        assert into["from"] == out["to"] == [members]
        ports = [{"protocol": "TCP", "port": 29501}, {"protocol": "TCP", "port": 40000, "endPort": 40999}]
        assert into["ports"] == out["ports"] == ports
    assert "egress" not in policies["llama"]


def test_sockets_that_take_any_port_take_one_that_the_policy_names(engine: Engine) -> None:
    for pod in deploy(engine):
        assert pod["securityContext"]["sysctls"] == [
            {"name": "net.ipv4.ip_local_port_range", "value": "40000 40999"}
        ]
        assert pod["securityContext"]["runAsNonRoot"] is True


def test_every_pod_of_a_group_has_gpus_and_weights_only_the_leader_the_sidecar(engine: Engine) -> None:
    leader, worker = deploy(engine)
    for pod in (leader, worker):
        assert vllm(pod)["resources"]["limits"]["nvidia.com/gpu"] == "8"
        assert vllm(pod)["resources"]["requests"] == vllm(pod)["resources"]["limits"]
        mounts = {volume_mount["mountPath"]: volume_mount for volume_mount in vllm(pod)["volumeMounts"]}
        assert mounts["/models"]["readOnly"] is True
        assert {volume_mount["name"] for volume_mount in vllm(pod)["volumeMounts"]} <= {
            volume["name"] for volume in pod["volumes"]
        }
        assert pod["automountServiceAccountToken"] is False
        assert pod["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert [box["name"] for box in leader["initContainers"]] == ["edge"]
    assert "initContainers" not in worker
    assert {volume["name"] for volume in worker["volumes"]} == {"weights", "cache", "scratch", "shm"}, (
        "no certificate lies where nobody needs it"
    )


def test_every_pod_has_the_digest_of_its_weights(engine: Engine) -> None:
    deploy(engine)
    template = engine.only("LeaderWorkerSet").spec["leaderWorkerTemplate"]
    for part in ("leaderTemplate", "workerTemplate"):
        annotations = template[part]["metadata"]["annotations"]
        assert annotations["isthmus.dev/weights-digest"] == args()["weights"]["digest"]


def test_a_worker_outlasts_the_leaders_drain(engine: Engine) -> None:
    leader, worker = deploy(engine)
    assert vllm(leader)["lifecycle"]["preStop"] == {"sleep": {"seconds": 15}}
    assert vllm(worker)["lifecycle"]["preStop"] == {"sleep": {"seconds": 15 + 40}}
    assert worker["terminationGracePeriodSeconds"] == 60


def test_a_worker_is_asked_whether_it_reaches_its_leader(engine: Engine) -> None:
    leader, worker = deploy(engine, load_timeout_s=3600)
    assert "'/health'" in vllm(leader)["readinessProbe"]["exec"]["command"][2]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        python, flag, code = vllm(worker)[probe]["exec"]["command"]
        assert (python, flag) == ("python3", "-c")
        compile(code, "probe", "exec")
        assert "29501" in code
    start = vllm(worker)["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= 3600


def test_the_probe_result_is_correct(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    code = vllm(deploy(engine)[1])["livenessProbe"]["exec"]["command"][2]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("LEADER", "127.0.0.1")
        exec(code.replace("29501", str(port)), {})  # noqa: S102 (the probe itself)
    with pytest.raises(ConnectionRefusedError):
        exec(code.replace("29501", str(port)), {})  # noqa: S102


def test_a_pod_that_starts_again_takes_its_group_with_it(engine: Engine) -> None:
    deploy(engine)
    assert engine.only("LeaderWorkerSet").spec["leaderWorkerTemplate"]["restartPolicy"] == (
        "RecreateGroupOnPodRestart"
    )


def test_kueue_admits_a_group_whole_by_the_sets_own_labels(engine: Engine) -> None:
    deploy(engine, queue="h100", priority_class="h100-restricted")
    leader_worker_set = engine.only("LeaderWorkerSet")
    assert leader_worker_set.meta["labels"]["kueue.x-k8s.io/queue-name"] == "h100"
    assert leader_worker_set.meta["labels"]["kueue.x-k8s.io/priority-class"] == "h100-restricted"
    for part in ("leaderTemplate", "workerTemplate"):
        labels = leader_worker_set.spec["leaderWorkerTemplate"][part]["metadata"]["labels"]
        assert not [key for key in labels if "kueue" in key], "a pod of its own would be admitted alone"


@pytest.mark.parametrize(
    ("surge", "rolling"),
    [(False, {"maxSurge": 0, "maxUnavailable": 1}), (True, {"maxSurge": 1, "maxUnavailable": 0})],
)
def test_groups_roll_one_by_one(engine: Engine, surge: bool, rolling: dict[str, int]) -> None:
    deploy(engine, surge=surge)
    assert engine.only("LeaderWorkerSet").spec["rolloutStrategy"]["rollingUpdateConfiguration"] == rolling
    policies = {network_policy.meta["name"] for network_policy in engine.all("NetworkPolicy")}
    assert ("llama-group-2" in policies) == surge, "the group that is there while it rolls"


def test_an_eviction_takes_one_group_at_most(engine: Engine) -> None:
    deploy(engine)
    pod_disruption_budget = engine.only("PodDisruptionBudget")
    assert pod_disruption_budget.spec["maxUnavailable"] == 1
    match_labels = pod_disruption_budget.spec["selector"]["matchLabels"]
    assert MEMBER not in match_labels, "a worker's eviction ends its group as a leader's does"
    for part in ("leaderTemplate", "workerTemplate"):
        labels = engine.only("LeaderWorkerSet").spec["leaderWorkerTemplate"][part]["metadata"]["labels"]
        assert match_labels.items() <= labels.items()


def test_up_waits_for_every_pod_of_the_new_templates(engine: Engine) -> None:
    deploy(engine, replicas=3)
    assert engine.only("LeaderWorkerSet").meta["annotations"]["pulumi.com/waitFor"] == "condition=Available"
    budget = engine.only("PodDisruptionBudget")
    assert budget.meta["annotations"]["pulumi.com/waitFor"] == "jsonpath={.status.currentHealthy}=6"
    assert "m-server" in budget.depends_on
    assert int(budget.timeouts["create"][:-1]) > 3 * 1800, "groups are rolled one by one"
    fresh_engine = Engine()
    deploy(fresh_engine, replicas=3, max_model_len=4096)
    assert fresh_engine.only("PodDisruptionBudget").meta["name"] != budget.meta["name"], (
        "else an old one would do"
    )


def test_adding_a_group_changes_no_running_pod(engine: Engine) -> None:
    before = deploy(engine)
    fresh_engine = Engine()
    after = deploy(fresh_engine, replicas=3)
    assert after == before
    assert [addressable_groups(groups) for groups in (1, 3, 4, 7, 8)] == [4, 4, 8, 8, 16]


def apart(pod: dict[str, Any]) -> dict[str, Any]:
    (term,) = pod["affinity"]["podAntiAffinity"][FORCED]
    return term


@pytest.mark.parametrize("survive", ["none", "replica", "node", "domain"])
def test_no_two_pods_of_a_group_share_a_machine(engine: Engine, survive: str) -> None:
    for pod in deploy(engine, survive=survive, failure_domains=2):
        assert apart(pod) == {
            "labelSelector": {"matchLabels": CHOSEN},
            "matchLabelKeys": [GROUP],
            "topologyKey": HOST,
        }


def test_leaders_are_spread_over_zones_and_workers_bound_to_theirs(engine: Engine) -> None:
    leader, worker = deploy(engine, survive="domain", failure_domains=2)
    (spread,) = leader["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"], spread["minDomains"]) == (
        ZONE,
        "DoNotSchedule",
        2,
    )
    assert spread["labelSelector"]["matchLabels"] == {**CHOSEN, MEMBER: "0"}, "groups count, not pods"
    assert "topologySpreadConstraints" not in worker
    assert "podAffinity" not in leader["affinity"], "a worker that came first would decide for it"
    (term,) = worker["affinity"]["podAffinity"][FORCED]
    assert term["topologyKey"] == ZONE
    assert term["matchLabelKeys"] == [GROUP]
    assert term["labelSelector"]["matchLabels"] == {**CHOSEN, MEMBER: "0"}


def test_groups_that_outlive_a_node_share_no_machine_where_two_are_enough(engine: Engine) -> None:
    leader, worker = deploy(engine, survive="node", failure_domains=2)
    for pod in (leader, worker):
        spread = next(
            topology_spread_constraint
            for topology_spread_constraint in pod["topologySpreadConstraints"]
            if topology_spread_constraint["topologyKey"] == HOST
        )
        assert (spread["whenUnsatisfiable"], spread["minDomains"]) == ("DoNotSchedule", 4)
        assert spread["labelSelector"]["matchLabels"] == CHOSEN
    (term,) = worker["affinity"]["podAffinity"][PREFERRED]
    assert term["podAffinityTerm"]["topologyKey"] == ZONE


def test_old_and_new_groups_count_together_unless_rolled_with_surge(engine: Engine) -> None:
    leader, _ = deploy(engine, survive="domain", failure_domains=2)
    assert "matchLabelKeys" not in leader["topologySpreadConstraints"][0]
    fresh_engine = Engine()
    leader, _ = deploy(fresh_engine, survive="domain", failure_domains=2, surge=True)
    assert leader["topologySpreadConstraints"][0]["matchLabelKeys"] == [
        "leaderworkerset.sigs.k8s.io/template-revision-hash"
    ]


def test_a_replica_over_no_machine_is_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match=r"llama\.nodes_per_replica"):
        engine.deploy(ModelServer, "m", args(nodes_per_replica=0))


@pytest.mark.parametrize(
    "flag", ["--nnodes=2", "--pipeline-parallel-size=2", "--headless", "--master_port=1"]
)
def test_how_a_group_meets_is_not_for_engine_args(engine: Engine, flag: str) -> None:
    with pytest.raises(InputError, match="may not be set in engine_args"):
        deploy(engine, engine_args=[flag])
