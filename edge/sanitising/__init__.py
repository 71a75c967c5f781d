"""Sanitising: files in, the same files without what the rules of redaction find, and a manifest of all of it.

The way in for a data pipeline: documents for retrieval or fine-tuning are looked through by the rules that the edge
goes by. It knows of no command line; Parquet and S3 are imported when they are met.
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
