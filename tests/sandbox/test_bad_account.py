"""What only the account and the cluster can tell, through `isthmus up` on a real sandbox.

Each case ends with one paragraph before anything is made: AWS's endpoint, the cluster and the state hold what they
held before. The sandbox is not that of the bank's own tests: a quota that is too small would be in their way.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from isthmus.contracts.platform import overrides
from isthmus.contracts.requirements import document as requirements_document
from isthmus.core import yaml_files
from isthmus.core.kubernetes_client import KubeClient
from sandbox import api
from sandbox.environment import inherited_variables
from tests.accounting import aws
from tests.aws_sandbox.authority import DAY, Authority
from tests.blueprints.bank import serving
from tests.sandbox.projects import SPARING

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).resolve().parents[2]
REGION = "eu-central-1"
HAIKU = "Cross-region model inference tokens per minute for Anthropic Claude Haiku 4.5"
HAIKU_ID = "anthropic.claude-haiku-4-5-20251001-v1:0"
SPACE = "/api/v1/namespaces/isthmus-internal"
SUBJECT = "internal-translator.isthmus-internal.svc"


class Account:
    """A sandbox with an account and a cluster, and the project's files to change."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = inherited_variables() | api.environment(home) | SPARING | {"PYTHONPATH": str(ROOT)}
        self.boto = aws.clients(self.env)
        self.cluster = KubeClient.from_kubeconfig(home / "kubeconfig", "fra1")
        self.root = Path()

    def take(self, root: Path) -> None:
        """A new copy of the project's files."""
        shutil.copytree(ROOT / "stacks", root / "stacks", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("Pulumi.yaml", "images.lock.yaml"):
            shutil.copy(ROOT / name, root)
        (root / ".venv").symlink_to(sys.prefix)
        self.root = root

    def file(self, name: str) -> Path:
        return self.root / "stacks" / name

    def override(self, **parts: Any) -> None:
        settings = self.file("Pulumi.bank-dev.yaml")
        data = yaml_files.load(settings).data
        config = data["config"]
        config["isthmus:overrides"] = overrides.merge(config["isthmus:overrides"], parts)
        yaml_files.dump(data, "", settings)

    def edit(self, name: str, pattern: str, by: str) -> None:
        text, count = re.subn(pattern, by, self.file(name).read_text())
        assert count, f"{pattern!r} is not in {name}"
        self.file(name).write_text(text)

    def quota(self, tokens: float) -> None:
        self.put("service-quotas", {"quotas": [{"quotaName": HAIKU, "value": tokens}]})

    def access(self, agreement: str) -> None:
        self.put("bedrock/access", {"modelId": HAIKU_ID, "access": {"agreement": agreement}})

    def put(self, page: str, values: dict[str, Any]) -> None:
        body = {"region": REGION, **values}
        url = f"{self.env['AWS_ENDPOINT_URL']}/isthmus/{page}"
        sent = urllib.request.Request(url, data=json.dumps(body).encode(), method="PUT")
        with urllib.request.urlopen(sent, timeout=10) as answer:
            assert answer.status == 200

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.root, env=self.env, capture_output=True, text=True, check=False, timeout=300
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        command = ("-m", "isthmus", "up", "bank-dev", "--yes", "--project", str(self.root))
        return self.run(sys.executable, *command)

    def held(self) -> dict[str, Any]:
        """Everything of ours, or that could be, at the endpoint and in the cluster."""
        policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
        listed: dict[str, Any] = dict(aws.listed(self.boto))
        listed["namespaces"] = self.cluster.names("/api/v1/namespaces")
        listed["policies"] = self.cluster.names(policies)
        listed["deployments"] = self.cluster.names("/apis/apps/v1/deployments")
        return listed

    def made(self) -> list[str]:
        """What the state holds but for the stack itself and its providers, which make nothing."""
        exported = self.run("pulumi", "stack", "export", "--stack", "bank-dev")
        assert exported.returncode == 0, exported.stderr
        deployment = json.loads(exported.stdout)["deployment"]
        assert not deployment.get("pending_operations")
        return [
            resource["type"]
            for resource in deployment.get("resources") or []
            if resource["type"][:7] != "pulumi:"
        ]


@pytest.fixture(scope="module")
def running(site_home: Path) -> Iterator[Account]:
    api.up(ROOT / "stacks" / "bank-dev.requirements.yaml", home=site_home)
    actual = Account(site_home)
    yield actual
    actual.cluster.close()


@pytest.fixture
def account(running: Account, tmp_path: Path) -> Account:
    root = tmp_path / "project"
    root.mkdir()
    running.take(root)
    running.quota(5_000_000)
    running.access("AVAILABLE")
    return running


# -- what each case changes; the words are those that must be told


def too_small_a_quota(account: Account) -> list[str]:
    account.quota(1000)
    return [
        "the account of frankfurt, eu-central-1: ",
        "needs 2,457,000 tokens a minute of anthropic.claude-haiku-4-5-20251001-v1:0",
        f"the quota `{HAIKU}` is 1,000",
        "Have AWS raise it (Service Quotas), or place the work elsewhere",
    ]


def a_model_whose_terms_nobody_agreed_to(account: Account) -> list[str]:
    account.access("NOT_AVAILABLE")
    return [
        f"endpoints[{serving('policy-assistant').id}].model: ",
        f"the account of frankfurt, {REGION} has not agreed to the terms of {HAIKU_ID}: NOT_AVAILABLE",
        "Have who may subscribe in AWS Marketplace agree to them once",
    ]


def a_model_that_the_region_has_not(account: Account) -> list[str]:
    model = "mistral.mistral-large-2407-v1:0"
    account.edit("bank-dev.requirements.yaml", r"amazon\.nova-lite-v1:0", model)
    digest = requirements_document.load(account.file("bank-dev.requirements.yaml")).digest
    account.edit("bank-dev.plan.yaml", r"requirements_sha256: \w+", f"requirements_sha256: {digest}")
    account.edit(
        "bank-dev.plan.yaml", r"inference_profile: eu\.amazon\.nova-lite-v1:0", "inference_profile: null"
    )
    account.edit("bank-dev.plan.yaml", r"model: amazon\.nova-lite-v1:0", f"model: {model}")
    return [
        "endpoints[public-nova-lite].model: ",
        f"the account has no model {model} in {REGION}",
        "Correct the name, or choose another",
    ]


def a_zone_that_the_account_has_not(account: Account) -> list[str]:
    account.override(networks=[{"name": "frankfurt", "zones": [f"{REGION}a", f"{REGION}d"]}])
    return [
        "networks[frankfurt].zones: ",
        f"the account has no zone `{REGION}d` in {REGION}",
        f"It has: {REGION}a, {REGION}b, {REGION}c",
    ]


def vpc(account: Account, *, public: bool) -> tuple[str, list[str], str]:
    """A VPC of the organisation's, two subnets in two zones, and their route table."""
    ec2 = account.boto("ec2")
    id = ec2.create_vpc(CidrBlock="10.80.0.0/16")["Vpc"]["VpcId"]
    table = ec2.create_route_table(VpcId=id)["RouteTable"]["RouteTableId"]
    subnets = []
    for number, letter in enumerate("ab"):
        subnet = ec2.create_subnet(
            VpcId=id, CidrBlock=f"10.80.{number}.0/24", AvailabilityZone=f"{REGION}{letter}"
        )
        subnets.append(subnet["Subnet"]["SubnetId"])
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnets[-1])
    if public:
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=id)
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    return id, subnets, table


