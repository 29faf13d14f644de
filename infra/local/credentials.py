"""Secrets and ports that stay the same between starts."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from infra.local.children import (
    LocalError,
    free_port,
    port_is_free,
)
from infra.local.options import DEFAULT_PORT


def choose_port(wanted: int | None) -> int:
    """Return the API's port. Raises LocalError if the user's own choice is taken."""
    if wanted is not None:
        if not port_is_free(wanted):
            raise LocalError(f"Port {wanted} is taken. Choose another with PORT=, or leave it out.")
        return wanted
    if port_is_free(DEFAULT_PORT):
        return DEFAULT_PORT
    port = free_port()
    print(f"Port {DEFAULT_PORT} is taken; using {port}")
    return port


def kept_token(path: Path) -> str:
    """Return this checkout's bearer token, made on first use and printed then, readable by this user only."""

    def made() -> str:
        token = secrets.token_urlsafe(32)
        print(f"token   {token}\n        made for this checkout, with all rights; .local/stack.json has it from now on")
        return token

    return kept(path, made)


def kept_callback_secret(path: Path) -> str:
    """Return the secret that this checkout signs callbacks with, made and kept likewise."""
    return kept(path, lambda: f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}")


def kept(path: Path, make: Callable[[], str]) -> str:
    """Return a secret of this checkout, made on first use, readable by this user only."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(make())
    return path.read_text(encoding="ascii").strip()
