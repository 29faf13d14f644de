"""What ends the command, and with which exit code."""

import re

DONE, SLIDE_FAILED, WRONG_USAGE, NO_SERVICE, INTERRUPTED = 0, 1, 2, 3, 130

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class UsageError(Exception):
    """What was asked for makes no sense: exit code 2."""


class ServiceError(Exception):
    """The service does not answer, or does not know the token: exit code 3."""


class SlideFailure(Exception):  # noqa: N818 - the slide failed, the program did not
    """One slide was refused or failed: the others go on, and the exit code is 1."""

    def __init__(self, message: str, *, code: str = "refused", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


def plain(text: object) -> str:
    """Return text for a terminal: file names and answers may hold control sequences."""
    return CONTROL.sub(" ", str(text))
