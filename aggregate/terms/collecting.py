"""Collecting: from scrubbed Parquet to what each user wrote, as prints; text goes through memory and is never written.

First the records that count are settled, by the same rules as for every measure; then each file is read once for its text,
and once more for how the terms are spelled that could be found: a print says nothing without the text.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aggregate.bounding import MeasurementSettings
from aggregate.reading import record_batches
from aggregate.resolving import resolved_records
from aggregate.scratch import scratch_database
from aggregate.terms.bounded import UserTerms
from aggregate.terms.grams import Grams, Places, Prints, Words, is_among, mixed, multi_word, prints_of
from aggregate.terms.vocabulary import vocabulary
from schemas.emerging import TermRule, TermSearch
from schemas.errors import InternalError
from schemas.keys import PUBLIC_AGE_BANDS, UNKNOWN
from schemas.plan import RegisteredPlan
from schemas.stages import EncryptedFiles, ScrubbedRecords

_ALL_ROUNDS = 5
"""Times the most terms of one round that are kept of a record, where there are several rounds."""

_TEXT = ("unit", "content", "company", "turns.role", "turns.text")
_PHRASE = np.uint64(2**63)


@contextmanager
def user_terms(
    records: ScrubbedRecords,
    plan: RegisteredPlan,
    earlier: Mapping[str, Collection[str]],
    secret: bytes,
    scratch: Path,
    settings: MeasurementSettings,
) -> Iterator[list[UserTerms]]:
    """What users wrote, for each search of the plan; it lives in a scratch database that is removed afterwards.

    Args:
        records: scrubbed Parquet of one quarter.
        earlier: by search, the terms that were found in earlier quarters: they are followed, and not found again.
        secret: key of the prints and of the order of a user's terms; privacy never rests on it.
        scratch: a folder of the caller's. What is written there are prints under a key of the secret, no text.
    """
    if not plan.searched():
        yield []
        return
    with scratch_database(scratch, settings.terms_memory, settings.threads, settings.disk_limit) as connection:
        counted = _records_that_count(connection, records.parts, plan, settings)
        collected = [_Search.of(search, plan, earlier.get(search.name, ()), secret, connection) for search in plan.searched()]
        for batch in _batches(records):
            for search in collected:
                search.insert(search.grams(batch, counted[search.search.minors]), batch)
        yield [search.spell(records, counted[search.search.minors]) for search in collected]


def _records_that_count(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[EncryptedFiles], plan: RegisteredPlan, settings: MeasurementSettings
) -> dict[bool, Prints]:
    """Prints of the records whose text is read, sorted: with known minors' (True) and without (False).

    A user counts as a known minor where any of the records says so. Text in a language that the plan does not list is not
    read: its ordinary words would all be new.
    """
    found: dict[bool, list[Prints]] = {True: [], False: []}
    minors = sorted(code for code, public in PUBLIC_AGE_BANDS.items() if public == "under_18")
    columns = {"person.age_band", "person.language"}
    for _ in resolved_records(connection, parts, plan, settings.rows_a_pass, columns):
        for with_minors in found:
            rows = connection.execute(
                """
                select unit::blob as unit, content::blob as content from records
                where list_contains($languages, person.language)
                  and ($minors or unit not in (select unit from records where list_contains($young, person.age_band)))
                """,
                {"languages": [*plan.release_plan.languages, UNKNOWN], "minors": with_minors, "young": minors},
            ).fetchnumpy()
            found[with_minors].append(_record_prints(_halves(rows["unit"]), _halves(rows["content"])))
    return {key: np.sort(np.concatenate(prints or [np.zeros(0, np.uint64)])) for key, prints in found.items()}


def _halves(digests: Iterable[bytes | None]) -> Prints:
    joined = b"".join(digest or bytes(16) for digest in digests)
    return np.frombuffer(joined, np.uint64).reshape(-1, 2)


def _record_prints(units: Prints, contents: Prints) -> Prints:
    # A record's content is a digest of it: with the user's it names the record, up to 64 bits.
    return np.asarray(units[:, 0] ^ contents[:, 1], np.uint64)


@dataclass(frozen=True)
class _Batch:
    """Some records: the halves of their units' and contents' digests, their companies, and their turns with the record of each."""

    units: Any = field(repr=False)
    unit: Prints = field(repr=False)  # first 64 bits
    record: Prints = field(repr=False)
    companies: Places = field(repr=False)
    texts: Any = field(repr=False)
    roles: Any = field(repr=False)
    owners: Places = field(repr=False)


def _batches(records: ScrubbedRecords) -> Iterator[_Batch]:
    known = pa.array(records.companies, pa.string())
    for batch in record_batches(records.parts, _TEXT, digests=("unit", "content")):
        units, contents, turns = (_column(batch, name) for name in ("unit", "content", "turns"))
        companies = pc.index_in(batch.column("company").cast(pa.string()), known)
        if companies.null_count:
            raise InternalError("A record is of a company that does not contribute.")
        flat = turns.flatten()
        halves = [_halves(digests.storage.to_pylist()) for digests in (units, contents)]
        yield _Batch(
            units=units,
            unit=halves[0][:, 0],
            record=_record_prints(*halves),
            companies=companies.to_numpy(),
            texts=flat.field("text"),
            roles=flat.field("role"),
            owners=np.repeat(np.arange(len(batch)), pc.list_value_length(turns).fill_null(0).to_numpy()),
        )


def _column(batch: pa.RecordBatch, name: str) -> Any:
    return batch.column(name)


@dataclass(frozen=True)
class _Search:
    """One search while it collects."""

    search: TermSearch
    mass: int
    minimum: int
    words: Words
    known: Prints
    tracked: tuple[str, ...]
    followed: Prints
    connection: duckdb.DuckDBPyConnection = field(repr=False)

    @classmethod
    def of(
        cls,
        search: TermSearch,
        plan: RegisteredPlan,
        earlier: Collection[str],
        secret: bytes,
        connection: duckdb.DuckDBPyConnection,
    ) -> "_Search":
        public = vocabulary(plan.release_plan.languages)
        words, tracked = Words(public, secret), tuple(sorted(set(earlier)))
        connection.execute(f"create table chosen_{search.name} (unit uuid, company usmallint, term ubigint, place ubigint)")
        connection.execute(f"create table followed_{search.name} (unit uuid, company usmallint, term ubigint)")
        known, followed = prints_of(words, multi_word(public)), prints_of(words, tracked)
        privacy = plan.privacy
        return cls(search, privacy.unit.weight_scale, privacy.companies.minimum, words, known, tracked, followed, connection)

    @property
    def kept(self) -> int:
        """Terms of a record that are kept: a user's first ones are among the first ones of the records."""
        return self.search.most * (1 if self.search.rounds == 1 else _ALL_ROUNDS)

    def grams(self, batch: _Batch, counted: Prints, users: Prints | None = None) -> Grams:
        """Terms of the batch's records that count, those of some users only where they are given."""
        wanted = is_among(batch.record, counted)
        if users is not None:
            wanted &= is_among(batch.unit, users)
        of_speaker = pc.equal(batch.roles, pa.scalar(self.search.speaker)).fill_null(False).to_numpy(zero_copy_only=False)
        read = wanted[batch.owners] & of_speaker
        return self.words.read(batch.texts.filter(pa.array(read)).fill_null("").to_pylist(), batch.owners[read])

    def insert(self, grams: Grams, batch: _Batch) -> None:
        """Keeps what a user may count with, and what was found earlier."""
        again = is_among(grams.prints, self.followed)
        fresh = ~again & ~is_among(grams.prints, self.known)
        place = mixed(grams.prints ^ mixed(batch.unit[grams.owners])) >> np.uint64(1)
        place |= np.where(grams.lengths > 1, _PHRASE, np.uint64(0))
        owners, prints, place = grams.owners[fresh], grams.prints[fresh], place[fresh]
        first = _first_of_each(owners, prints, place, self.kept)
        self._insert(f"chosen_{self.search.name}", batch, owners[first], term=prints[first], place=place[first])
        self._insert(f"followed_{self.search.name}", batch, grams.owners[again], term=grams.prints[again])

    def _insert(self, table: str, batch: _Batch, owners: Places, **columns: Prints) -> None:
        if not len(owners):
            return
        rows = {"unit": batch.units.take(pa.array(owners)), "company": pa.array(batch.companies[owners], pa.uint16())}
        self.connection.register("arriving", pa.table({**rows, **{name: pa.array(values) for name, values in columns.items()}}))
        self.connection.execute(f"insert into {table} by name select distinct * from arriving")
        self.connection.unregister("arriving")

    def spell(self, records: ScrubbedRecords, counted: Prints) -> UserTerms:
        """All that was collected, with the spelling of every term that could be found.

        A strict search finds no term of fewer than K companies: others need no spelling. Each is looked up in the text of
        one user who wrote it.
        """
        least = self.minimum if self.search.rule is TermRule.STRICT else 1
        found = self.connection.execute(
            f"""
            select term, min(unit)::blob as unit from chosen_{self.search.name}
            group by term having count(distinct company) >= {least}
            """
        ).fetchnumpy()
        wanted = np.sort(found["term"])
        users = np.unique(_halves(found["unit"])[:, 0])
        spelled: dict[int, str] = {}
        for batch in _batches(records) if len(wanted) else ():
            grams = self.grams(batch, counted, users)
            for number in np.flatnonzero(is_among(grams.prints, wanted)):
                spelled.setdefault(int(grams.prints[number]), grams.text(int(number)))
        if len(spelled) < len(wanted):
            raise InternalError("The spelling of a term was not found again.")
        name, prints = self.search.name, tuple(self.words.print_of(term) for term in self.tracked)
        return UserTerms(
            search=self.search,
            mass=self.mass,
            minimum=self.minimum,
            companies=len(records.companies),
            chosen=f"chosen_{name}",
            followed=f"followed_{name}",
            tracked=self.tracked,
            prints=prints,
            spelled=spelled,
            connection=self.connection,
        )


def _first_of_each(owners: Places, prints: Prints, place: Prints, most: int) -> Places:
    """Where the first different terms of each owner stand, in the order of `place`."""
    order = np.lexsort((place, owners))
    owners, prints, place = owners[order], prints[order], place[order]
    new = np.ones(len(order), bool)
    new[1:] = (owners[1:] != owners[:-1]) | (prints[1:] != prints[:-1]) | (place[1:] != place[:-1])
    order, owners = order[new], owners[new]
    starts = np.searchsorted(owners, owners)
    return np.asarray(order[np.arange(len(order)) - starts < most], np.int64)
