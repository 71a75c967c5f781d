"""Batches: files of requests that are answered with the capacity that interactive requests leave."""

from edge.batches.api import BatchesApi
from edge.batches.store import BatchStore
from edge.batches.worker import BatchWorker

__all__ = ["BatchStore", "BatchWorker", "BatchesApi"]
