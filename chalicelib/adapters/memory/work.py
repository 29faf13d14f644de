"""What the steps leave for one another, as a dictionary."""

from chalicelib.core.errors import PlanExpiredError


class MemoryWork:
    """Work objects by key. `objects` may be looked at, and emptied to lose them."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> None:
        self.objects[key] = data

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        if start < 0 or (stop is not None and stop <= start):
            raise ValueError(f"bytes {start} to {stop} of the work object {key}")
        if key not in self.objects:
            raise PlanExpiredError(f"the work object {key} is gone")
        data = self.objects[key]
        if start >= len(data) and (start, stop) != (0, None):
            raise ValueError(f"bytes {start} to {stop} of the work object {key}, which has {len(data)}")
        return data[start:stop]
