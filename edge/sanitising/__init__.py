"""Redacts files of a data pipeline with the rules of the edge, and writes a manifest of all files.

It is for documents of retrieval or fine-tuning. It does not depend on the command line. Parquet and S3 are imported
when they are needed.
"""

from edge.sanitising.document import Cleaner, Document
from edge.sanitising.locations import BadPlace, FolderSource, FolderTarget, PlaceFault, Source, Target
from edge.sanitising.refusal import Refused
from edge.sanitising.run import Broken, Options, Outcome, sanitise

__all__ = [
    "BadPlace",
    "Broken",
    "Cleaner",
    "Document",
    "FolderSource",
    "FolderTarget",
    "Options",
    "Outcome",
    "PlaceFault",
    "Refused",
    "Source",
    "Target",
    "sanitise",
]
