"""Identifies callers by the digests of their keys and the names in their certificates."""

from edge.callers.caller import Caller, StoredIdentity, require_person
from edge.callers.file import FileKeys
from edge.callers.identify import Identify
from edge.callers.postgres import PostgresKeys
from edge.callers.store import KeyStore

__all__ = ["Caller", "FileKeys", "Identify", "KeyStore", "PostgresKeys", "StoredIdentity", "require_person"]
