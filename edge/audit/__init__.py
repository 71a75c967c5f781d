"""Audit records: chained lines on a volume, which another identity seals into a write-once store (docs/audit.md)."""
