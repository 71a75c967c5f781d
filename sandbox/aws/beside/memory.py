"""Stores resources by account and region, like moto, until `POST /moto-api/reset`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sandbox.aws.service_frame import Refused, ServiceRequest

State = TypeVar("State")


class Memory(Generic[State]):
    """One state object, created by `make`, for each account and region.

    It is a moto store, so that moto's reset empties it too. moto is imported at first use, since the import is slow.
    """

    def __init__(self, make: Callable[[], State]) -> None:
        self._make = make
        self._store: Any = None
        self._lock = threading.Lock()

    def of(self, request: ServiceRequest) -> State:
        """Return the state for the request's account and region. Raises `Refused` if AWS has no such region."""
        with self._lock:
            self._store = self._store or self._create_store()
            try:
                return self._store[request.account][request.region].state
            except KeyError:
                raise Refused("ValidationException", 400, f"{request.region} is no region of AWS.") from None

    def _create_store(self) -> Any:
        from moto.core.base_backend import BackendDict, BaseBackend

        make = self._make

        class Store(BaseBackend):
            def __init__(self, region_name: str, account_id: str) -> None:
                super().__init__(region_name, account_id)
                self.state = make()

        # EC2 exists in every region of every partition.
        return BackendDict(Store, "ec2")
