"""`isthmus init`, as a user runs it: from requirements to a stack that renders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isthmus.core import yaml_files

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
AS_OF = ("--as-of", "2026-11-25")


def begin(isthmus, project: Path, stack: str, example: str, *args: str):
    file = EXAMPLES / f"{example}.requirements.yaml"
    return isthmus("init", stack, "--requirements", file, "--project", project, *AS_OF, *args)


@pytest.mark.parametrize("example", ["pilot", "bank-overflow", "cloud-managed"])
def test_a_new_sandbox_stack_renders_without_edits(isthmus, project, tmp_path, example):
    begun = begin(isthmus, project, "fresh", example, "--sandbox")
    assert begun.code == 0, begun.err
    assert "next: isthmus sandbox up" in begun.err
    result = isthmus("render", "fresh", "--project", project, "-o", tmp_path / "out")
    assert result.code == 0, result.err


def test_init_writes_placeholders_for_values_of_the_organisation(isthmus, project):
    begun = begin(isthmus, project, "fresh", "pilot")
    assert begun.code == 0, begun.err
    file = project / "stacks" / "Pulumi.fresh.yaml"
    open_ = isthmus("render", "fresh", "--project", project)
    assert open_.code == 2
    assert "values that only you know are missing" in open_.err
    # Completed as the file says: the `# ` at the head of each line goes, the examples get values.
    text = file.read_text().replace("sha256:<64 hex digits>", "sha256:" + "a" * 64)
    head, _, rest_of_text = text.partition("  # isthmus:overrides:")
    lines = ["  # isthmus:overrides:", *rest_of_text.strip("\n").split("\n")]
    file.write_text(head + "\n".join(line.replace("  # ", "  ", 1) for line in lines if line) + "\n")
    assert "isthmus:overrides" in yaml_files.load(file).data["config"]
    done = isthmus("render", "fresh", "--project", project)
    assert "missing" not in done.err
    assert "`isthmus images fresh --resolve`" in done.err, "what is left is the images' digests"


def test_init_writes_the_same_plan_as_isthmus_plan(isthmus, project, tmp_path):
    begin(isthmus, project, "fresh", "pilot")
    planned = isthmus("plan", EXAMPLES / "pilot.requirements.yaml", "-o", tmp_path / "p.yaml", *AS_OF)
    assert planned.code == 0
    assert (project / "stacks" / "fresh.plan.yaml").read_bytes() == (tmp_path / "p.yaml").read_bytes()


def test_existing_files_are_not_overwritten(isthmus, project):
    before = (project / "stacks" / "bank-dev.plan.yaml").read_bytes()
    result = begin(isthmus, project, "bank-dev", "pilot")
    assert result.code == 2
    assert "the file Pulumi.bank-dev.yaml already exists" in result.err
    assert (project / "stacks" / "bank-dev.plan.yaml").read_bytes() == before


def test_requirements_in_the_folder_are_used_in_place(isthmus, project):
    file = project / "stacks" / "fresh.requirements.yaml"
    file.write_bytes((EXAMPLES / "pilot.requirements.yaml").read_bytes())
    result = isthmus("init", "fresh", "--requirements", file, "--project", project, *AS_OF)
    assert result.code == 0, result.err


def test_without_a_feasible_plan_nothing_is_written_and_init_exits_1(isthmus, project):
    before = sorted(path.name for path in (project / "stacks").iterdir())
    result = begin(isthmus, project, "fresh", "bank-infeasible")
    assert result.code == 1
    assert "infeasible" in result.out
    assert sorted(path.name for path in (project / "stacks").iterdir()) == before


@pytest.mark.parametrize("name", ["a.b", "-a", "../x", "a b"])
def test_an_unknown_stack_name_is_refused(isthmus, project, name):
    file = EXAMPLES / "pilot.requirements.yaml"
    result = isthmus("init", "--requirements", file, "--project", project, "--", name)
    assert result.code == 2
    assert f"`{name}` is not a valid stack name" in result.err


def test_init_refuses_what_render_would_refuse_and_writes_nothing(isthmus, project, tmp_path):
    text = (EXAMPLES.parent / "stacks" / "bank-dev.requirements.yaml").read_text()
    file = tmp_path / "bank.requirements.yaml"
    file.write_text(text.replace(", bgp_asn: 65010", "").replace("vpn_peer_ip: 198.51.100.10, ", ""))
    result = isthmus("init", "fresh", "--requirements", file, "--project", project, *AS_OF)
    assert result.code == 2
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "    network: {" in text)
    assert f"{file}:{line} sites[fra1].network.bgp_asn: " in result.err
    assert f"{file}:{line} sites[fra1].network.vpn_peer_ip: " in result.err
    assert not list((project / "stacks").glob("*fresh*"))


HOSPITAL = """
isthmus: v1
name: hospital
workloads:
  - name: staff-questions
    sensitivity: internal
    impact: low
    languages: [en]
    model:
      candidates: [{id: "amazon.nova-lite-v1:0", scores: {api: 0.87}}]
      min_score: 0.8
      context_tokens: 16384
    traffic: {peak_rps: 1.0, mean_rps: 0.1, prompt_tokens: 600, output_tokens: 250}
    slo: {ttft_p95_ms: 5000, tpot_p95_ms: 120}
sites:
  - name: boston
    kind: on-prem
    jurisdiction: us
    kube_context: boston
    network: {cidrs: [10.40.0.0/16], vpn_peer_ip: 198.51.100.10, bgp_asn: 65010, dns: [10.40.0.53]}
  - {name: virginia, kind: aws, jurisdiction: us, region: us-east-1, vpc_cidr: 10.80.0.0/16, allow: [bedrock]}
links: [{from: boston, to: virginia, kind: vpn, mbps: 1000, rtt_ms: 8}]
"""


@pytest.mark.parametrize("sandbox", [True, False])
def test_nothing_of_the_example_bank_and_no_foreign_language_is_in_a_hospitals_files(
    isthmus, project, tmp_path, sandbox
):
    file = tmp_path / "hospital.requirements.yaml"
    file.write_text(HOSPITAL)
    flags = ["--sandbox"] if sandbox else []
    begun = isthmus("init", "fresh", "--requirements", file, "--project", project, *AS_OF, *flags)
    assert begun.code == 0, begun.err
    files = [*(project / "stacks").glob("*fresh*")]
    if sandbox:
        rendered = isthmus("render", "fresh", "--project", project, "-o", tmp_path / "out")
        assert rendered.code == 0, rendered.err
        files += [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
        platform = yaml_files.load(tmp_path / "out" / "platform.yaml").data
        assert [gateway["screening"]["languages"] for gateway in platform["gateways"]] == [["en"]]
    for path in files:
        text = path.read_text().lower()
        for word in (r"\bbank\b", "soc@", "de_core_news", "language: de", "frankfurt"):
            assert not re.search(word, text), f"{word} in {path.name}"


def test_unstated_languages_of_prompts_that_leave_the_site_are_told(isthmus, project, tmp_path):
    file = tmp_path / "hospital.requirements.yaml"
    file.write_text(HOSPITAL.replace("    languages: [en]\n", ""))
    begun = isthmus("init", "fresh", "--requirements", file, "--project", project, *AS_OF)
    assert begun.code == 0
    assert f"note: {file}:5 workloads[staff-questions].languages: prompts leave site boston" in begun.err
    stated = isthmus("plan", project / "stacks" / "bank-dev.requirements.yaml", *AS_OF)
    assert "languages" not in stated.err, "the bank's settings state them"
