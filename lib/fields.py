"""The kinds of value that requests may hold and answers are made of, with their bounds."""

import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

MAX_ID = 2**63 - 1
MAX_STOCK = 1_000_000
MAX_SIZES = 50
MAX_PRICE = Decimal("9999999.99")
# Years that every client can hold in a date, and that no offset carries out of Postgres' and Python's range.
FIRST_TIME = datetime(1970, 1, 1, tzinfo=UTC)
LAST_TIME = datetime(9999, 1, 1, tzinfo=UTC)


def _plain_text(value: str) -> str:
    # Cc: control characters, NUL among them, which Postgres cannot store. Cs: halves of characters that are not text.
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise ValueError("must have no control characters")
    return value


def _plain_query(value: object) -> object:
    """Before blanks at the ends are cut off: in an address a line break at an end is nobody's typing."""
    return _plain_text(value) if isinstance(value, str) else value


def _price(value: object) -> Decimal:
    """A JSON number or a numeric string, exactly as written: 19.99 is not 19.989999."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("must be a number")
    text = value.strip() if isinstance(value, str) else f"{Decimal(str(value)):f}"
    if not re.fullmatch(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", text):
        raise ValueError("must be a number")
    number = Decimal(text)
    # The range first: quantize cannot hold more than 28 digits.
    if not 0 <= number <= MAX_PRICE:
        raise ValueError(f"must be between 0 and {MAX_PRICE}")
    if number != number.quantize(Decimal("0.01")):
        raise ValueError("must have at most two decimals")
    return abs(number.quantize(Decimal("0.01")))


def _time_text(value: object) -> object:
    # Numbers would be taken for Unix seconds or milliseconds, whichever looks right.
    if not isinstance(value, str | datetime) or (
        isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d[Tt ]", value)
    ):
        raise ValueError("must be an ISO 8601 time with an offset, like 2030-01-31T12:00:00Z")
    return value


def _time_in_range(value: datetime) -> datetime:
    if not FIRST_TIME <= value < LAST_TIME:
        raise ValueError("must be in the years 1970 to 9998")
    # Offsets of up to a day are good ISO 8601, and Python's; Postgres takes none of 16 hours or more.
    return value.astimezone(UTC)


def utc_text(value: datetime) -> str:
    """An instant as the API writes it: ISO 8601, UTC, microseconds."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _digits(value: object) -> object:
    # In a path or a query. Stricter than int(): no sign, no spaces, no 1_0, no 1.0.
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,19}", value):
        raise ValueError("must be an integer")
    return value


Id = Annotated[int, Field(strict=True, ge=1, le=MAX_ID)]
Digits = BeforeValidator(_digits)
# The bounds come first: behind a validator of our own pydantic checks them, and leaves them out of the API document.
PathId = Annotated[int, Field(ge=1, le=MAX_ID), Digits]
# What _plain_text refuses, for readers of the API document.
_NO_CONTROL_CHARACTERS = Field(json_schema_extra={"pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"})
Name = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_plain_text),
    _NO_CONTROL_CHARACTERS,
]
SizeLabel = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=40),
    AfterValidator(_plain_text),
    _NO_CONTROL_CHARACTERS,
]
SearchText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=200),
    BeforeValidator(_plain_query),
    _NO_CONTROL_CHARACTERS,
]
WantedSize = Annotated[str, Field(strict=True, max_length=200), AfterValidator(_plain_text), _NO_CONTROL_CHARACTERS]
Units = Annotated[int, Field(strict=True, ge=1, le=MAX_STOCK)]
Price = Annotated[
    Decimal,
    BeforeValidator(_price),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": float(MAX_PRICE), "multipleOf": 0.01},
                {"type": "string", "pattern": r"^[0-9]{1,7}(\.[0-9]{1,2})?$"},
            ],
            "description": "At most two decimals.",
            "examples": [200, "19.99"],
        }
    ),
]
Currency = Annotated[str, Field(strict=True, pattern="^[A-Z]{3}$", description="ISO 4217")]
# An address from which the pages' content security policy lets a browser load an image. To a browser, what begins with
# // or /\ names another host.
ImageUrl = Annotated[
    str,
    Field(
        strict=True,
        max_length=2000,
        pattern=r"^(https://[!-~]|/[!-.0-\[\]-~])[!-~]*$",
        description="https://… or /… on the shop's own site.",
    ),
]
Time = Annotated[AwareDatetime, BeforeValidator(_time_text), AfterValidator(_time_in_range)]
HoldSeconds = Annotated[int, Field(strict=True, ge=1, le=86_400)]
MaxPerUser = Annotated[int, Field(strict=True, ge=1, le=MAX_STOCK)]

UtcTime = Annotated[datetime, PlainSerializer(utc_text, return_type=str, when_used="json")]
Money = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]
DropStatus = Literal["UPCOMING", "LIVE", "SOLD_OUT", "PAUSED", "ENDED", "CANCELLED"]
