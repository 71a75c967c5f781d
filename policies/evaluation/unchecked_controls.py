"""Controls of an LLM platform that no policy checks: listed, so that silence is not taken for a pass."""

from __future__ import annotations

from isthmus.contracts.reports.evidence import NotChecked
from policies.rules import frameworks as fw

NOT_CHECKED = (
    NotChecked(
        control="A person looks at answers that bear on people or money",
        supports=list(fw.ai_act("14(4)")),
        why="Who reviews which answer is decided while the platform runs: no resource of the graph carries it",
    ),
    NotChecked(
        control="A model is released when its own evaluation was approved",
        supports=[*fw.owasp("LLM03", "LLM04"), *fw.ai_act("14(4)")],
        why="The graph holds which weights serve, by digest, and a pipeline where one is in it; that somebody approved"
        " the evaluation stands in the review of the plan",
    ),
    NotChecked(
        control="Prompts are redacted before they leave their class or site",
        supports=[*fw.owasp("LLM02"), *fw.gdpr("Art. 25")],
        why="Guardrails on AWS are checked; what a gateway of ours takes out of a prompt is seen in its answers alone",
    ),
    NotChecked(
        control="Teams of one class do not see each other's prefixes in a model's cache",
        supports=list(fw.owasp("LLM02")),
        why="The salt is a field of each request, which no resource states",
    ),
    NotChecked(
        control="What was made by hand, or by a chart, is held to the same",
        supports=list(fw.nist("CM-8", "CM-3")),
        why="It is in no graph: a Helm release is a finding of its own, an object made by hand is refused by admission"
        " or found as drift",
    ),
    NotChecked(
        control="Records and weights can be restored",
        supports=list(fw.nist("CP-9", "CP-10")),
        why="That they are kept is checked; that somebody has restored them is an exercise, not a property",
    ),
)
