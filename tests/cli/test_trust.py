"""`isthmus trust propose`: prints the entries that a stack lacks, and the file works once they are filled in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Isthmus
from tests.repository import commit

OWN = "      registry: registry.bank.example\n"


OWN_CODE = '''
"""A schedule of a kind that Isthmus does not know, and a right that no entry gives."""

import pulumi
import pulumi_kubernetes as k8s


def add(built, providers, stack):
    opts = pulumi.ResourceOptions(provider=providers["fra1"])
    k8s.apiextensions.CustomResource(
        "nightly",
        api_version="velero.io/v1",
        kind="Schedule",
        metadata={"name": "nightly", "namespace": "team"},
        opts=opts,
    )
    k8s.rbac.v1.ClusterRoleBinding(
        "owners",
        metadata={"name": "owners"},
        role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        subjects=[{"kind": "Group", "name": "oidc:team", "api_group": "rbac.authorization.k8s.io"}],
        opts=opts,
    )
'''


@pytest.fixture
def opened(project: Path) -> Path:
    """A project whose bank admits images of another registry."""
    file = project / "stacks" / "Pulumi.bank-dev.yaml"
    text = file.read_text()
    assert OWN in text
    file.write_text(text.replace(OWN, OWN + "      registries: [registry.bank.example/, docker.io/evil/]\n"))
    return project


def test_the_proposed_entries_make_the_stack_pass_once_reason_and_owner_are_there(
    isthmus: Isthmus, opened: Path
):
    refused = isthmus("render", "bank-dev", "-o", opened / "made", "--project", opened)
    assert refused.code == 1
    assert "trust/foreign-values: `docker.io/evil` in images.registries[1]" in refused.err
    # As the shell does it for `> trust.yaml`, before the command starts.
    (opened / "trust.yaml").write_text("")
    proposed = isthmus("trust", "propose", "bank-dev", "--project", opened)
    assert proposed.code == 0, proposed.err
    assert "1 entries for trust.yaml" not in proposed.err
    assert "1 entry for trust.yaml" in proposed.err

    (opened / "trust.yaml").write_text(proposed.out)
    unfinished = isthmus("render", "bank-dev", "-o", opened / "made", "--project", opened)
    assert unfinished.code == 2
    assert "trust.yaml:5 registries[0].reason" in unfinished.err

    text = proposed.out.replace('reason: ""', "reason: agreed").replace('owner: ""', "owner: ana")
    (opened / "trust.yaml").write_text(text)
    assert isthmus("render", "bank-dev", "-o", opened / "made", "--project", opened).code == 0
    again = isthmus("trust", "propose", "bank-dev", "--project", opened)
    assert (again.code, again.out) == (0, "")
    assert "need no further entry" in again.err


def test_what_ci_refuses_of_a_change_is_proposed_with_the_base_commit_and_then_passes(
    isthmus: Isthmus, project: Path
):
    file = project / "stacks" / "Pulumi.bank-dev.yaml"
    commit(project, "base")
    text = file.read_text()
    changed = text.replace("name: bank-internal-ca", "name: bank-new-ca")
    assert changed != text
    file.write_text(changed)
    refused = isthmus("ci", "bank-dev", "--base", "HEAD", "--project", project)
    assert refused.code == 1
    assert "isthmus trust propose STACK --base COMMIT" in refused.out
    assert isthmus("trust", "propose", "bank-dev", "--project", project).out == ""
    proposed = isthmus("trust", "propose", "bank-dev", "--base", "HEAD", "--project", project)
    assert proposed.code == 0, proposed.err
    assert '"certificate issuer of the platform: ClusterIssuer bank-new-ca"' in proposed.out

    file.write_text(text)
    entries = proposed.out.replace('reason: ""', "reason: agreed").replace('owner: ""', "owner: ana")
    (project / "trust.yaml").write_text(entries)
    commit(project, "approved")
    file.write_text(changed)
    passed = isthmus("ci", "bank-dev", "--base", "HEAD", "--project", project)
    assert passed.code == 0, passed.out


def test_an_entry_below_another_printed_one_is_not_proposed(isthmus: Isthmus, project: Path):
    file = project / "stacks" / "Pulumi.bank-dev.yaml"
    text = file.read_text()
    commit(project, "base")
    listed = "registry.bank.example/, docker.io/evil/, docker.io/evil/tools/"
    file.write_text(text.replace(OWN, f"{OWN}      registries: [{listed}]\n"))
    for base in ((), ("--base", "HEAD")):
        proposed = isthmus("trust", "propose", "bank-dev", *base, "--project", project)
        assert '"docker.io/evil"' in proposed.out, proposed.err
        assert "docker.io/evil/tools" not in proposed.out


def test_findings_name_their_entry_and_those_that_no_entry_allows_are_counted(
    isthmus: Isthmus, project: Path
):
    own = project / "stacks" / "own.py"
    own.write_text(OWN_CODE)
    refused = isthmus("render", "bank-dev", "-o", project / "made", "--project", project)
    assert refused.code == 1
    assert "(trust.yaml: objects: team/nightly)" in refused.err
    assert "`isthmus trust propose bank-dev` prints the entries of trust.yaml" in " ".join(
        refused.err.split()
    )
    proposed = isthmus("trust", "propose", "bank-dev", "--project", project)
    assert proposed.out.count("- value:") == 1
    assert '"team/nightly"' in proposed.out
    assert (
        "1 finding stays, for which no entry is proposed (docs/trust.md): identity/no-cluster-admin"
        in proposed.err
    )

    (project / "trust.yaml").write_text(
        proposed.out.replace('reason: ""', "reason: agreed").replace('owner: ""', "owner: ana")
    )
    still = isthmus("render", "bank-dev", "-o", project / "made", "--project", project)
    assert still.code == 1
    assert "trust propose" not in still.err
    assert "nightly" not in still.err


def test_the_bank_needs_no_trust_file(isthmus: Isthmus, project: Path):
    result = isthmus("trust", "propose", "bank-dev", "--project", project)
    assert (result.code, result.out) == (0, ""), result.err


def test_an_unknown_stack_is_an_error(isthmus: Isthmus, project: Path):
    result = isthmus("trust", "propose", "bank-prod", "--project", project)
    assert result.code == 2
    assert "bank-prod" in result.err
