"""One accepted Parquet file in, one scrubbed Parquet file out: only turn texts change."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from anonymize.report import ScrubReport
from anonymize.scrub import Conversation, Scrubber, shared_scrubber
from anonymize.settings import ScrubSettings
from schemas.at_rest import decryption, encryption
from schemas.errors import CommonsError, InternalError, OutOfSpaceError

_ROWS_AT_ONCE = 512
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class ShardKeys:
    """The keys of what is read and of what is written (`schemas.at_rest`), 32 bytes each."""

    source: bytes = field(repr=False)
    target: bytes = field(repr=False)


def scrub_shard(source: Path, target: Path, settings: ScrubSettings, keys: ShardKeys | None) -> ScrubReport:
    """Scrub the turn texts of one shard.

    Every other column, the order of rows and the schema with its metadata stay. Both files are encrypted under `keys`; None is
    for a company that scrubs its own plain files at home. The target is written under a temporary name, synced and then moved:
    it is whole or not there. The same source and settings give the same rows (and, where it is plain, the same bytes).

    Raises:
        ScrubStoppedError: a planted canary survived; nothing is written.
        OutOfSpaceError: the disk is full; nothing is left behind.
        InternalError: the source is not a shard that intake wrote, or a library failed.
    """
    scrubber = shared_scrubber(settings)
    planted = scrubber.check_canaries(f"{settings.ruleset_version}:{source.name}")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    failure: CommonsError | None = None
    report = ScrubReport()
    try:
        report = _rewrite(source, temporary, scrubber, keys)
        temporary.replace(target)
    except CommonsError as error:
        failure = error
    except OSError as error:
        failure = (
            OutOfSpaceError("no space to write a scrubbed shard", "free some space and run the same command again")
            if error.errno == 28
            else InternalError("a shard could not be read or written")
        )
    except Exception:  # a library's message may quote a cell
        failure = InternalError("a shard is not of the accepted form")
    finally:
        temporary.unlink(missing_ok=True)
    if failure is not None:
        raise failure from None
    return report.merge(ScrubReport(canaries=planted, canaries_caught=planted, ruleset_version=settings.ruleset_version))


def _rewrite(source: Path, temporary: Path, scrubber: Scrubber, keys: ShardKeys | None) -> ScrubReport:
    report = ScrubReport(ruleset_version=scrubber.settings.ruleset_version)
    readable, encrypted = (decryption(keys.source), encryption(keys.target)) if keys else (None, None)
    with pq.ParquetFile(source, decryption_properties=readable) as file, temporary.open("wb") as sink:
        schema = file.schema_arrow
        with pq.ParquetWriter(sink, schema, compression="zstd", encryption_properties=encrypted) as writer:
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                scrubbed, part = _scrub_batch(pa.Table.from_batches([batch], schema=schema), scrubber)
                writer.write_table(scrubbed, row_group_size=_ROWS_AT_ONCE)
                report = report.merge(part)
        sink.flush()
        os.fsync(sink.fileno())
    return report


def _scrub_batch(table: pa.Table, scrubber: Scrubber) -> tuple[pa.Table, ScrubReport]:
    # (rows) -> conversations: one for each row, empty where the row has no turns.
    rows: list[list[dict[str, Any]] | None] = table.column("turns").to_pylist()
    languages = _languages(table)
    conversations = [
        Conversation(language, tuple(turn["text"] or "" for turn in turns or ()))
        for turns, language in zip(rows, languages, strict=True)
    ]
    results = scrubber.scrub_conversations(conversations)
    counts: Counter[str] = Counter()
    withheld: Counter[str] = Counter()
    for turns, result in zip(rows, results, strict=True):
        counts.update(result.counts)
        withheld.update(result.withheld_by_reason)
        for turn, text in zip(turns or (), result.turns, strict=True):
            if turn["text"]:
                turn["text"] = text
    place = table.schema.get_field_index("turns")
    field = table.schema.field(place)
    scrubbed = table.set_column(place, field, pa.chunked_array([pa.array(rows, type=field.type)]))
    return scrubbed.replace_schema_metadata(table.schema.metadata), ScrubReport(
        records=len(rows),
        turns=sum(len(turns or ()) for turns in rows),
        characters=sum(len(turn) for conversation in conversations for turn in conversation.turns),
        counts=dict(sorted(counts.items())),
        withheld=dict(sorted(withheld.items())),
        ruleset_version=scrubber.settings.ruleset_version,
    )


def _languages(table: pa.Table) -> list[str]:
    if "person" not in table.schema.names:
        return [_UNKNOWN] * table.num_rows
    persons: list[dict[str, Any] | None] = table.column("person").to_pylist()
    return [str((person or {}).get("language") or _UNKNOWN).lower() for person in persons]