def existing(account: Account, id: str, subnets: list[str], table: str) -> None:
    names = {"mode": "existing", "vpc": id, "subnets": subnets, "route_tables": [table]}
    account.override(networks=[{"name": "frankfurt", **names}])


def a_vpc_without_private_subnets(account: Account) -> list[str]:
    id, subnets, table = vpc(account, public=True)
    existing(account, id, subnets, table)
    return [
        "networks[frankfurt].subnets[0]: ",
        f"subnet {subnets[0]} of VPC {id} is not private: its route table leads to igw-",
        f"{id} has no private subnet: make some in two zones, or name another VPC",
    ]


def subnets_of_another_vpc(account: Account) -> list[str]:
    other, subnets, table = vpc(account, public=False)
    id, own, _ = vpc(account, public=False)
    existing(account, id, subnets, table)
    return [
        "networks[frankfurt].subnets[0]: ",
        f"subnet {subnets[0]} is in {other}, not in {id}",
        f"Name private subnets of {id}: {', '.join(sorted(own))}",
    ]


def a_vpc_that_is_not_there(account: Account) -> list[str]:
    existing(account, "vpc-0123456789abcdef0", ["subnet-0a1", "subnet-0b2"], "rtb-0a1")
    return [
        "networks[frankfurt].vpc: ",
        "the account has no VPC vpc-0123456789abcdef0",
        "Correct the name, or choose another",
    ]


def secret(account: Account, pem: str) -> None:
    """The organisation's certificate for the translator, as its people put it into the namespace."""
    account.cluster.apply(
        SPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "isthmus-internal"}}
    )
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "pki", "namespace": "isthmus-internal"},
        "data": {"tls.crt": base64.b64encode(pem.encode()).decode(), "tls.key": "bm9uZQ=="},
    }
    account.cluster.apply(f"{SPACE}/secrets/pki", body)


def certified(account: Account, authority: Authority) -> None:
    account.override(
        trust=[{"name": "frankfurt", "ca_certificates": authority.pem}],
        identities=[{"name": "internal-frankfurt", "certificate_secret": "pki"}],
    )


def pem_of(authority: Authority, **more: Any) -> str:
    return authority.issue(SUBJECT, **more).certificate.public_bytes(Encoding.PEM).decode()


