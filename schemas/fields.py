"""Field types that several models share."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, StringConstraints, WithJsonSchema

MAX_TURN_CHARACTERS = 32_768
MAX_TURNS = 100_000
# Lists have a longest length each, so that what a record may make the checks allocate is bounded by more than its line.
MAX_INTERVENTIONS = 10_000
MAX_OUTCOMES = 64  # of one intervention; each kind and window may stand once
MAX_LISTED_CODES = 64

# Whole days of precision are not enough and nanoseconds are not ours: RFC 3339, UTC, at most microseconds.
_RFC3339_UTC = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|\+00:00)", re.ASCII)


class Contract(BaseModel):
    """Base of every contract model: unknown keys are findings, types are not coerced, values do not appear in errors."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, allow_inf_nan=False, regex_engine="rust-regex"
    )


def utc(value: Any) -> datetime:
    """A UTC timestamp of RFC 3339, or a moment in UTC; raises ValueError on anything else."""
    if isinstance(value, str) and _RFC3339_UTC.fullmatch(value):
        return datetime.fromisoformat(value)  # in UTC: the pattern permits no other zone
    if isinstance(value, datetime) and value.utcoffset() == timedelta(0):
        return value.astimezone(UTC)
    raise ValueError("not a UTC timestamp")


UtcTimestamp = Annotated[
    datetime, BeforeValidator(utc), WithJsonSchema({"type": "string", "format": "date-time", "pattern": "(Z|\\+00:00)$"})
]
RecordId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Pseudonym = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[!-~]*$")]  # no white space, no look-alikes
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9._-]{1,64}$")]
Language = Annotated[str, StringConstraints(pattern=r"^([a-z]{2,3}|unknown)$")]
Region = Annotated[str, StringConstraints(pattern=r"^([A-Z]{2}|unknown)$")]
TurnText = Annotated[str, StringConstraints(max_length=MAX_TURN_CHARACTERS)]
TurnNumber = Annotated[int, Field(ge=1, le=MAX_TURNS)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

# A faulty list is told by its first faulty item: a million of them would cost gigabytes and say nothing more.
FIRST_FAULT_ONLY = FailFast()
FewCodes = Field(max_length=MAX_LISTED_CODES)
