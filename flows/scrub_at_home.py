"""Scrubbing at home: a copy of a submission whose turn texts are scrubbed, hashed and signed anew. Nothing leaves the machine."""

import gzip
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import orjson

from flows.progress import tell
from intake.limits import DEFAULT_LIMITS
from intake.manifest_checks import read_manifest
from intake.preparing import data_file, sign_manifest
from intake.reading import read_rows
from intake.record_checks import parse_record
from schemas.errors import CommonsError, OutOfSpaceError, SubmissionRefusedError
from schemas.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from anonymize.scrub import Scrubber
    from anonymize.settings import ScrubSettings

_ROWS_AT_ONCE = 256
_REFUSED = ("The submission cannot be scrubbed as it is.", "Run `commons validate` on it for all findings.")


def scrub_submission(folder: Path, target: Path, signing_key: bytes, scrub_toml: Path, helplines_toml: Path) -> str:
    """Writes a scrubbed copy of a submission to `target`, in place of an earlier one, and returns its digest.

    Only turn texts change; a turn that the scrub withholds becomes its placeholder, as at the pool. Lines of JSON that are
    no record of the contract are left out: nothing that the scrub has not read is in the copy. The same submission and
    rules give the same bytes. Raises SubmissionRefusedError where the submission is not sound, ScrubStoppedError where the
    scrub could not vouch for itself, OutOfSpaceError.
    """
    from anonymize.settings import load_scrub_settings

    read, findings = read_manifest(folder, DEFAULT_LIMITS)
    if read is None or findings:
        raise SubmissionRefusedError(*_REFUSED)
    settings = load_scrub_settings(scrub_toml, helplines_toml)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    failure: CommonsError | None = None
    try:
        files = [file.model_dump() for file in read.manifest.files]
        for done, file in enumerate(files):

            def progress(share: float, done: int = done) -> None:
                tell("scrub at home", (done + share) / len(files))

            progress(0.0)
            _scrub_file(folder / file["path"], staging / file["path"], file, settings, progress)
            file |= data_file(staging / file["path"]) or {}
        manifest = orjson.loads((folder / MANIFEST_NAME).read_bytes())
        manifest.pop("signature")
        manifest["files"] = [{name: file[name] for name in ("path", "sha256", "bytes", "records", "format")} for file in files]
        attested = manifest["attestations"]
        attested["redaction_tool"] = _noted(attested["redaction_tool"], settings.ruleset_version)
        made, problems = sign_manifest(staging, manifest, signing_key)
        if made is None or problems:
            raise SubmissionRefusedError(*_REFUSED)
        shutil.rmtree(target, ignore_errors=True)
        staging.replace(target)
        tell("scrub at home", 1.0)
        return made.digest
    except CommonsError as known:
        failure = type(known)(known.message, known.next_step)
    except OSError as error:
        full = error.errno in (28, 122)
        failure = (
            OutOfSpaceError("No space for a scrubbed copy.", "Free some beside the submission.")
            if full
            else SubmissionRefusedError(*_REFUSED)
        )
    except Exception:  # whatever a library raises here comes from the files, and may quote them
        failure = SubmissionRefusedError(*_REFUSED)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    raise failure


def _noted(tool: str, ruleset: str) -> str:
    note = f"; incident-commons scrub {ruleset[:12]}"
    return tool[: 500 - len(note)] + note


def _scrub_file(
    source: Path, target: Path, file: dict[str, Any], settings: "ScrubSettings", progress: Callable[[float], None]
) -> None:
    from anonymize.scrub import shared_scrubber

    if file["format"] == "parquet":
        from anonymize.shard import scrub_shard

        scrub_shard(source, target, settings, None, progress=progress)
        return
    scrubber = shared_scrubber(settings)
    with source.open("rb") as stream, _writing(target, file["format"]) as out:
        rows = read_rows(stream, source.stat().st_size, file["format"], DEFAULT_LIMITS)
        records = (raw for _, raw in rows if isinstance(raw, dict) and parse_record(dict(raw))[0] is not None)
        for number, batch in enumerate(iter(lambda: list(islice(records, _ROWS_AT_ONCE)), [])):
            seed = f"{settings.ruleset_version}:{target.name}:{number}"
            out.write(b"".join(orjson.dumps(raw) + b"\n" for raw in _scrub_records(batch, scrubber, seed)))
            progress(min(1.0, (number + 1) * _ROWS_AT_ONCE / max(1, file["records"])))


def _scrub_records(records: list[dict[str, Any]], scrubber: "Scrubber", seed: str) -> list[dict[str, Any]]:
    from anonymize.scrub import Conversation

    # (records) -> conversations: one for each record, empty where it has no turns.
    turns = [record.get("turns") or [] for record in records]
    languages = [str(record["person"]["language"]).lower() if record.get("person") else "unknown" for record in records]
    conversations = [
        Conversation(language, tuple(turn.get("text") or "" for turn in each))
        for each, language in zip(turns, languages, strict=True)
    ]
    for each, scrubbed in zip(turns, scrubber.scrub_with_canaries(conversations, seed), strict=True):
        for turn, text in zip(each, scrubbed.turns, strict=True):
            if turn.get("text"):
                turn["text"] = text
    return records


@contextmanager
def _writing(target: Path, file_format: str) -> Iterator[IO[bytes]]:
    with target.open("xb") as stream:
        if file_format == "jsonl.gz":
            with gzip.GzipFile(filename="", fileobj=stream, mode="wb", mtime=0) as packed:
                yield cast(IO[bytes], packed)
        elif file_format == "jsonl.zst":
            import pyarrow as pa

            with pa.CompressedOutputStream(pa.PythonFile(stream, "w"), "zstd") as packed:
                yield cast(IO[bytes], packed)
        else:
            yield stream
