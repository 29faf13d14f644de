"""Sends the callbacks of an ended job, from whatever route or consumer ended it."""

import logging

from chalicelib.binding import bind
from chalicelib.core.errors import TransientError
from chalicelib.core.jobs.deliveries import PendingNotification
from chalicelib.services import Services

logger = logging.getLogger("slidehook")


def notify(job: str, attempt: int, services: Services) -> None:
    """Send the callbacks of an attempt, if it has ended. A failure is only logged: the minute timer repeats it."""
    if not services.settings.callback_secrets:
        return
    from chalicelib.steps.deliver import announce

    try:
        bind(announce, services)(PendingNotification(job=job, attempt=attempt))
    except TransientError as error:
        logger.warning("job %s: its callbacks were not sent yet: %s", job, error)
    except Exception:
        logger.exception("job %s: its callbacks were not sent", job)
