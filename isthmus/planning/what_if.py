"""Requirements of a what-if: those of a file with changes, and the mark of the plan that is made from them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.contracts.plan.document import WhatIf
from isthmus.contracts.requirements import changes as requirement_changes
from isthmus.contracts.requirements import document as requirements_of
from isthmus.core import yaml_files
from isthmus.planning.options import candidates

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.core.yaml_documents import Document


def load(
    path: str | os.PathLike[str], texts: Sequence[str], scale_traffic: float = 1.0, where: str = "--set"
) -> tuple[Requirements, WhatIf | None]:
    """Return the requirements of a file with the changes `texts` (`PATH=VALUE`), and the mark of their plan.

    The mark is None without changes. `where` is the option or argument that errors name. Raises `InputError` for an
    unknown path, and what `requirements.document.load` raises, names of models and prices that no catalogue has
    included. Such a name in the file may be what a change corrects.
    """
    return of_document(yaml_files.load(path), texts, scale_traffic, where)


def of_document(
    document: Document, texts: Sequence[str], scale_traffic: float = 1.0, where: str = "--set"
) -> tuple[Requirements, WhatIf | None]:
    """As `load`, for requirements that are already read."""
    changes, factor = requirement_changes.parse_recorded(texts, where)
    factor *= scale_traffic
    if not changes and factor == 1:
        return requirements_of.parse(document, candidates.catalogue_faults), None
    base = requirements_of.parse(document)
    changed = requirement_changes.apply_changes(document, changes, factor, where, candidates.catalogue_faults)
    recorded = requirement_changes.describe_changes(changes, factor)
    return changed, WhatIf(changes=recorded, base_sha256=base.digest)
