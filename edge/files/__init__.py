"""The file store of a gateway: encrypted files of callers in PostgreSQL, which are gone when fetched or after a day."""

from edge.files.cipher import Cipher, Unreadable
from edge.files.store import FileStore, StoredFile

__all__ = ["Cipher", "FileStore", "StoredFile", "Unreadable"]
