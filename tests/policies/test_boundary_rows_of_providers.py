"""Ways around a class's boundary by another provider, another option or a second definition: each stops the change."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks
from pulumi.runtime.stack import run_pulumi_func
from pulumi.runtime.sync_await import _sync_await

from isthmus.contracts.reports.findings import Finding
from isthmus.contracts.trust import Trust
from isthmus.engine.pull_request.relaxed_rules import program_changes
from isthmus.engine.render.recorder import Placeholders, Recorder, Resource
from policies.data_path.known_types import COMPONENTS
from policies.evaluation.evaluation import blocking_findings, judge
from policies.evaluation.settings import load_settings
from tests.blueprints.bank import platform, rendered
from tests.policies.boundary_rows import TODAY, kube, other, stops, trusting
from tests.policies.making import resource_of

pytestmark = pytest.mark.whole

PROVIDER, AWS = "pulumi:providers:kubernetes", "pulumi:providers:aws"
PROVIDERS, DEFINITIONS = "data-path/known-providers", "data-path/one-definition"
DENY = {"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}


def provider(name: str = "again", **inputs: Any) -> Resource:
    """Another provider of a cluster; by default with the site's context and kubeconfig."""
    return resource_of(PROVIDER, name, {"kubeconfig": "${KUBECONFIG}", "context": "fra1", **inputs})


def by(resource: Resource, owner: Resource) -> Resource:
    """The resource, made by that provider."""
    return replace(resource, provider=owner.urn)


def bank_object(name: str) -> Resource:
    return next(resource for resource in rendered().resources if resource.name == name)


def again(name: str, owner: Resource, **changes: Any) -> Resource:
    """An object of the bank, defined a second time by another provider, with another spec."""
    original = bank_object(name)
    inputs = {**copy.deepcopy(original.inputs), **changes}
    return replace(
        original, urn=f"{original.urn}-again", name=f"again-{name}", inputs=inputs, provider=owner.urn
    )


def found(policy: str, findings: list[Finding]) -> set[tuple[str, str]]:
    return {(finding.severity, finding.verdict) for finding in findings if finding.policy == policy}


def with_inputs(kind: str, **inputs: Any) -> list[Finding]:
    """The findings about providers where the site's provider of this type has other inputs."""
    resources = [
        replace(
            resource, inputs={key: value for key, value in {**resource.inputs, **inputs}.items() if value}
        )
        if resource.type == kind
        else resource
        for resource in rendered().resources
    ]
    return [
        finding
        for finding in blocking_findings(judge(resources, platform(), today=TODAY))
        if finding.policy == PROVIDERS
    ]


def guard(end: str) -> str:
    """Name of an admission object of the bank."""
    return next(resource.name for resource in rendered().resources if resource.type.endswith(end))


OWNERS = {
    "same-context": provider(),
    "another-context": provider(context="elsewhere"),
    "own-kubeconfig": provider(kubeconfig="apiVersion: v1\nclusters: []"),
    "another-cluster-of-it": provider(cluster="elsewhere"),
}
SECOND = {
    "default-deny": ("bank-fra1-restricted-default-deny", {"spec": {**DENY["spec"], "egress": [{}]}}),
    "binding": (guard(":ValidatingAdmissionPolicyBinding"), {"spec": {"validationActions": ["Audit"]}}),
    "policy": (guard(":ValidatingAdmissionPolicy"), {"spec": {"validations": [{"expression": "true"}]}}),
    "reviewers": ("bank-fra1-restricted-reviews-config", {"data": {"config.yaml": "reviewers: []"}}),
}


@pytest.mark.parametrize(("row", "owner"), list(zip(SECOND, OWNERS, strict=True)))
def test_a_second_definition_by_another_provider_is_critical(row: str, owner: str):
    name, changes = SECOND[row]
    added = again(name, OWNERS[owner], **changes)
    findings = stops(OWNERS[owner], added)
    assert found(DEFINITIONS, findings) == {("critical", "violated")}
    [message] = [finding.message for finding in findings if finding.policy == DEFINITIONS]
    assert name in message
    assert added.name in message


