"""What is served here is kept as moto keeps its own: by account and region, until `POST /moto-api/reset`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sandbox.aws.service_frame import Asked, Refused

Held = TypeVar("Held")


class Memory(Generic[Held]):
    """One `Held`, from `make`, for each account and region.

    It is one of moto's own stores, so that moto's reset empties it together with moto's. moto is imported
    when something is first kept, as it takes its time.
    """

    def __init__(self, make: Callable[[], Held]) -> None:
        self._make = make
        self._store: Any = None
        self._lock = threading.Lock()

    def of(self, asked: Asked) -> Held:
        """Raises `Refused` where AWS has no such region."""
        with self._lock:
            self._store = self._store or self._made()
            try:
                return self._store[asked.account][asked.region].held
            except KeyError:
                raise Refused("ValidationException", 400, f"{asked.region} is no region of AWS.") from None

    def _made(self) -> Any:
        from moto.core.base_backend import BackendDict, BaseBackend

        make = self._make

        class Kept(BaseBackend):
            def __init__(self, region_name: str, account_id: str) -> None:
                super().__init__(region_name, account_id)
                self.held = make()

        # EC2 is in every region, of every partition.
        return BackendDict(Kept, "ec2")
