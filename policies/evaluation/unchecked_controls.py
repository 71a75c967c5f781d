"""Controls of an LLM platform that no rule checks, listed so that nobody takes them for passed."""

from __future__ import annotations

from isthmus.contracts.reports.evidence import NotChecked
from policies.rules import frameworks as fw

NOT_CHECKED = (
    NotChecked(
        control="A person reviews answers that affect people or money",
        supports=list(fw.ai_act("14(4)")),
        why="Who reviews which answer is decided at run time, so no resource shows it",
    ),
    NotChecked(
        control="A model is released only after its evaluation was approved",
        supports=[*fw.owasp("LLM03", "LLM04"), *fw.ai_act("14(4)")],
        why="The graph shows the digest of the weights, and a release pipeline if there is one. The approval of the"
        " evaluation is in the review of the plan",
    ),
    NotChecked(
        control="Prompts are redacted before they leave their class or site",
        supports=[*fw.owasp("LLM02"), *fw.gdpr("Art. 25")],
        why="Rules check guardrails on AWS; what a gateway redacts from a prompt shows only in its answers",
    ),
    NotChecked(
        control="Teams of one class do not see each other's prefixes in a model's cache",
        supports=list(fw.owasp("LLM02")),
        why="The cache salt is a field of each request, so no resource shows it",
    ),
    NotChecked(
        control="Resources made by hand or by a chart follow the same rules",
        supports=list(fw.nist("CM-8", "CM-3")),
        why="The graph does not contain them. A Helm release is a finding; an object made by hand is rejected by"
        " admission or reported as drift",
    ),
    NotChecked(
        control="Records and weights can be restored",
        supports=list(fw.nist("CP-9", "CP-10")),
        why="Rules check that they are kept. Only an exercise shows that they can be restored",
    ),
)