def test_a_second_definition_by_the_engines_own_provider_is_critical():
    name, changes = SECOND["default-deny"]
    default = replace(provider("default_4_23_0"), inputs={})
    findings = stops(again(name, default, **changes))
    assert found(DEFINITIONS, findings) == {("critical", "violated")}


@pytest.mark.parametrize("owner", OWNERS, ids=list(OWNERS))
def test_a_provider_of_a_cluster_that_no_site_has_is_undecided(owner: str):
    expected = set() if owner == "same-context" else {("critical", "undecided")}
    assert found(PROVIDERS, stops(OWNERS[owner])) == expected


def test_objects_of_another_cluster_are_judged_as_if_they_were_in_each():
    spec = {**DENY["spec"], "egress": [{}]}
    added = by(kube("networking.k8s.io/v1:NetworkPolicy", "open", spec=spec), OWNERS["another-context"])
    assert {finding.resource for finding in stops(OWNERS["another-context"], added)} >= {"open", "again"}


def test_two_objects_of_one_name_in_two_namespaces_are_two_objects():
    first, second = (
        kube("core/v1:ConfigMap", "settings", namespace, data={"a": "b"}) for namespace in ("one", "two")
    )
    assert found(DEFINITIONS, stops(first, replace(second, urn=f"{second.urn}-2", name="second"))) == set()


CLUSTER = {
    "context": {"context": "elsewhere"},
    "no-context": {"context": None},
    "kubeconfig": {"kubeconfig": '{"clusters": []}'},
    "kubeconfig-of-the-repository": {"kubeconfig": "stacks/kubeconfig"},
    "identifier": {"clusterIdentifier": "elsewhere"},
    "cluster": {"cluster": "elsewhere"},
    "files": {"renderYamlToDirectory": "out"},
}
ACCOUNT = {
    "endpoints": {"endpoints": '[{"s3": "https://evil.example"}]'},
    "region": {"region": "us-east-1"},
    "accounts": {"allowedAccountIds": '["999988887777"]'},
    "role": {"assumeRoles": '[{"roleArn": "arn:aws:iam::999988887777:role/x"}]'},
    "profile": {"profile": "evil"},
    "proxy": {"httpsProxy": "http://evil.example:3128"},
    "any-certificate": {"insecure": "true"},
}


@pytest.mark.parametrize("row", CLUSTER, ids=list(CLUSTER))
def test_a_sites_provider_that_leads_to_another_cluster_is_critical(row: str):
    assert found(PROVIDERS, with_inputs(PROVIDER, **CLUSTER[row])) == {("critical", "violated")}


@pytest.mark.parametrize("row", ACCOUNT, ids=list(ACCOUNT))
def test_a_sites_provider_that_leads_to_another_account_is_critical(row: str):
    assert found(PROVIDERS, with_inputs(AWS, **ACCOUNT[row])) == {("critical", "violated")}


def test_an_input_of_a_sites_provider_that_nobody_knows_is_undecided():
    assert found(PROVIDERS, with_inputs(AWS, newInput="x")) == {("critical", "undecided")}
    assert found(PROVIDERS, with_inputs(PROVIDER, newInput="x")) == {("critical", "undecided")}


def test_keys_in_a_program_of_a_durable_platform_with_an_account_are_undecided():
    sites = [
        site.model_copy(update={"account_id": "111122223333"}) if site.kind == "aws" else site
        for site in platform().sites
    ]
    durable = platform().model_copy(update={"lifecycle": "durable", "sites": sites})
    findings = judge(rendered().resources, durable, today=TODAY)
    assert ("critical", "undecided") in found(PROVIDERS, findings)


def test_a_path_of_a_kubeconfig_is_the_sites_cluster():
    assert with_inputs(PROVIDER, kubeconfig="/home/ana/.kube/config") == []


