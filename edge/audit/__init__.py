"""The audit record: chained lines on a volume, sealed into a write-once store by another identity (docs/audit.md)."""
