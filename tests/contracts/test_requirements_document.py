"""Requirements: the bank's example is valid, and each mistake is told with its line and the right exit code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.contracts.requirements.document import Requirements, load, parse
from isthmus.core import yaml_files
from isthmus.core.errors import FieldError, InputError, Refused
from tests.contracts.bank import REQUIREMENTS, requirements

ROOT = Path(__file__).parents[2]


def test_the_banks_requirements_load_with_their_digest():
    path = ROOT / "stacks" / "bank-dev.requirements.yaml"
    bank = load(path)
    assert bank.digest == yaml_files.digest(yaml_files.load(path).data)
    assert [workload.sensitivity for workload in bank.workloads] == [
        "restricted",
        "confidential",
        "internal",
        "public",
    ]


def test_a_single_number_of_tokens_is_mean_and_p95():
    tokens = requirements().workloads[3].traffic.prompt_tokens
    assert (tokens.mean, tokens.p95) == (600, 600)


def test_a_workload_without_residency_may_be_anywhere():
    assert requirements().workloads[3].residency is None


WRONG = [
    ("sensitivity: restricted", "sensitivity: restrcted", "Did you mean `restricted`?"),
    ("regimes: [gdpr, amlr]", "regimes: [gdpr, aml]", "Did you mean `amlr`?"),
    ("regimes: [gdpr, amlr]", "regimes: [hipaa, amlr]", "both cannot hold"),
    ("residency: [eu]", "residency: [ue]", "`ue` is not a known jurisdiction"),
    ("residency: [eu]", "residency: []", "the list has 0 items, but must have at least 1"),
    ("mean_rps: 0.8", "mean_rps: 3.8", "peak_rps (3) is below mean_rps (3.8)"),
    ("p95: 6000", "p95: 60", "p95 (60) is below the mean (2400)"),
    ("profile: office-hours", "profile: offices", "Did you mean `office-hours`?"),
    ("profile: office-hours", "profile: [1, 2]", "the list has 2 items, but must have at least 24"),
    ("bf16: 0.87", "fp9: 0.87", "Did you mean `fp8`?"),
    ("bf16: 0.87", "bf16: 1.87", "less than or equal to 1"),
    ("min_score: 0.80", "min_score: 80", "less than or equal to 1"),
    ("tpot_p95_ms: 60", "complete_within_hours: 6", "is for batch work"),
    ("ttft_p95_ms: 2500, ", "", "needs slo.ttft_p95_ms"),
    ("impact: high", "impact: high\n    mode: batch", "a batch workload needs slo.complete_within_hours"),
    (
        "impact: high",
        "impact: high\n    task: embedding\n    interfaces: [completions]",
        "the interface `completions` is not for a workload of task embedding",
    ),
    (
        "slo: {ttft_p95_ms: 1500, tpot_p95_ms: 40}",
        "mode: batch\n    slo: {complete_within_hours: 6, answer_p95_ms: 9000}",
        "`answer_p95_ms` is a goal of interactive chat",
    ),
    (
        "slo: {ttft_p95_ms: 4000, tpot_p95_ms: 100}",
        "slo: {answer_p95_ms: 9000}",
        "needs slo.ttft_p95_ms",
    ),
    ("context_tokens: 16384", "context_tokens: 6384", "less than the p95"),
    ("name: kyc-extraction", "name: campaign-copy", "appears twice in workloads"),
    ("name: frankfurt", "name: fra1", "appears twice in sites"),
    ("to: frankfurt", "to: frankfrt", "Did you mean `frankfurt`?"),
    ("to: frankfurt", "to: fra1", "joins two on-prem sites"),
    ("10.40.0.0/16", "10.40.0.1/16", "like `10.40.0.0/16`"),
    ("10.40.0.0/16", "10.40.0/16", "is not an IPv4 network"),
    ("10.80.0.0/16", "10.40.8.0/24", "overlaps `10.40.0.0/16` of site `fra1`"),
    ("gpu: h100-sxm-80gb", "gpu: h100-sxm-80", "Did you mean `h100-sxm-80gb`?"),
    (
        "gpu: l40s-48gb",
        "gpu: h100-sxm-80gb",
        "appears twice in pools (pools[0] and pools[1]): a site has one pool of each GPU",
    ),
    (
        "failure_domains: 2",
        "failure_domains: 3",
        "3 failure domains need at least 3 nodes, but the pool has 2",
    ),
    ("gpus_per_node: 4, failure", "gpus_per_node: 4, mig: allowed, failure", "does not support MIG"),
    ("jurisdiction: de\n    region", "jurisdiction: uk\n    region", "is in `de`, not in `uk`"),
    ("region: eu-central-1", "region: eu-centrl-1", "Did you mean `eu-central-1`?"),
    ("kind: aws", "kind: aw", "`aw` is not one of on-prem, aws"),
    ("kind: aws\n    ", "", "the key 'kind' is missing"),
    ("allow: [bedrock", "allow: [bedrok", "Did you mean `bedrock`?"),
    (
        "allow: [bedrock",
        "existing: {kms_key: 'arn:aws:kms:eu-central-1:1:key/k'}\n    allow: [bedrock",
        "a key's ARN like",
    ),
    ("allow: [bedrock", "existing: {hosted_zone: Z1}\n    allow: [bedrock", "unknown key `hosted_zone`"),
    ("isthmus: v1", "isthmus: v2", "`v2` is not one of v1"),
    (
        "peak_rps: 3.0",
        'peak_rps: "3"',
        "is text; expected a number of requests per second. Fix: Write it without quotes",
    ),
    ("peak_rps: 3.0", "peak_rps: true", "expected a number"),
    ("peak_rps: 3.0", "peak_rps: ~", "an empty value is not valid"),
    (
        "    review: {domain: financial-crime, below_confidence: 0.80, sample_rate: 0.05}\n",
        "",
        "human review",
    ),
    (
        'candidates: [{id: "amazon.nova-lite-v1:0", scores: {api: 0.78}}]',
        "candidates: []",
        "the list has 0 items, but must have at least 1",
    ),
    ("name: bank\n", "name: bank\nbudgt: {monthly_usd: 1}\n", "Did you mean `budget`?"),
    ("name: bank\n", "name: bank\nhandling: {restrictd: {}}\n", "Did you mean `restricted`?"),
]


@pytest.mark.parametrize(("old", "new", "reason"), WRONG)
def test_invalid_requirements_are_refused_with_the_allowed_values(old: str, new: str, reason: str):
    assert old in REQUIREMENTS
    with pytest.raises(InputError) as caught:
        requirements(REQUIREMENTS.replace(old, new, 1))
    message = str(caught.value)
    assert reason in message
    for line in message.splitlines():
        assert line.startswith("bank.requirements.yaml:"), "no file and line"


MANY = """
isthmus: v1
name: Two Words
workloads:
  - name: a
    sensitivity: secret
    impact: high
    model: &model
      candidates: [{id: Qwen/Qwen3-14B, scores: {bf16: 0.84}}]
      min_score: 0.80
      context_tokens: 100
    trafic: {peak_rps: 1}
    slo: {availability: 0.99}
  - name: a
    sensitivity: internal
    impact: low
    model: *model
    traffic: {peak_rps: 0.5, mean_rps: 5, prompt_tokens: {mean: 1500, p95: 400}, output_tokens: 250}
    slo: {ttft_p95_ms: 1500, tpot_p95_ms: 60}
