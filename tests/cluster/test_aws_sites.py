"""Which AWS sites get a cluster in the sandbox, and what machines it has."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from isthmus.core import yaml_files
from isthmus.core.errors import InputError
from sandbox.cluster import nodes, sites
from tests.contracts.bank import REQUIREMENTS

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "cloud-private.requirements.yaml"


def planned(folder: Path) -> Path:
    """The example's requirements with a plan beside them."""
    from isthmus.blueprints.offers import offers
    from isthmus.contracts.requirements import document as requirements_document
    from isthmus.planning import planner

    file = folder / "insurer.requirements.yaml"
    shutil.copy(EXAMPLE, file)
    plan = planner.make_plan(requirements_document.load(file), offers(), "2026-11-25").plan
    yaml_files.dump(plan.model_dump(mode="json", by_alias=True), "", folder / "insurer.plan.yaml")
    return file


def test_machines_are_those_of_the_plan_labelled_and_tainted_in_aws_s_own_zones(tmp_path: Path) -> None:
    (site,) = sites.read(planned(tmp_path)).sites
    assert site.context == "frankfurt"
    created = {node["metadata"]["name"]: node for node in nodes.build_nodes(site)}
    gpu = [node for name, node in created.items() if "qwen3" in name]
    assert [node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in gpu] == [
        *("eu-central-1a", "eu-central-1b"),
    ]
    for node in gpu:
        assert node["metadata"]["labels"]["isthmus.dev/pool"] == "frankfurt-confidential-qwen3-14b"
        assert node["spec"]["taints"][0]["key"] == "nvidia.com/gpu"
    assert any("cpu" in name for name in created)


def test_without_a_plan_a_cluster_stands_in_aws_for_those_alone_who_have_no_other(tmp_path: Path) -> None:
    (site,) = sites.read(EXAMPLE).sites
    assert site.pools == ()
    bank = tmp_path / "bank.requirements.yaml"
    bank.write_text(REQUIREMENTS)
    assert [site.name for site in sites.read(bank).sites] == ["fra1"], "the bank allows EKS and has a cluster"


@pytest.mark.parametrize("first", ["frankfurt", "fra1"])
def test_a_context_called_as_an_aws_site_with_a_cluster_is_refused(tmp_path: Path, first: str) -> None:
    file = planned(tmp_path)
    expected = yaml_files.load(file).data
    [site] = [site for site in yaml_files.loads(REQUIREMENTS, "bank").data["sites"] if site["name"] == "fra1"]
    own = {**site, "kube_context": "frankfurt"}
    expected["sites"] = sorted([*expected["sites"], own], key=lambda entry: entry["name"] != first)
    yaml_files.dump(expected, "", file)
    with pytest.raises(InputError, match="have the same kube_context, `frankfurt`"):
        sites.read(file)
