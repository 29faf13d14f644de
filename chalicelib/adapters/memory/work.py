"""The work bucket in memory."""

from chalicelib.core.errors import PlanExpiredError


class MemoryWork:
    """ports.Work as a dictionary. Tests read and delete `objects`."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> None:
        self.objects[key] = data

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        if start < 0 or (stop is not None and stop <= start):
            raise ValueError(f"bytes {start} to {stop} of the work object {key}")
        if key not in self.objects:
            raise PlanExpiredError(f"the work object {key} does not exist")
        data = self.objects[key]
        if start >= len(data) and (start, stop) != (0, None):
            raise ValueError(f"bytes {start} to {stop} of the work object {key}, which has {len(data)}")
        return data[start:stop]
