"""What the throw-away process is told, and the form of what it answers."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from intake.limits import Limits
from intake.record_checks import RecordContext

if TYPE_CHECKING:
    import pyarrow as pa

META_ROWS = b"rows"
META_PROBLEMS = b"problems"

EXIT_OF_CODE = {"E107": 107, "E108": 108, "E112": 112, "E119": 119}
"""How the process ends where a file cannot be read: by the number of its finding code."""


@dataclass(frozen=True)
class Job:
    """One file to read: its size and format, its place in the manifest, and what its records are checked against."""

    size: int
    file_format: str
    number: int
    context: RecordContext
    limits: Limits


@cache
def stream_schema() -> "pa.Schema":
    """Columns of the answer: the row's number and content digest, then the columns of the contract."""
    import pyarrow as pa

    from schemas.arrow import record_schema

    own = [pa.field("row", pa.int64()), pa.field("content", pa.string())]
    return pa.schema([*own, *record_schema()])