OPTIONS = "data-path/known-options"


def with_option(name: str, **options: Any) -> list[Finding]:
    """The findings about options where a resource of the bank has these."""
    resources = [
        replace(resource, options={**resource.options, **options}) if resource.name == name else resource
        for resource in rendered().resources
    ]
    findings = blocking_findings(judge(resources, platform(), today=TODAY))
    return [finding for finding in findings if finding.policy == OPTIONS]


@pytest.mark.parametrize(
    "name",
    [
        "bank-fra1-restricted-default-deny",
        "bank-fra1-restricted-reviews-config",
        guard(":ValidatingAdmissionPolicyBinding"),
        guard("aws:iam/rolePolicy:RolePolicy"),
    ],
)
def test_a_guard_of_which_changes_are_ignored_is_critical(name: str):
    assert found(OPTIONS, with_option(name, ignoreChanges=["spec"])) == {("critical", "violated")}


def test_ignored_replicas_and_kept_resources_pass():
    name = "bank-fra1-restricted-gateway-server"
    assert with_option(name, ignoreChanges=["spec.replicas"], protect=True, retainOnDelete=True) == []


def test_a_plugin_from_elsewhere_is_undecided_unless_its_type_is_trusted():
    added = replace(
        kube("core/v1:ConfigMap", "settings", "team"), options={"pluginDownloadURL": "https://evil.example"}
    )
    owner = resource_of(PROVIDER, "again", {"pluginDownloadURL": "https://evil.example"})
    findings = stops(added, owner)
    assert found(OPTIONS, findings) == {("critical", "undecided")}
    assert {finding.resource for finding in findings if finding.policy == OPTIONS} == {"settings", "again"}
    trusted = stops(added, settings=trusting(added.type))
    assert found(OPTIONS, trusted) == set()


def test_a_plugin_from_elsewhere_is_recorded():
    recorder = Recorder()

    def program() -> None:
        opts = pulumi.ResourceOptions(plugin_download_url="https://evil.example")
        pulumi.CustomResource("random:index/randomId:RandomId", "id", {}, opts)
        pulumi.CustomResource("random:index/randomId:RandomId", "plain", {})

    mocks.set_mocks(Placeholders(), project="isthmus", stack="test", preview=False, monitor=recorder)
    _sync_await(run_pulumi_func(program))
    options = {resource.name: resource.options for resource in recorder.recording.resources.values()}
    assert options == {"id": {"pluginDownloadURL": "https://evil.example"}, "plain": {}}


NAMED = {
    "random": other("random:evil:Thing"),
    "tls": other("tls:index/evil:Evil"),
    "isthmus": other("isthmus:index:Evil"),
    "a-component-as-a-resource": other("isthmus:index:Network"),
    "pulumi": other("pulumi:pulumi:Evil"),
    "component": replace(other("isthmus:index:Evil"), custom=False),
}


def test_a_type_with_the_name_of_a_known_package_is_undecided_if_the_package_lacks_it():
    added = [replace(row, urn=f"{row.urn}-{name}", name=name) for name, row in NAMED.items()]
    findings = [finding for finding in stops(*added) if finding.policy == "data-path/known-kinds"]
    assert {(finding.resource, finding.verdict) for finding in findings} == {
        (name, "undecided") for name in NAMED
    }


def test_every_component_of_isthmus_is_known():
    root = Path(__file__).resolve().parents[2]
    texts = [path.read_text("utf-8") for path in (root / "components").rglob("*.py")]
    assert set(re.findall(r"isthmus:index:\w+", "".join(texts))) <= COMPONENTS


def project(root: Path, **changes: Any) -> Path:
    """A project's folder, with a program and these changes of `Pulumi.yaml`."""
    (root / "stacks").mkdir(parents=True)
    (root / "stacks" / "program.py").write_text("program", "utf-8")
    settings = {"name": "isthmus", "runtime": "python", "main": "stacks", **changes}
    (root / "Pulumi.yaml").write_text(json.dumps(settings), "utf-8")
    return root


