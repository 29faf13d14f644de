"""Make a bearer token, or a secret that signs webhooks, with the entry for the service's settings.

    python -m chalicelib.cli.grant lab --scope read --scope submit --collection 51de...
    python -m chalicelib.cli.grant scanner --webhook

What is made is printed once and kept nowhere. The entry of a token holds its hash only.
"""

import argparse
import base64
import json
import secrets
import sys
from collections.abc import Sequence

from chalicelib.core.standard_webhooks import SECRET_PREFIX
from chalicelib.core.web.auth import Scope, secrets_of, token_hash, tokens_of

TOKEN_BYTES, SECRET_BYTES = 32, 32


def main(arguments: Sequence[str] | None = None, *, prog: str = "python -m chalicelib.cli.grant") -> int:
    parser = argparse.ArgumentParser(prog=prog, description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", help="who gets it: shown where somebody is told what they may not")
    parser.add_argument("--scope", action="append", choices=[each.value for each in Scope], help="may be repeated")
    parser.add_argument("--collection", action="append", help="id of a collection; may be repeated; all if left out")
    parser.add_argument("--source", action="append", help="s3://bucket/prefix that is read besides; may be repeated")
    parser.add_argument("--webhook", action="store_true", help="a secret that signs webhooks, in place of a token")
    options = parser.parse_args(arguments)
    scopes = options.scope or [Scope.SUBMIT.value if options.webhook else Scope.READ.value]
    limits = {"scopes": scopes, "collections": options.collection, "sources": options.source}
    entry = {"name": options.name, **{name: value for name, value in limits.items() if value}}
    if options.webhook:
        made = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")
        entry["secret"], setting, check = made, "SLIDEHOOK_WEBHOOK_SECRETS", secrets_of
    else:
        made = secrets.token_urlsafe(TOKEN_BYTES)
        entry["sha256"], setting, check = token_hash(made), "SLIDEHOOK_TOKENS", tokens_of  # type: ignore[assignment]
    try:
        check(json.dumps([entry]))
    except ValueError as error:
        parser.error(str(error).replace("entry 1", "it"))
    print(f"{'secret' if options.webhook else 'token'}  {made}")
    print(f"entry for {setting}:")
    print(json.dumps(entry))
    return 0


if __name__ == "__main__":
    sys.exit(main())
