"""One accepted Parquet file in, one scrubbed Parquet file out: only turn texts change."""

import errno
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from anonymize.report import OTHER_LANGUAGES, ScrubReport
from anonymize.scrub import Conversation, ScrubbedConversation, Scrubber, shared_scrubber
from anonymize.settings import ScrubSettings
from schemas.at_rest import encryption, parquet_file
from schemas.errors import CommonsError, InternalError, OutOfSpaceError
from schemas.storage import Place, source_of, whole_file

_ROWS_AT_ONCE = 512
_ROWS_A_GROUP = 4_096  # every column of a group is decrypted by itself: small groups made reading three times as slow
_BYTES_A_GROUP = 64 << 20
_CHARACTERS_AT_ONCE = 400_000
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class ShardKeys:
    """The keys of what is read and of what is written (`schemas.at_rest`), 32 bytes each."""

    source: bytes = field(repr=False)
    target: bytes = field(repr=False)


def scrub_shard(
    source: Place,
    target: Place,
    settings: ScrubSettings,
    keys: ShardKeys | None,
    *,
    report_file: Place | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> ScrubReport:
    """Scrub the turn texts of one shard.

    Every other column, the order of rows and the schema with its metadata stay. Both files are encrypted under `keys`; None is
    for a company that scrubs its own plain files at home. The target is whole or not there (`schemas.storage.whole_file`),
    and where it is there, its report is in `report_file` (JSON). The same source and settings give
    the same rows (and, where it is plain, the same bytes). Canaries are planted among the conversations of every 512 rows with
    text, others each time.

    Args:
        progress: told the share of rows that are scrubbed, 0 to 1, every 400,000 characters.

    Raises:
        ScrubStoppedError: a planted canary survived; nothing is written.
        OutOfSpaceError: disk or memory is full; nothing is left behind.
        TransportError: the store that a place is in cannot be reached.
        InternalError: the source is not a shard that intake wrote, or a library failed.
    """
    shard = _Shard(shared_scrubber(settings), f"{source.parent.name}/{source.name}", progress)
    failure: CommonsError | None = None
    report = ScrubReport()
    try:
        with whole_file(target) as sink:
            report = shard.rewrite(source, sink, keys)
            if report_file is not None:
                with whole_file(report_file) as stream:
                    stream.write(json.dumps(report.as_dict(), sort_keys=True).encode())
    except CommonsError as error:
        failure = error
    except MemoryError:
        failure = OutOfSpaceError("No memory to scrub a part.", "Free some, or set fewer workers in pool.toml, and run it again.")
    except OSError as error:
        failure = (
            OutOfSpaceError("No space to write a scrubbed part.", "Free some and run the same command again.")
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else InternalError("a shard could not be read or written")
        )
    except Exception:  # a library's message may quote a cell
        failure = InternalError("a shard is not of the accepted form")
    if failure is not None:
        raise failure from None
    return report


class _Shard:
    """One shard on its way through the scrubber. `name` tells its canaries from those of others."""

    def __init__(self, scrubber: Scrubber, name: str, progress: Callable[[float], None]) -> None:
        self._scrubber, self._settings, self._name, self._progress = scrubber, scrubber.settings, name, progress
        self._rows = self._scrubbed_rows = self._planted_batches = 0

    def rewrite(self, source: Place, sink: IO[bytes], keys: ShardKeys | None) -> ScrubReport:
        report = ScrubReport(ruleset_version=self._settings.ruleset_version)
        with parquet_file(source_of(source), keys.source if keys else None) as file:
            encrypted = encryption(keys.target) if keys else None
            schema, self._rows = file.schema_arrow, file.metadata.num_rows
            with pq.ParquetWriter(sink, schema, compression="zstd", encryption_properties=encrypted) as writer:
                held: list[pa.Table] = []
                for batch in _batches_of(file):
                    scrubbed, part = self._scrub_table(pa.Table.from_batches([batch], schema=schema))
                    held.append(scrubbed)
                    report = report.merge(part)
                    if sum(map(len, held)) >= _ROWS_A_GROUP or sum(table.nbytes for table in held) >= _BYTES_A_GROUP:
                        writer.write_table(pa.concat_tables(held), row_group_size=_ROWS_A_GROUP)
                        held.clear()
                if held:
                    writer.write_table(pa.concat_tables(held), row_group_size=_ROWS_A_GROUP)
        planted = self._planted_batches * self._settings.canaries.per_batch
        return report.merge(ScrubReport(canaries=planted, canaries_caught=planted, ruleset_version=report.ruleset_version))

    def _scrub_table(self, table: pa.Table) -> tuple[pa.Table, ScrubReport]:
        # (rows) -> conversations: one for each row, empty where the row has no turns.
        rows: list[list[dict[str, Any]] | None] = table.column("turns").to_pylist()
        conversations = [
            Conversation(language, tuple(turn["text"] or "" for turn in turns or ()))
            for turns, language in zip(rows, _languages(table), strict=True)
        ]
        counts: Counter[str] = Counter()
        withheld: Counter[str] = Counter()
        for turns, result in zip(rows, self._scrub(conversations), strict=True):
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
            characters=sum(map(_size, conversations)),
            languages=self._languages_of(conversations),
            counts=dict(sorted(counts.items())),
            withheld=dict(sorted(withheld.items())),
            ruleset_version=self._settings.ruleset_version,
        )

    def _scrub(self, conversations: Sequence[Conversation]) -> Iterator[ScrubbedConversation]:
        for number, batch in enumerate(_batches(conversations)):
            if not number and (any(map(_size, batch)) or not self._planted_batches):
                seed = f"{self._settings.ruleset_version}:{self._name}:{self._planted_batches}"
                self._planted_batches += 1
                yield from self._scrubber.scrub_with_canaries(batch, seed)
            else:
                yield from self._scrubber.scrub_conversations(batch)
            self._scrubbed_rows += len(batch)
            self._progress(self._scrubbed_rows / self._rows)

    def _languages_of(self, conversations: Sequence[Conversation]) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for conversation in conversations:
            known = conversation.language in self._settings.languages
            counts[conversation.language if known else OTHER_LANGUAGES] += sum(map(bool, conversation.turns))
        return {language: turns for language, turns in sorted(counts.items()) if turns}


def _batches_of(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    for group in range(file.num_row_groups):  # one at a time: of a store all that is asked for at once is fetched at once
        yield from file.iter_batches(batch_size=_ROWS_AT_ONCE, row_groups=[group])


def _size(conversation: Conversation) -> int:
    return sum(map(len, conversation.turns))


def _batches(conversations: Sequence[Conversation]) -> Iterator[Sequence[Conversation]]:
    """By characters, so that progress is told every few seconds; what is scrubbed with what changes no answer."""
    start = size = 0
    for number, conversation in enumerate(conversations):
        if size and size + _size(conversation) > _CHARACTERS_AT_ONCE:
            yield conversations[start:number]
            start, size = number, 0
        size += _size(conversation)
    yield conversations[start:]


def _languages(table: pa.Table) -> list[str]:
    if "person" not in table.schema.names:
        return [_UNKNOWN] * table.num_rows
    persons: list[dict[str, Any] | None] = table.column("person").to_pylist()
    return [str((person or {}).get("language") or _UNKNOWN).lower() for person in persons]
