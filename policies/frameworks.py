"""The frameworks whose requirements the rules support, each in the edition that was read.

A rule supports a requirement; it never meets one.
"""

from __future__ import annotations

from isthmus.contracts.findings import Control


def _of(framework: str, version: str, ids: tuple[str, ...]) -> tuple[Control, ...]:
    return tuple(Control(framework=framework, version=version, id=each) for each in ids)


def nist(*ids: str) -> tuple[Control, ...]:
    return _of("NIST SP 800-53", "Rev. 5", ids)


def nist_171(*ids: str) -> tuple[Control, ...]:
    return _of("NIST SP 800-171", "Rev. 2", ids)


def nist_ai(*ids: str) -> tuple[Control, ...]:
    return _of("NIST AI 600-1", "July 2024", ids)


def pci(*ids: str) -> tuple[Control, ...]:
    return _of("PCI DSS", "4.0", ids)


def hipaa(*ids: str) -> tuple[Control, ...]:
    return _of("HIPAA Security Rule", "45 CFR Part 164, 2013", ids)


def gdpr(*ids: str) -> tuple[Control, ...]:
    return _of("GDPR", "Regulation (EU) 2016/679", ids)


def ai_act(*ids: str) -> tuple[Control, ...]:
    return _of("EU AI Act", "Regulation (EU) 2024/1689", ids)


def owasp(*ids: str) -> tuple[Control, ...]:
    return _of("OWASP Top 10 for LLM Applications", "2026", ids)


def cis_kubernetes(*ids: str) -> tuple[Control, ...]:
    return _of("CIS Kubernetes Benchmark", "1.10", ids)


def cis_aws(*ids: str) -> tuple[Control, ...]:
    return _of("CIS AWS Foundations Benchmark", "6.0", ids)


def fsbp(*ids: str) -> tuple[Control, ...]:
    """Security Hub's own standard, whose controls bear no edition of their own."""
    return _of("AWS Foundational Security Best Practices", "1.0.0", ids)


def checkov(*ids: str) -> tuple[Control, ...]:
    return _of("Checkov", "3.3", ids)
