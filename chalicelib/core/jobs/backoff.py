"""How long to wait before trying again. Randomness is an argument."""

RETRY_BASE_SECONDS = 2.0
RETRY_LIMIT_SECONDS = 300.0
SILENCE_SECONDS = 90.0
SILENCE_LIMIT_SECONDS = 3600.0
# With an hour between the later ones this is two days and a half without any progress.
MAX_RESCUES = 64


# Readers who opened a slide that was replaced go on with it for a while: its tiles are kept that long.
GRACE_SECONDS = 15 * 60.0
# By then every worker of an attempt that is over has ended: Lambda's longest run, and as much again.
LATE_SECONDS = 30 * 60.0


def retry_after_seconds(receives: int, *, jitter: float) -> float:
    """Return how long to hide a message that was received `receives` times before it is tried again.

    `jitter` lies in [0, 1): full jitter (the wait is anywhere below the exponential), so that the messages of a failing
    database do not come back together.
    """
    longest = min(RETRY_LIMIT_SECONDS, RETRY_BASE_SECONDS * 2.0 ** min(receives, 16))
    return max(1.0, longest * jitter)


def silence_seconds(rescues: int) -> float:
    """Return how long a job may show no progress before it is sent a message again, for the `rescues` + 1st time."""
    return min(SILENCE_LIMIT_SECONDS, SILENCE_SECONDS * 2.0 ** min(rescues, 16))
