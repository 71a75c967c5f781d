"""Admits requests to endpoints: no more at once than an endpoint serves within its goals; the rest waits fairly."""

from edge.admission.admission import Admission, Who
from edge.admission.pool import Slot

__all__ = ["Admission", "Slot", "Who"]
