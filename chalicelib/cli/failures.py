"""The errors of the command, with their exit codes.

Exception
├── UsageError      the options or the input are invalid: 2
├── ServiceError    the service refused the token, or is not a Slidehook service: 3
│   ├── SilentError     the service does not respond
│   └── FaultError      the service responded with a server error
└── SlideFailure    one slide was refused or failed; the command continues with the next: 1
"""

import re

DONE, SLIDE_FAILED, WRONG_USAGE, NO_SERVICE, INTERRUPTED = 0, 1, 2, 3, 130

# Control characters, and characters that change the direction of text.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")


class UsageError(Exception):
    """The options or the input are invalid."""

    code = "wrong_usage"
    hint = ""


class ServiceError(Exception):
    """The service cannot be used. The error does not depend on the slide."""

    code = "no_service"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SilentError(ServiceError):
    """The service does not respond."""


class FaultError(ServiceError):
    """The service responded with a server error. A retry may succeed."""

    code = "service_failed"


class SlideFailure(Exception):  # noqa: N818 - the slide failed, not the program
    """One slide was refused or failed."""

    def __init__(self, message: str, *, code: str = "refused", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


Failure = UsageError | ServiceError | SlideFailure


def plain(text: object) -> str:
    """Return text for a terminal, without control characters: file names and responses may contain them."""
    return CONTROL.sub(" ", str(text)).encode("utf-8", "replace").decode()


def sentence(failure: Failure) -> str:
    """Return the message, the code and the hint of a failure in one line."""
    code = f" ({failure.code})" if isinstance(failure, SlideFailure | FaultError) else ""
    return plain(f"{failure}{code}. {failure.hint}").strip()


def as_error(failure: Failure) -> dict[str, str]:
    """Return a failure for JSON."""
    return {"code": failure.code, "message": plain(failure), "hint": plain(failure.hint)}
