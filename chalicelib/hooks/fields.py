"""Types of the fields of requests and responses. Their JSON schemas state what the validators check, where they can."""

from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from chalicelib.core.jobs.source import OBJECT_ID, parse_s3_url
from chalicelib.core.plan.pyramid import MAX_TILE_SIZE_PX, MIN_TILE_SIZE_PX, TILE_SIZE_STEP_PX, check_tile_size
from chalicelib.core.web.callback_url import LONGEST_URL


def _s3_url(text: str) -> str:
    parse_s3_url(text)
    return text


def _object_id(text: str) -> str:
    if not OBJECT_ID.fullmatch(text.lower()):
        raise ValueError("must be an ObjectId: 24 hexadecimal digits")
    return text.lower()


# -- requests
S3Url = Annotated[
    str,
    AfterValidator(_s3_url),
    WithJsonSchema({"type": "string", "pattern": r"^s3://[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]/[\s\S]{1,1024}$"}),
]
TileSize = Annotated[
    int,
    AfterValidator(check_tile_size),
    WithJsonSchema(
        {"type": "integer", "minimum": MIN_TILE_SIZE_PX, "maximum": MAX_TILE_SIZE_PX, "multipleOf": TILE_SIZE_STEP_PX}
    ),
]
CallbackUrl = Annotated[str, Field(max_length=LONGEST_URL)]
ObjectIdText = Annotated[
    str, AfterValidator(_object_id), WithJsonSchema({"type": "string", "pattern": "^[0-9a-fA-F]{24}$"})
]

# -- responses
Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="id of a job or a sync")]
ObjectId = Annotated[str, Field(pattern=r"^[0-9a-f]{24}$", description="ObjectId of SlideAtlas")]
# The key of an object in the incoming bucket may not name a destination.
MaybeObjectId = Annotated[str, Field(pattern=r"^([0-9a-f]{24})?$", description="ObjectId of SlideAtlas, or empty")]
At = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="UTC, to the millisecond")]
Count = Annotated[int, Field(ge=0)]
Px = Annotated[int, Field(ge=0, description="pixels")]
