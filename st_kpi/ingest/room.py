"""Room for bytes in work: a semaphore that counts bytes, so that memory is bounded whatever a record weighs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Room:
    """So many bytes may be in work at once; who asks first is served first. For threads."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._taken = 0
        self._first = threading.Lock()
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, amount: int) -> Iterator[None]:
        """Wait for room and hold it; what is larger than all there is waits until it is alone."""
        amount = min(amount, self.capacity)
        with self._first, self._changed:
            self._changed.wait_for(lambda: self._taken + amount <= self.capacity)
            self._taken += amount
        try:
            yield
        finally:
            with self._changed:
                self._taken -= amount
                self._changed.notify_all()
