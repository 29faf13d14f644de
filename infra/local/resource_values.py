"""Values of template resources in the form that boto3 takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    pass


def attribute_text(value: Any) -> str:
    """Return a property as SQS wants its attributes: text, JSON where there is structure."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def parsed(text: str | None) -> Any:
    """Return what an attribute says, so that spacing, order and 5 or "5" make no difference."""
    try:
        value = json.loads(text or "null")
    except ValueError:
        return text
    if not isinstance(value, dict):
        return value
    return {key: str(item) if isinstance(item, int) else item for key, item in value.items()}


def includes(found: Any, wanted: Any) -> bool:
    """Whether `found` says all that `wanted` says; services add defaults of their own."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(includes(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(includes(one, other) for one, other in zip(found, wanted, strict=True))
        )
    return bool(found == wanted)


def lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return CloudFormation's rule in the words of S3's API."""
    api_rule: dict[str, Any] = {"Filter": {"Prefix": ""}}
    for key, value in rule.items():
        match key:
            case "Id":
                api_rule["ID"] = value
            case "ExpirationInDays":
                api_rule["Expiration"] = {"Days": value}
            case _:
                api_rule[key] = value
    return api_rule


def cors_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return CloudFormation's rule in the words of S3's API."""
    names = {"Id": "ID", "MaxAge": "MaxAgeSeconds"}
    return {names.get(key, key): value for key, value in rule.items()}


def status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def raise_unless_missing(error: ClientError) -> None:
    """A configuration that was never set is answered with 404; anything else is a real error."""
    if status_of(error) != 404:
        raise error
