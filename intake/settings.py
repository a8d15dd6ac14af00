"""A company's own settings, `commons.toml`: who it is, where its signing key lies, where it sends to and whom it trusts."""

import re
import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from schemas.errors import UsageError
from schemas.fields import Slug
from schemas.signing import decode_key

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SETTINGS_NAME = "commons.toml"
_TOLD = 5


class CompanySettings(BaseModel):
    """All of `commons.toml`. `to`, `pool_recipient` and `pool_key` come from the convener: None until they are filled in."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    company: Slug = Field(description="id under which the company is registered")
    agreement_id: Slug = Field(description="the sharing agreement that covers its submissions")
    key_id: Slug = Field(description="id of the signing key, as registered")
    signing_key: Path = Field(description="file of the signing key; a relative path counts from the settings' own folder")
    to: str | None = Field(default=None, min_length=1, description="the company's drop: a folder, s3://… or sftp://…")
    pool_recipient: str | None = Field(default=None, pattern=r"^age1[a-z0-9]+$", description="the pool's age recipient")
    pool_key: str | None = Field(default=None, description="the pool's Ed25519 key that signs receipts, base64")

    @field_validator("signing_key")
    @classmethod
    def _beside_the_settings(cls, path: Path, info: ValidationInfo) -> Path:
        return Path(info.context, path) if info.context else path

    @field_validator("pool_key")
    @classmethod
    def _is_a_key(cls, text: str | None) -> str | None:
        if text is not None and not _is_key(text):
            raise ValueError("not a key")
        return text


def _is_key(text: str) -> bool:
    try:
        decode_key(text)
    except UsageError:
        return False
    return True


def find_company_settings(start: Path) -> Path | None:
    """The `commons.toml` in `start` or in the nearest folder above it; None where there is none."""
    start = start.resolve()
    return next((path for folder in (start, *start.parents) if (path := folder / SETTINGS_NAME).is_file()), None)


def load_company_settings(path: Path) -> CompanySettings:
    """Reads `commons.toml`; `signing_key` comes out resolved against its folder.

    Raises UsageError where it cannot be read or breaks a rule: the message names fields of ours, never a value.
    """
    raw = read_toml(path)
    fields: list[str] = []
    try:
        return CompanySettings.model_validate(raw, context=str(path.resolve().parent))
    except ValidationError as error:
        known = CompanySettings.model_fields
        named = (str(problem["loc"][0]) if problem["loc"] else "" for problem in error.errors(include_input=False))
        fields = sorted({name if name in known else "a key that it does not know" for name in named})
    raise UsageError(
        f"commons.toml is not right: {', '.join(fields)}.",
        "`commons init` writes one with a comment to each key; compare with it.",
    )


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file of the company's own. Raises UsageError where it cannot be read; nothing of it is quoted but the line."""
    what = ""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        what = "cannot be read"
    except ValueError as error:  # its message quotes the text: only the place goes on
        place = re.search(r"\(at line (\d+), column \d+\)$", str(error))
        what = f"is not TOML (line {place[1]})" if place else "is not TOML"
    raise UsageError(f"{path.name} {what}.", 'Texts stand in "quotes", dates and true/false without; `#` begins a comment.')


def in_entry(error: ValidationError, names: Collection[str]) -> list[str]:
    """Where in an entry each problem is, in the `names` of ours: what the entry holds is never quoted."""
    problems = error.errors(include_input=False, include_context=False, include_url=False)
    return list(dict.fromkeys(_place(problem, names) for problem in problems))  # each form of a field tells of it


def _place(problem: "ErrorDetails", names: Collection[str]) -> str:
    named = ""
    for step in problem["loc"]:
        unknown = ", a field that is not known" if problem["type"] == "extra_forbidden" else ""
        named += f" {step + 1}" if isinstance(step, int) else f", {step}" if step in names else unknown
    if problem["type"] == "value_error":  # raised by a rule of ours, in fixed words
        return f"{named}: {problem['msg'].removeprefix('Value error, ')}"
    words = {"missing": " is missing", "extra_forbidden": ""}
    return named + words.get(problem["type"], " is not right")


def told(wrong: Sequence[str]) -> str:
    """The first of what is wrong, and how much more there is."""
    more = f"; and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
    return f"{'; '.join(wrong[:_TOLD])}{more}"


def read_signing_key(settings: CompanySettings) -> bytes:
    """The 32 raw bytes of the company's signing key. Raises UsageError where the file is missing or holds no key."""
    try:
        text = settings.signing_key.read_text(encoding="ascii")
    except (OSError, ValueError):
        text = ""
    if not text or not _is_key(text):
        raise UsageError(
            "The signing key of commons.toml cannot be read.",
            "`signing_key` names a file made by `commons init` or `commons keygen`.",
        )
    return decode_key(text)
