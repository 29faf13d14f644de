"""The end of a job is announced by who ended it, whatever door it came through."""

import logging

from chalicelib.core.errors import TransientError
from chalicelib.core.jobs.deliveries import PendingNotification
from chalicelib.services import Services

logger = logging.getLogger("slidehook")


def tell(job: str, attempt: int, system: Services) -> None:
    """Let the receivers of a job hear how an attempt ended, if it has. A courtesy: the minute timer does it as well."""
    if not system.settings.callback_secrets:
        return
    from chalicelib.steps.deliver import announce

    try:
        announce(
            PendingNotification(job=job, attempt=attempt), hook_urls=system.settings.callback_urls,
            jobs=system.jobs, deliveries=system.deliveries, queue=system.queue, clock=system.clock,
        )  # fmt: skip
    except TransientError as error:
        logger.warning("job %s: its end was not announced yet: %s", job, error)
    except Exception:
        logger.exception("job %s: its end was not announced", job)
