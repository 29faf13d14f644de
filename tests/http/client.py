"""The type of the fixture `call`."""

from collections.abc import Callable

from chalice.test import HTTPResponse

Call = Callable[..., HTTPResponse]