PROJECTS: dict[str, dict[str, Any]] = {
    "main": {"main": "elsewhere"},
    "runtime": {"runtime": {"name": "python", "options": {"virtualenv": "evil"}}},
    "plugins": {"plugins": {"providers": [{"name": "aws", "path": "evil"}]}},
}


@pytest.mark.parametrize("key", PROJECTS, ids=list(PROJECTS))
def test_a_change_of_what_runs_as_the_program_counts_as_loosening(key: str, tmp_path: Path):
    before, after = project(tmp_path / "before"), project(tmp_path / "after", **PROJECTS[key])
    changes = {change.what: change for change in program_changes(before, after, Trust(), TODAY)}
    change = changes[f"Pulumi.yaml: {key}"]
    assert (change.kind, change.loosens) == ("rule", True)


@pytest.mark.parametrize(
    "plugins", [{"providers": [{"name": "aws", "path": "evil"}]}, {"languages": [{"name": "aws"}]}, ["aws"]]
)
def test_a_plugin_that_the_project_states_stops_a_rendering_unless_its_type_is_trusted(
    plugins: Any, tmp_path: Path
):
    settings = load_settings(project(tmp_path, plugins=plugins))
    [finding] = [f for f in stops(settings=settings) if f.policy == "data-path/known-options"]
    assert (finding.severity, finding.verdict) == ("critical", "undecided")
    assert "Pulumi.yaml" in finding.message
    trusted = settings.model_copy(update={"trust": trusting("pulumi:providers:aws").trust})
    assert stops(settings=trusted) == []
    assert load_settings(project(tmp_path / "none")).plugins == []


def test_own_code_is_shown_and_a_description_is_not(tmp_path: Path):
    before, after = project(tmp_path / "before"), project(tmp_path / "after", description="A platform")
    assert list(program_changes(before, after, Trust(), TODAY)) == []
    (after / "stacks" / "own.py").write_text("own", "utf-8")
    (change,) = program_changes(before, after, Trust(), TODAY)
    assert (change.kind, change.what, change.new, change.loosens) == (
        "rule",
        "the program",
        "stacks/own.py",
        False,
    )


@pytest.mark.parametrize("file", ["stacks/program.py", "components/gateway.py"])
def test_a_change_of_the_code_that_makes_resources_loosens_unless_the_base_approves_its_digest(
    file: str, tmp_path: Path
):
    before, after = project(tmp_path / "before"), project(tmp_path / "after")
    for root, text in ((before, "old"), (after, "new")):
        (root / "components").mkdir()
        (root / file).write_text(text, "utf-8")
    (change,) = program_changes(before, after, Trust(), TODAY)
    assert (change.kind, change.loosens) == ("trust", True)
    assert file in change.new
    assert change.entry is not None
    about = {"reason": "upgrade", "owner": "ana"}
    approved = Trust.model_validate({"changes": [{"value": change.entry[1], **about}]})
    assert [c.kind for c in program_changes(before, after, approved, TODAY)] == ["reach"]
    (after / file).write_text("newer", "utf-8")
    assert [c.kind for c in program_changes(before, after, approved, TODAY)] == ["trust"]


