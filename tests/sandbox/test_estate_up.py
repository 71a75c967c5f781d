"""An estate of four stacks, from nothing to nothing: side by side, a model's release, what is refused. With people, a
router and its picker, weights that a job fetches, and a model on SageMaker.

The real engine, backend, provider and API server. One estate, brought up once; the tests run in the order of the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from isthmus.core.kubernetes_client import KubeClient
from sandbox import api
from tests.accounting import aws, cluster
from tests.estate import ESTATE, FETCHED, HOSTED, LAYERS, change_overrides, small_estate, with_more
from tests.sandbox import projects
from tests.sandbox.projects import Project, standing
from tests.sandbox.waiting import eventually

pytestmark = pytest.mark.sandbox

FOUNDATION, PLATFORM, INVESTIGATIONS, ONBOARDING = LAYERS
MODEL = "restricted-qwen3-32b"
NETWORK = ("NetworkPolicy", "Service", "Vpc", "Subnet", "Route", "SecurityGroup", "VpcEndpoint", "Gateway")


class Up(Project):
    """The estate in a project folder and a sandbox of its own."""

    def __init__(self, root: Path, home: Path) -> None:
        super().__init__(root, ESTATE)
        self.project = with_more(small_estate(root))
        api.up(self.project.stacks_dir / f"{ESTATE}.requirements.yaml", home=home)
        self.env |= api.environment(home) | {"ISTHMUS_HOME": str(home)}
        # A table is as wide as the terminal: addresses whole.
        self.env["COLUMNS"] = "200"
        self.cluster = KubeClient.from_kubeconfig(home / "kubeconfig", "fra1")
        self.aws = aws.clients(self.env)
        self.before = aws.listed(self.aws)
        shared_volume(self.cluster)
        self.said = self.up()

    def in_aws(self) -> dict[str, set[str]]:
        listed = aws.listed(self.aws)
        return {kind: ids - self.before.get(kind, set()) for kind, ids in listed.items()}

    def kept_in(self, stack: str) -> set[str]:
        """Kind and name of what a stack's state holds."""
        return {
            f"{resource['type'].rpartition(':')[2]} {resource['urn'].rpartition('::')[2]}"
            for resource in self.state(stack)
        }

    def says(self, stack: str) -> dict[str, Any]:
        """What a layer says of itself."""
        (root,) = [resource for resource in self.state(stack) if resource["type"] == "pulumi:pulumi:Stack"]
        return root["outputs"]["layer"]

    def pods(self, endpoint: str) -> list[dict[str, Any]]:
        return projects.pods(self.cluster, f"isthmus.dev/endpoint={endpoint}")

    def close(self) -> None:
        self.cluster.close()


def shared_volume(client: KubeClient) -> None:
    """What a provisioner of shared volumes would have made."""
    spec = {
        **{"capacity": {"storage": "1Ti"}, "accessModes": ["ReadWriteMany"], "storageClassName": "shared"},
        **{"hostPath": {"path": "/shared"}, "persistentVolumeReclaimPolicy": "Retain"},
    }
    client.create("/api/v1/persistentvolumes", {"metadata": {"name": "shared"}, "spec": spec})


