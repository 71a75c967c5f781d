"""`isthmus size` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LLAMA = ("size", "--model", "meta-llama/Llama-3.3-70B-Instruct", "--gpu", "h100-sxm-80gb")
SHAPE = ("--prompt-tokens", "2400", "--output-tokens", "450")
KEYS = [
    *("fits", "min_gpus", "tensor_parallel", "weights_gib", "kv_cache_tokens", "max_concurrency"),
    *("throughput_tokens_per_s", "ttft_ms", "tpot_ms", "evidence", "interval", "notes"),
]
HEAVY = ("pulumi", "pulumi_aws", "boto3", "rich", "ruamel", "numpy", "highspy")


def test_the_json_answer_has_the_documented_keys_alone_on_stdout(isthmus):
    result = isthmus(
        *LLAMA, *SHAPE, "--precision", "fp8", "--rps", "3.9", "--ttft-ms", "2500", "--format", "json"
    )
    answer = json.loads(result.out)
    assert (result.code, result.err) == (0, "")
    assert list(answer) == KEYS
    assert answer["fits"] is True
    assert set(answer["evidence"]) == {"kind", "source", "as_of"}
    assert set(answer["interval"]) == {"throughput_tokens_per_s", "ttft_ms", "tpot_ms"}


def test_the_same_arguments_give_the_same_answer(isthmus):
    ask = (*LLAMA, *SHAPE, "--rps", "2", "--format", "json")
    assert isthmus(*ask).out == isthmus(*ask).out


def test_text_output_begins_with_the_answer_and_ends_with_its_evidence(isthmus):
    result = isthmus(*LLAMA, *SHAPE, "--precision", "fp8", "--rps", "3.9")
    first, *_, last = result.out.splitlines()
    assert first.startswith("fits: ")
    assert "(80 %: " in result.out
    assert "interpolated: aiconfigurator 0.12.0" in result.out
    assert last.startswith("- licence (Llama 3.3 Community License Agreement): ")


@pytest.mark.parametrize(
    ("more", "head"),
    [
        (("--tp", "1"), "does not fit"),
        (("--ttft-ms", "1"), "starts, but meets the targets with no number of replicas"),
    ],
)
def test_a_load_that_does_not_fit_exits_1_with_the_reason(isthmus, more, head):
    result = isthmus(*LLAMA, *SHAPE, "--precision", "bf16", *more)
    assert result.code == 1
    assert result.out.startswith(head + "\n")
    assert "- with tensor parallelism" in result.out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ("size", "--model", "llama-3.3-70b-instruct", *LLAMA[3:], *SHAPE),
            "`meta-llama/Llama-3.3-70B-Instruct`?",
        ),
        ((*LLAMA[:4], "h100-sxm-81gb", *SHAPE), "Did you mean `h100-sxm-80gb`?"),
        ((*LLAMA, *SHAPE, "--rps", "-1"), "--rps: -1 is not above 0"),
        ((*LLAMA, *SHAPE, "--precision", "fp12"), "`fp12` is not a known precision"),
        ((*LLAMA, "--prompt-tokens", "0", "--output-tokens", "1"), "--prompt-tokens"),
        ((*LLAMA, "--prompt-tokens", "ten", "--output-tokens", "1"), "--prompt-tokens"),
        ((*LLAMA, "--prompt-tokens", "10"), "--output-tokens"),
        (("size", "--model", "/dev/null", *LLAMA[3:], *SHAPE), "/dev/null"),
    ],
)
def test_invalid_size_options_give_one_paragraph(isthmus, command, message):
    result = isthmus(*command)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err


def test_size_imports_no_slow_modules():
    code = (
        "import sys; from isthmus.cli import main; "
        f"code = main({[*LLAMA, *SHAPE, '--rps', '2']!r}); print(sorted(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(eval(result.stderr))  # noqa: S307 (our own print above)
    assert not loaded & set(HEAVY), f"it would wait for {sorted(loaded & set(HEAVY))}"
