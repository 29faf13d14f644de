"""What ends the command, or one slide, and with which exit code.

Exception
├── UsageError      what was asked for makes no sense: 2
├── ServiceError    the service refused the token, or is no Slidehook: 3
│   ├── SilentError     it does not answer
│   └── FaultError      it answers that it failed
└── SlideFailure    one slide was refused or failed, the others go on: 1
"""

import re

DONE, SLIDE_FAILED, WRONG_USAGE, NO_SERVICE, INTERRUPTED = 0, 1, 2, 3, 130

# Control characters, and those that turn the direction of the text that follows them.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")


class UsageError(Exception):
    """What was asked for makes no sense."""

    code = "wrong_usage"
    hint = ""


class ServiceError(Exception):
    """The service does not do its part, whatever the slide."""

    code = "no_service"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SilentError(ServiceError):
    """The service does not answer."""


class FaultError(ServiceError):
    """The service answers that it failed. Another slide, or another time, may fare better."""

    code = "service_failed"


class SlideFailure(Exception):  # noqa: N818 - the slide failed, the program did not
    """One slide was refused or failed."""

    def __init__(self, message: str, *, code: str = "refused", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


Failure = UsageError | ServiceError | SlideFailure


def plain(text: object) -> str:
    """Return text for a terminal: file names and answers may hold control sequences, or be no Unicode."""
    return CONTROL.sub(" ", str(text)).encode("utf-8", "replace").decode()


def sentence(failure: Failure) -> str:
    """Return what happened and what to do, in one line; with the code that scripts and documents know a slide's by."""
    code = f" ({failure.code})" if isinstance(failure, SlideFailure | FaultError) else ""
    return plain(f"{failure}{code}. {failure.hint}").strip()


def as_error(failure: Failure) -> dict[str, str]:
    """Return a failure for JSON."""
    return {"code": failure.code, "message": plain(failure), "hint": plain(failure.hint)}