@pytest.fixture(scope="module")
def estate(toolchain: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with standing(Up, tmp_path_factory.mktemp("estate")) as new_up:
        yield new_up


def test_the_layers_came_up_in_their_order_and_the_teams_stacks_side_by_side(estate: Up):
    lines = [line.split() for line in estate.said.splitlines()]
    order = [(line[0], line[1]) for line in lines if len(line) == 2 and line[1] in ("begins", "done")]
    assert order[:4] == [
        *((FOUNDATION, "begins"), (FOUNDATION, "done")),
        *((PLATFORM, "begins"), (PLATFORM, "done")),
    ]
    assert {stack for stack, _ in order[4:6]} == {INVESTIGATIONS, ONBOARDING}
    assert [what for _, what in order[4:]] == ["begins", "begins", "done", "done"]
    assert "The platform bank is up." in estate.said
    assert "https://restricted-gateway.isthmus-restricted.svc:8443" in estate.said


def test_a_gateway_that_asks_no_dns_knows_the_address_that_the_platform_gave_its_model(estate: Up):
    namespace = "isthmus-restricted"
    address = estate.cluster.get(f"/api/v1/namespaces/{namespace}/services/{MODEL}")["spec"]["clusterIP"]
    gateway = estate.cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/restricted-gateway")
    known = {
        name: alias["ip"]
        for alias in gateway["spec"]["template"]["spec"]["hostAliases"]
        for name in alias["hostnames"]
    }
    # Beside it its database alone, which the bank names with its address.
    assert known == {
        f"{MODEL}.{namespace}.svc": address,
        "postgres-restricted.fra1.bank.example": "10.40.0.21",
    }
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    actual = f"{slices}?labelSelector=kubernetes.io/service-name={MODEL}"

    def targets() -> int:
        return sum(len(entry.get("endpoints") or []) for entry in estate.cluster.get(actual)["items"])

    assert eventually(targets, lambda count: count == 6) == 6, "the serving stack's pods answer there"


def test_weights_came_by_a_way_that_the_platform_opened_and_by_a_job_of_the_stack_that_serves(estate: Up):
    assert f"NetworkPolicy bank-{FETCHED}-fetch-network" in estate.kept_in(PLATFORM)
    assert f"Job bank-{FETCHED}-fetch" in estate.kept_in(ONBOARDING)
    (job,) = estate.cluster.get("/apis/batch/v1/namespaces/isthmus-confidential/jobs")["items"]
    assert job["status"]["completionTime"]
    rule = f"/apis/networking.k8s.io/v1/namespaces/isthmus-confidential/networkpolicies/{FETCHED}-fetch"
    selector = estate.cluster.get(rule)["spec"]["podSelector"]["matchLabels"]
    assert selector.items() <= job["spec"]["template"]["metadata"]["labels"].items()


def test_a_router_finds_the_pool_that_the_platform_made_and_the_pods_that_the_teams_stack_runs(estate: Up):
    namespace_path = "/namespaces/isthmus-confidential/"
    actual = {
        f"InferencePool bank-{FETCHED}-pool",
        "HTTPRoute bank-fra1-confidential-gateway-router-kyc-extraction",
    }
    assert actual <= estate.kept_in(PLATFORM)
    pool = estate.cluster.get(f"/apis/inference.networking.k8s.io/v1{namespace_path}inferencepools/{FETCHED}")
    selector = pool["spec"]["selector"]["matchLabels"]
    pods = [pod for pod in estate.pods(FETCHED) if selector.items() <= pod["metadata"]["labels"].items()]
    assert len(pods) == 2


def test_auditors_read_the_store_that_the_foundation_seals(estate: Up):
    sealed = estate.says(FOUNDATION)["records"]["frankfurt"]
    iam = estate.aws("iam")
    (role,) = [role["RoleName"] for role in iam.list_roles()["Roles"] if "people-auditor" in role["RoleName"]]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = json.dumps(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])
    assert sealed["bucket"] in document
    assert sealed["key"] in document
    assert "RoleBinding bank-fra1-people-confidential-model-owner-binding" in estate.kept_in(PLATFORM)


def test_a_model_on_sagemaker_has_the_names_by_which_the_platform_lets_it_in(estate: Up):
    names = estate.says(PLATFORM)["hosted"][HOSTED]
    assert f"Endpoint bank-{HOSTED}-endpoint" in estate.kept_in(ONBOARDING)
    created = estate.aws("sagemaker").describe_endpoint(EndpointName=names["endpoint"])
    assert created["EndpointStatus"] == "InService"
    (door,) = [
        vpc_endpoint
        for vpc_endpoint in estate.aws("ec2").describe_vpc_endpoints()["VpcEndpoints"]
        if vpc_endpoint["ServiceName"].endswith(".s3")
    ]
    role = estate.aws("iam").get_role(RoleName=names["role"])["Role"]["Arn"]
    assert role in door["PolicyDocument"]
    configs = estate.cluster.get("/api/v1/namespaces/isthmus-internal/configmaps")["items"]
    assert [config for config in configs if names["endpoint"] in json.dumps(config.get("data"))], (
        "its translator's"
    )


