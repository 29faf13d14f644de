"""Create a bearer token, or a secret that signs webhooks, with the entry for the settings of the service.

    slidehook grant lab --scope read --scope submit --collection 51de...
    slidehook grant scanner --webhook

The token or secret is printed once and is not stored. The entry of a token contains its hash only.
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
    parser.add_argument("name", help="the name of the token in error messages and logs")
    parser.add_argument("--scope", action="append", choices=[each.value for each in Scope], help="may be repeated")
    parser.add_argument("--collection", action="append", help="id of a collection; may be repeated; default: all")
    parser.add_argument("--source", action="append", help="additional s3://bucket/prefix to read; may be repeated")
    parser.add_argument("--webhook", action="store_true", help="create a secret that signs webhooks instead of a token")
    options = parser.parse_args(arguments)
    scopes = options.scope or [Scope.SUBMIT.value if options.webhook else Scope.READ.value]
    limits = {"scopes": scopes, "collections": options.collection, "sources": options.source}
    entry = {"name": options.name, **{name: value for name, value in limits.items() if value}}
    if options.webhook:
        created = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")
        entry["secret"], setting, check = created, "SLIDEHOOK_WEBHOOK_SECRETS", secrets_of
    else:
        created = secrets.token_urlsafe(TOKEN_BYTES)
        entry["sha256"], setting, check = token_hash(created), "SLIDEHOOK_TOKENS", tokens_of  # type: ignore[assignment]
    try:
        check(json.dumps([entry]))
    except ValueError as error:
        parser.error(str(error).replace("entry 1", "it"))
    print(f"{'secret' if options.webhook else 'token'}  {created}")
    print(f"entry for {setting}:")
    print(json.dumps(entry))
    return 0


if __name__ == "__main__":
    sys.exit(main())