def a_certificate_of_a_foreign_issuer(account: Account) -> list[str]:
    certified(account, Authority("Bank LLM identities"))
    secret(account, pem_of(Authority("Somebody else")))
    return [
        "site fra1 (Secret isthmus-internal/pki): ",
        "was issued by 'CN=Somebody else', which the trust anchor does not hold: 'CN=Bank LLM identities'",
        "Add the authority that signs it",
    ]


def a_certificate_that_has_ended(account: Account) -> list[str]:
    authority = Authority("Bank LLM identities")
    certified(account, authority)
    secret(account, pem_of(authority, before=3 * DAY, after=-DAY))
    return ["site fra1 (Secret isthmus-internal/pki): ", "ended on ", f"Issue it anew for `{SUBJECT}`"]


CASES: list[tuple[Callable[[Account], list[str]], int]] = [
    (too_small_a_quota, 1),
    (a_model_whose_terms_nobody_agreed_to, 1),
    (a_model_that_the_region_has_not, 2),
    (a_zone_that_the_account_has_not, 2),
    (a_vpc_without_private_subnets, 1),
    (subnets_of_another_vpc, 2),
    (a_vpc_that_is_not_there, 2),
    (a_certificate_of_a_foreign_issuer, 1),
    (a_certificate_that_has_ended, 1),
]

OFTEN = (too_small_a_quota, a_certificate_that_has_ended)
"""In `make test`: one that the account tells, one that the cluster tells."""


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        pytest.param(*case, id=case[0].__name__, marks=() if case[0] in OFTEN else pytest.mark.soak)
        for case in CASES
    ],
)
def test_what_is_wrong_is_told_in_one_paragraph_and_nothing_is_made(
    account: Account, wrong: Callable[[Account], list[str]], code: int
) -> None:
    expected = wrong(account)
    before = account.held()
    done = account.up()
    *_, last = done.stderr.strip().splitlines()
    assert done.returncode == code, done.stderr[-3000:]
    assert done.stdout == ""
    assert last.startswith("isthmus: ")
    for fragment in expected:
        assert fragment in last
    assert done.stderr.count("isthmus: ") == 1, f"more than a paragraph: {done.stderr}"
    assert "Traceback" not in done.stderr
    assert account.held() == before
    assert account.made() == []


def test_a_plain_preview_says_the_same(account: Account) -> None:
    expected = too_small_a_quota(account)
    done = account.run("pulumi", "preview", "--stack", "bank-dev", "--non-interactive")
    assert done.returncode != 0
    told = " ".join((done.stdout + done.stderr).split())
    assert "error: refused: " in told
    for fragment in expected:
        assert fragment in told
    assert "Traceback" not in told


def test_a_certificate_of_the_anchors_authority_is_let_be(account: Account) -> None:
    from isthmus.core.kubernetes_client import KubeClient
    from isthmus.engine.kubernetes import identity_certificates
    from isthmus.engine.project import project as projects

    authority = Authority("Bank LLM identities")
    certified(account, authority)
    secret(account, pem_of(authority))
    platform = projects.find_project(account.root).stack("bank-dev").platform()
    reached = {"fra1": KubeClient.of_context("fra1", account.env)}
    assert identity_certificates.bearers_check(platform, reached) == []


MACHINES = """
import pulumi
from isthmus.contracts.platform.model.platform import Site
from stacks import providers
from stacks.aws_account import account
from stacks.aws_account.client import Asked
from tests.blueprints.bank import requirements_and_plan, serving

_, plan = requirements_and_plan()
kind = {"target": "eks-vllm", "instance_type": pulumi.Config().require("kind")}
machine = serving("policy-assistant").model_copy(update=kind)
site = Site(name="frankfurt", kind="aws", jurisdiction="de", region="eu-central-1")
asked = Asked(site, providers.aws(site, {}, sandbox=True))
account.check_instance_types(asked, plan.model_copy(update={"endpoints": [machine]}))
"""
"""A program that asks for machines alone: no blueprint of this version places models on EKS."""


def test_a_region_without_the_plans_instance_type_is_named(account: Account, tmp_path: Path) -> None:
    account.root = tmp_path
    (tmp_path / "__main__.py").write_text(MACHINES)
    settings = {"name": "machines", "runtime": {"name": "python", "options": {"virtualenv": sys.prefix}}}
    (tmp_path / "Pulumi.yaml").write_text(json.dumps(settings))

    def preview(kind: str) -> subprocess.CompletedProcess[str]:
        kinds = ("-c", f"machines:kind={kind}")
        return account.run("pulumi", "preview", "--non-interactive", "--stack", "t", *kinds)

    created = account.run("pulumi", "stack", "init", "t")
    assert created.returncode == 0, created.stderr
    offered = preview("g6e.12xlarge")
    assert offered.returncode == 0, offered.stdout
    done = preview("p9.48xlarge")
    assert done.returncode != 0
    output = " ".join((done.stdout + done.stderr).split())
    says = f"the plan (endpoints at frankfurt): {REGION} does not offer p9.48xlarge. Fix: Choose another instance type"
    assert f"InputError: {says}" in output
