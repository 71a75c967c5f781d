"""The gate's verdict in the reports of a preview: who may answer people, and what the others lack."""

from __future__ import annotations

from isthmus.contracts.evaluation_result import Measured
from isthmus.contracts.reports.candidates import Candidate, Missing, Scores
from isthmus.contracts.reports.preview import Preview
from isthmus.reports.preview import markdown as preview_markdown
from isthmus.reports.preview import text as preview_text
from tests.reports.goldens import scenario

SCORES = Scores(
    file="claims/results/v2.json",
    score=Measured(value=0.905, low=0.88, high=0.92),
    loss=Measured(value=0.01, low=-0.005, high=0.025),
    max_loss=0.03,
    loss_task="answers",
    seconds_p50=0.8,
    seconds_p95=1.4,
    usd_per_case=0.00021,
    signed_by="model risk",
)
PASSED = Candidate(
    workload="claims",
    class_="restricted",
    gateway="restricted-fra1",
    endpoint="llama-v2",
    model="bank/llama",
    share="5 %",
    takes_requests=True,
    scores=SCORES,
    missing=[],
)
HELD = PASSED.model_copy(
    update={
        "workload": "onboarding",
        "scores": None,
        "missing": [Missing(what="it names no result | of <b>anything</b>", fix="Run `isthmus evaluate`")],
    }
)
WAITING = PASSED.model_copy(
    update={"workload": "kyc", "takes_requests": False, "share": "0 %", "scores": None}
)


def preview(*candidates: Candidate) -> Preview:
    return scenario("unchanged").model_copy(update={"candidates": list(candidates)})


def test_the_comment_has_a_row_for_each_candidate_and_what_is_missing_below():
    comment = preview_markdown.comment([preview(PASSED, HELD, WAITING)])
    rows = [line for line in comment.splitlines() if "`bank/llama` at `llama-v2`" in line]
    figures = (
        "0.905 (0.880 to 0.920) | 0.010 (-0.005 to 0.025) in answers, 0.03 allowed | p50 0.80 s, p95 1.40 s"
        " | USD 0.00021 | `model risk`"
    )
    assert rows == [
        "| **held back** | `onboarding` (restricted), 5 % | `bank/llama` at `llama-v2` | - | - | - | - | - |",
        f"| may answer people | `claims` (restricted), 5 % | `bank/llama` at `llama-v2` | {figures} |",
        "| evaluations only | `kyc` (restricted), 0 % | `bank/llama` at `llama-v2` | - | - | - | - | - |",
    ]
    assert (
        "### What candidates lack\n\n- `onboarding`: `it names no result | of <b>anything</b>` Fix: "
        in comment
    )


def test_a_result_that_nobody_trusted_signed_says_so():
    unsigned = PASSED.model_copy(update={"scores": SCORES.model_copy(update={"signed_by": ""})})
    assert "| **nobody trusted** |" in preview_markdown.comment([preview(unsigned)])
    assert "signed by nobody trusted" in preview_text.text([preview(unsigned)])


def test_the_text_says_the_same():
    text = preview_text.text([preview(PASSED, HELD)])
    assert "  may answer people: claims (restricted), 5 % to bank/llama at llama-v2\n" in text
    assert "    score 0.905 (0.880 to 0.920); loss 0.010 (-0.005 to 0.025) in answers, 0.03 allowed\n" in text
    assert "    missing: it names no result | of <b>anything</b>. Fix: Run `isthmus evaluate`" in text


def test_a_stack_without_candidates_has_no_section():
    assert "Candidates" not in preview_markdown.comment([preview()])
    assert "Candidates" not in preview_text.text([preview()])


def test_a_candidate_of_several_stacks_of_an_estate_is_listed_once():
    comment = preview_markdown.comment([preview(PASSED), preview(PASSED)])
    assert comment.count("| may answer people |") == 1