def test_a_models_release_is_one_change_of_its_own_stack_and_touches_no_network(estate: Up):
    def release(overrides: dict[str, Any]) -> None:
        (model,) = [endpoint for endpoint in overrides["endpoints"] if endpoint["id"] == MODEL]
        model |= {"max_num_seqs": 32, "engine_args": ["--enable-prefix-caching"]}
        for endpoint in overrides["endpoints"]:
            if endpoint["id"] in (FETCHED, HOSTED):
                endpoint["weights"]["digest"] = "sha256:" + "e" * 64

    change_overrides(estate.project, release)
    before = {pod["metadata"]["uid"] for pod in estate.pods(MODEL)}
    hosted = estate.says(PLATFORM)["hosted"][HOSTED]["endpoint"]
    config = estate.aws("sagemaker").describe_endpoint(EndpointName=hosted)["EndpointConfigName"]
    output = estate.must("up", INVESTIGATIONS, ONBOARDING, "--yes")
    assert "1 updated, 6 unchanged" in output
    changes = re.findall(r"\b(created|updated|deleted|replaced) ([A-Z]\w+) (bank-\S+)", output)
    assert {change for change in changes if MODEL in change[2]} == {
        ("updated", "Deployment", f"bank-{MODEL}-server")
    }
    assert not [change for change in changes if change[1].endswith(NETWORK)]
    assert estate.aws("sagemaker").describe_endpoint(EndpointName=hosted)["EndpointConfigName"] != config
    pods = estate.pods(MODEL)
    assert len(pods) == 6
    assert not before & {pod["metadata"]["uid"] for pod in pods}
    assert all("--max-num-seqs=32" in pod["spec"]["containers"][0]["args"] for pod in pods)


@pytest.mark.soak
def test_two_stacks_are_built_as_a_preview_of_both_was_approved(estate: Up):
    def more(overrides: dict[str, Any]) -> None:
        (model,) = [endpoint for endpoint in overrides["endpoints"] if endpoint["id"] == MODEL]
        model["max_num_seqs"] = 48

    change_overrides(estate.project, more)
    assert "1 updated, 6 unchanged" in estate.up_as_approved(INVESTIGATIONS, ONBOARDING)


@pytest.mark.soak
def test_the_layers_below_a_release_have_nothing_to_change(estate: Up):
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda stack: estate.unchanged(stack=stack), (FOUNDATION, PLATFORM)))


def test_a_stack_is_refused_while_the_layer_below_stands_as_another_plan_says(estate: Up):
    def more(overrides: dict[str, Any]) -> None:
        overrides["endpoints"][0]["cpu"] = "9"

    kept_as = (estate.project.stacks_dir / f"{ESTATE}.overrides.yaml").read_text()
    change_overrides(estate.project, more)
    done = estate.pulumi("preview", stack=INVESTIGATIONS)
    (estate.project.stacks_dir / f"{ESTATE}.overrides.yaml").write_text(kept_as)
    assert done.returncode != 0
    assert "layer platform of estate bank was deployed from another plan or other overrides" in done.stdout


def test_a_plan_that_moves_a_model_is_refused_with_its_price_before_any_stack_is_touched(estate: Up):
    file = estate.project.stacks_dir / f"{ESTATE}.plan.yaml"
    kept_as = file.read_text()
    text = kept_as.replace(MODEL, f"{MODEL}-b")
    file.write_text(text)
    change_overrides(estate.project, lambda data: data["endpoints"][0].update(id=f"{MODEL}-b"))
    done = estate.isthmus("up", ESTATE, "--yes")
    file.write_text(kept_as)
    change_overrides(estate.project, lambda data: data["endpoints"][0].update(id=MODEL))
    assert done.returncode == 1, done.stderr
    assert f"the plan removes {MODEL} from {INVESTIGATIONS}" in done.stderr
    assert "transaction-narratives would get no answers" in done.stderr
    assert "begins" not in done.stderr


def test_a_layer_is_not_taken_from_under_another(estate: Up):
    done = estate.isthmus("destroy", PLATFORM, "--yes")
    assert done.returncode == 1, done.stderr
    assert f"stack {INVESTIGATIONS} depends on it and still has 7 resources" in done.stderr


def test_destroy_goes_down_from_the_highest_layer_and_leaves_what_it_names(estate: Up):
    assert estate.in_aws()["aws:ec2/vpc:Vpc"]
    output = estate.must("destroy", ESTATE, "--yes")
    ends = [line.split()[0] for line in output.splitlines() if line.split()[1:] == ["done"]]
    assert set(ends[:2]) == {INVESTIGATIONS, ONBOARDING}
    assert ends[2:] == [PLATFORM, FOUNDATION]
    assert eventually(lambda: cluster.objects(estate.cluster), lambda objects: not objects) == set()
    left = {kind for kind, ids in estate.in_aws().items() if ids}
    assert left == set(), "a stack of the sandbox is disposable"
    for stack in LAYERS:
        assert estate.held(stack) == []
    refused = estate.pulumi("preview", stack=PLATFORM)
    assert refused.returncode != 0
    assert "layer foundation of estate bank has not been deployed" in refused.stdout
