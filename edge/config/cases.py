"""Settings `reviews.cases`: on which legal basis people's cases are read, and what people read before they send one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.config.desk import Language
from edge.strict_model import Strict

LegalBasis = Literal[
    "consent", "contract", "legal-obligation", "vital-interests", "public-task", "legitimate-interests"
]
"""Points (a) to (f) of Article 6(1) GDPR."""
Notice = Annotated[str, Field(min_length=1, max_length=2000)]


class CaseSettings(Strict):
    """Cases of people. Without a legal basis they work too, and the record states none."""

    legal_basis: LegalBasis | None = None
    """On which basis reviewers read what the person sends. It is kept with each case, and on record."""
    notice: dict[Language, Notice] = {}
    """What the person reads and confirms before sending, by language. It is kept with each case."""
    appeal_days: Annotated[int, Field(ge=0, le=365)] = 14
    """Days within which a person may appeal against a decision. 0: nobody may."""

    @model_validator(mode="after")
    def _go_together(self) -> CaseSettings:
        if self.legal_basis is not None and not self.notice:
            raise ValueError("legal_basis has no notice. Set notice: people read it before they send a case")
        if self.legal_basis is None and self.notice:
            raise ValueError("notice has no legal_basis. Set legal_basis: a case keeps both")
        return self
