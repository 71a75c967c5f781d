"""What a cluster is filled with, as data: nodes, volumes, CRDs and their stand-ins, the kubeconfig."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from isthmus.contracts.hardware.gpus import GPUS
from isthmus.core import yaml_files
from isthmus.core.errors import InputError
from sandbox.cluster import crds, kubeconfig, nodes, sites, weight_volumes
from sandbox.cluster.sites import OnPremSite, Pool

ROOT = Path(__file__).resolve().parents[2]
BANK = ROOT / "stacks" / "bank-dev.requirements.yaml"


def test_the_banks_requirements_become_one_cluster_with_two_pools():
    expected = sites.read(BANK)
    [site] = expected.sites
    assert (site.name, site.context) == ("fra1", "fra1")
    assert [(pool.name, pool.nodes, pool.gpus_per_node) for pool in site.pools] == [
        ("fra1-h100-sxm-80gb", 2, 8),
        ("fra1-l40s-48gb", 2, 4),
    ]
    assert expected.region == "eu-central-1"


def test_only_models_that_run_on_gpus_have_volumes_one_for_each_class():
    expected = sites.read(BANK)
    names = [volume["metadata"]["name"] for volume in weight_volumes.build_volumes(expected.models)]
    assert len(names) == len(set(names))
    assert "weights-meta-llama-llama-3-3-70b-instruct" in names
    # Candidate of restricted, confidential and public work.
    assert {f"weights-meta-llama-llama-3-1-8b-instruct{end}" for end in ("", "-2", "-3")} <= set(names)
    assert not [name for name in names if "nova" in name or "haiku" in name]


def test_two_models_never_share_a_volumes_name():
    created = weight_volumes.build_volumes({"a/m": 2, "a/m-2": 1})
    assert {v["metadata"]["name"]: v["metadata"]["annotations"]["isthmus.dev/model"] for v in created} == {
        "weights-a-m": "a/m",
        "weights-a-m-2": "a/m-2",
    }


def test_two_sites_with_one_context_are_refused(tmp_path):
    text = BANK.read_text()
    site = text[text.index("  - name: fra1") : text.index("  - name: frankfurt")]
    twin = site.replace("name: fra1", "name: fra2").replace("10.40.", "10.41.")
    file = tmp_path / "twins.requirements.yaml"
    file.write_text(text.replace(site, site + twin))
    with pytest.raises(InputError, match="`fra1` and `fra2` have the same kube_context, `fra1`"):
        sites.read(file)


@pytest.mark.parametrize("gpu", GPUS)
def test_every_gpu_makes_a_node_whose_labels_kubernetes_accepts(gpu):
    site = OnPremSite("s", "s", (Pool(f"s-{gpu}", gpu, 3, 8, 2),))
    created = nodes.build_nodes(site)
    assert [node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in created[:3]] == [
        "s-a",
        "s-b",
        "s-a",
    ]
    labels = created[0]["metadata"]["labels"]
    assert labels["nvidia.com/gpu.product"] == GPUS[gpu].product
    assert labels["nvidia.com/gpu.memory"] == str(GPUS[gpu].memory_mib)
    assert ("nvidia.com/mig.config" in labels) == GPUS[gpu].mig_capable
    for value in labels.values():
        assert re.fullmatch(r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?", value), value
    assert created[0]["status"]["allocatable"]["nvidia.com/gpu"] == "8"
    plain = [node for node in created if "nvidia.com/gpu" not in node["status"]["capacity"]]
    assert len({node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in plain}) == 2


REAL = crds.default_folder()


@pytest.mark.skipif(REAL is None, reason="no real CRDs are beside this checkout")
@pytest.mark.parametrize("row", crds.stand_in_rows(), ids=lambda row: row["kind"])
def test_a_stand_in_is_what_the_real_definition_is(row):
    assert REAL is not None
    text = (REAL / f"{row['plural']}.{row['group']}.yaml").read_text()
    # Without the schemas, which take a second each to parse.
    shallow = "".join(line for line in text.splitlines(True) if re.match(r" {0,3}[^ ]| {4}[^ -]", line))
    real = yaml_files.loads(shallow).data["spec"]
    served = [version for version in real["versions"] if version["served"]]
    stored = [version["name"] for version in served if version["storage"]]
    assert (row["group"], row["kind"], row["plural"], row["scope"]) == (
        real["group"], real["names"]["kind"], real["names"]["plural"], real["scope"]
    )  # fmt: skip
    assert set(row["versions"]) == {version["name"] for version in served}
    assert row["versions"][0] == stored[0]


def test_a_folder_of_definitions_is_completed_by_stand_ins(tmp_path):
    text = (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        "metadata:\n  name: {}\nspec: {{}}\n"
    )
    (tmp_path / "two.yaml").write_text(
        text.format("certificates.cert-manager.io") + "---\n" + text.format("things.example.org")
    )
    (tmp_path / "other.yaml").write_text("kind: ConfigMap\nmetadata:\n  name: x\n")
    actual = {entry.name: entry.source for entry in crds.definitions(tmp_path)}
    assert {name for name, source in actual.items() if source == "real"} == {
        "certificates.cert-manager.io", "things.example.org",
    }  # fmt: skip
    assert actual["localqueues.kueue.x-k8s.io"] == "stand-in"


def test_a_folder_without_definitions_is_refused(tmp_path):
    with pytest.raises(InputError, match="no CustomResourceDefinition"):
        crds.definitions(tmp_path)
    with pytest.raises(InputError, match="folder of CRD files does not exist"):
        crds.definitions(tmp_path / "nowhere")


def test_the_kubeconfig_stands_alone_and_is_for_its_user_only(tmp_path):
    for name in ("ca", "crt", "key"):
        (tmp_path / name).write_text(f"{name} text")
    access = kubeconfig.Access("https://127.0.0.1:20001", *(tmp_path / name for name in ("ca", "crt", "key")))
    file = tmp_path / "kubeconfig"
    kubeconfig.write(file, {"admin@one": access, "two": access})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    data = yaml_files.load(file).data
    assert [entry["name"] for entry in data["contexts"]] == ["admin@one", "two"]
    assert data["current-context"] == "admin@one"
    assert str(tmp_path) not in file.read_text(), "it refers to other files"
