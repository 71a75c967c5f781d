"""`isthmus discover`: prints parts that requirements take as they are, and says what it left out or estimated."""

from __future__ import annotations

import json

from isthmus.core import yaml_files
from tests.discovery.test_cluster_pools import node
from tests.discovery.test_usage_exports import requests_csv


def test_pools_of_a_file_of_nodes_are_printed_with_their_source(isthmus, tmp_path):
    file = tmp_path / "nodes.json"
    file.write_text(json.dumps({"items": [node("n1"), node("n2", zone="b"), node("old", ready="False")]}))
    result = isthmus("discover", "pools", "--nodes", file)
    assert result.code == 0, result.err
    assert yaml_files.loads(result.out).data["pools"][0]["nodes"] == 2
    assert result.out.startswith(f"# From the labels of 3 nodes of {file}")
    assert result.err == "note: left out, because they are not ready: old\n"


def test_without_pools_it_exits_1_and_without_a_source_2(isthmus, tmp_path):
    file = tmp_path / "nodes.json"
    file.write_text(json.dumps({"items": [node("cpu", None, 0)]}))
    result = isthmus("discover", "pools", "--nodes", file)
    assert (result.code, result.out) == (1, "")
    assert "no node has GPUs" in result.err
    assert isthmus("discover", "pools").code == 2
    file.write_text("[]")
    assert "kubectl get nodes -o json" in isthmus("discover", "pools", "--nodes", file).err


def test_traffic_of_an_export_is_printed_for_each_workload(isthmus, tmp_path):
    file = tmp_path / "usage.csv"
    file.write_text(requests_csv(8640, 86_400))
    result = isthmus("discover", "traffic", file)
    assert result.code == 0, result.err
    assert yaml_files.loads(result.out).data["traffic"]["mean_rps"] == 0.1
    assert "# m: 8,640 requests in 1 days, measured from" in result.out


def test_a_wrong_column_exits_2(isthmus, tmp_path):
    file = tmp_path / "usage.csv"
    file.write_text(requests_csv(10, 60))
    assert isthmus("discover", "traffic", file, "--column", "prompt").code == 2
    result = isthmus("discover", "traffic", file, "--by", "team")
    assert result.code == 2
    assert "there is no column `team`" in result.err