TYPES, ENDS = "data-path/known-aws-types", "data-path/known-other-ends"
VPC, TOPIC = "${bank-frankfurt-network-vpc.id}", "${bank-frankfurt-alarms-topic.arn}"
GROUP = "${bank-frankfurt-endpoints-group.id}"
EGRESS, INGRESS = (f"aws:vpc/securityGroup{way}Rule:SecurityGroup{way}Rule" for way in ("Egress", "Ingress"))
AWS_ADDED = {
    "oam": other("aws:oam/link:Link", sinkIdentifier="arn:aws:oam:eu-central-1:999988887777:sink/x"),
    "access-point-policy": other("aws:s3control/accessPointPolicy:AccessPointPolicy", policy="{}"),
    "access-grant": other("aws:s3control/accessGrant:AccessGrant", permission="READ"),
    "datasync": other("aws:datasync/task:Task", sourceLocationArn="x"),
    "mirror": other("aws:ec2/trafficMirrorSession:TrafficMirrorSession", networkInterfaceId="eni-1"),
    "snapshot": other(
        "aws:ec2/snapshotCreateVolumePermission:SnapshotCreateVolumePermission", snapshotId="s"
    ),
    "flow-log": other("aws:ec2/flowLog:FlowLog", vpcId=VPC, logDestination="arn:aws:s3:::evil"),
    "zone": other("aws:route53/zone:Zone", name="bedrock-runtime.x.amazonaws.com", vpcs=[{"vpcId": VPC}]),
    "forward-all": other("aws:route53/resolverRuleAssociation:ResolverRuleAssociation", vpcId=VPC),
    "group-membership": other("aws:iam/userGroupMembership:UserGroupMembership", user="eve", groups=["x"]),
    "user-policy": other("aws:iam/userPolicy:UserPolicy", user="eve", policy="{}"),
    "user-attachment": other("aws:iam/userPolicyAttachment:UserPolicyAttachment", user="eve"),
    "saml": other("aws:iam/samlProvider:SamlProvider", samlMetadataDocument="x"),
    "oidc": other("aws:iam/openIdConnectProvider:OpenIdConnectProvider", url="https://evil.example"),
    "sso": other("aws:ssoadmin/accountAssignment:AccountAssignment", principalId="eve"),
    "anchor": other("aws:rolesanywhere/trustAnchor:TrustAnchor", enabled=True),
    "profile": other("aws:rolesanywhere/profile:Profile", roleArns=["x"]),
    "event-store": other("aws:cloudtrail/eventDataStore:EventDataStore", organizationEnabled=True),
    "subscription": other(
        "aws:sns/topicSubscription:TopicSubscription", topic=TOPIC, endpoint="https://evil.example"
    ),
}
AWS_ENDS = {
    "foreign-bus": other(
        "aws:cloudwatch/eventTarget:EventTarget",
        arn="arn:aws:events:eu-central-1:999988887777:event-bus/default",
    ),
    "private-range": other(INGRESS, securityGroupId=GROUP, cidrIpv4="10.0.0.0/8"),
    "literal-list": other(EGRESS, securityGroupId=GROUP, prefixListId="pl-0123456789abcdef0"),
    "list-of-everything": other(EGRESS, securityGroupId=GROUP, prefixListId="${every-address.id}"),
}


def named(rows: dict[str, Resource]) -> list[Resource]:
    """The rows as resources that are named like them, so that one evaluation judges all."""
    return [replace(row, urn=f"{row.urn}-{name}", name=name) for name, row in rows.items()]


def test_what_reaches_a_whole_account_or_leads_out_of_classified_data_is_undecided_unless_trusted():
    findings = [finding for finding in stops(*named(AWS_ADDED)) if finding.policy == TYPES]
    assert {(finding.resource, finding.verdict) for finding in findings} == {
        (name, "undecided") for name in AWS_ADDED
    }
    trusted = trusting(*{row.type for row in AWS_ADDED.values()})
    assert found(TYPES, stops(*named(AWS_ADDED), settings=trusted)) == set()


def test_a_known_type_that_ends_elsewhere_stops_the_change():
    every = other(
        "aws:ec2/managedPrefixList:ManagedPrefixList", "every-address", entries=[{"cidr": "0.0.0.0/0"}]
    )
    findings = {
        finding.resource: finding.verdict
        for finding in stops(every, *named(AWS_ENDS))
        if finding.policy == ENDS
    }
    assert findings == dict.fromkeys(AWS_ENDS, "undecided") | {"list-of-everything": "violated"}