sites:
  - name: fra1
    kind: on-prem
    jurisdiction: xx
    kube_context: fra1
    network: {cidrs: [10.40.0.0/16]}
    pools: [{gpu: h100-sxm-80gb, nodes: 1, gpus_per_node: 8, failure_domains: 3}]
  - {name: f, kind: aws, jurisdiction: de, region: eu-central-1, vpc_cidr: 10.40.0.0/17}
links:
  - {from: fra1, to: nowhere, kind: vpn, mbps: 1, rtt_ms: 1}
  - {from: fra2, to: f, kind: vpn, mbps: 1, rtt_ms: 1}
handling: {internal: {records_months_min: 2, colour: 3}}
exceptions: [{workload: b, target: bedrock, who: x, reason: y, until: "2027-01-01"}]
"""


def test_one_run_reports_every_mistake_each_with_its_line():
    with pytest.raises(InputError) as caught:
        requirements(MANY)
    lines = [line.removeprefix("bank.requirements.yaml:") for line in caught.value.lines()]
    expected = [
        "3 name: `Two Words` is not valid",
        "5 workloads[a].review: answers of a workload with high impact need human review",
        "6 workloads[a].sensitivity: `secret` is not one of",
        "12 workloads[a].trafic: unknown key `trafic`. Fix: Did you mean `traffic`?",
        "13 workloads[a].slo.ttft_p95_ms: an interactive chat workload needs slo.ttft_p95_ms",
        "13 workloads[a].slo.tpot_p95_ms: an interactive chat workload needs slo.tpot_p95_ms",
        "14 workloads[a].name: `a` appears twice",
        "18 workloads[a].traffic.prompt_tokens.p95: p95 (400) is below the mean (1500)",
        "18 workloads[a].traffic.peak_rps: peak_rps (0.5) is below mean_rps (5)",
        "23 sites[fra1].jurisdiction: `xx` is not a known jurisdiction",
        "26 sites[fra1].pools[0].failure_domains: 3 failure domains need at least 3 nodes",
        "27 sites[f].vpc_cidr: `10.40.0.0/17` overlaps",
        "29 links[0].to: the link names `nowhere`",
        "30 links[1].from: the link names `fra2`",
        "31 handling.internal.colour: unknown key `colour`",
        "31 handling.internal.records_months_min: `2` is looser",
        "32 exceptions[0].workload: the exception names `b`",
    ]
    assert len(lines) == len(expected), "\n".join(lines)
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)


def test_a_check_that_needs_an_invalid_value_says_nothing_about_it():
    text = REQUIREMENTS.replace("peak_rps: 3.0", "peak_rps: many")
    with pytest.raises(InputError) as caught:
        requirements(text)
    assert [line.split(": ")[1] for line in caught.value.lines()] == [
        "`many` is text; expected a number of requests per second."
    ]


def test_a_further_check_runs_on_what_is_valid_of_the_file():
    def no_names(checked: Requirements) -> Iterator[FieldError]:
        for index, workload in enumerate(checked.workloads):
            yield FieldError(f"`{workload.name}` is a bad name", "workloads", index, "name")

    document = yaml_files.loads(REQUIREMENTS.replace("jurisdiction: de", "jurisdiction: xx", 1), "r.yaml")
    with pytest.raises(InputError) as caught:
        parse(document, no_names)
    assert "`xx` is not a known jurisdiction" in str(caught.value)
    assert str(caught.value).count("is a bad name") == 4
    with pytest.raises(InputError, match="`kyc-extraction` is a bad name"):
        parse(yaml_files.loads(REQUIREMENTS, "r.yaml"), no_names)


def test_an_organisation_may_not_loosen_the_handling():
    text = REQUIREMENTS.replace("name: bank\n", "name: bank\nhandling: {restricted: {targets: [bedrock]}}\n")
    with pytest.raises(Refused, match=r"handling\.restricted\.targets.*looser"):
        requirements(text)


def test_an_exception_for_restricted_work_on_bedrock_is_refused():
    text = REQUIREMENTS + (
        "exceptions: [{workload: transaction-narratives, target: bedrock, who: CISO, reason: x, "
        "until: '2030-01-01'}]\n"
    )
    with pytest.raises(Refused, match="is restricted, so an exception for bedrock is not possible"):
        requirements(text)


def test_importing_the_requirements_module_loads_no_heavy_packages():
    """The command line loads them for every command."""
    program = (
        "import sys, isthmus.contracts.requirements.document as r\n"
        f"r.load({str(ROOT / 'stacks' / 'bank-dev.requirements.yaml')!r})\n"
        "heavy = {'pulumi', 'boto3', 'jinja2', 'typer', 'rich', 'numpy', 'asyncio', 'jsonschema'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_requirements_object_cannot_be_changed():
    with pytest.raises(Exception, match="frozen"):
        requirements().name = "other"  # pyright: ignore[reportAttributeAccessIssue]


def test_every_part_refuses_unknown_keys():
    assert Requirements.model_config.get("extra") == "forbid"


def test_context_tokens_may_be_exactly_the_p95_of_prompt_and_answer():
    [narratives, *_] = requirements(
        REQUIREMENTS.replace("context_tokens: 16384", "context_tokens: 6450")
    ).workloads
    traffic = narratives.traffic
    assert traffic.prompt_tokens.p95 + traffic.output_tokens.p95 == narratives.model.context_tokens
