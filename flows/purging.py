"""Purging: the key of a quarter and company is destroyed, its files are removed, and it is shown that nothing can be read."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from sqlalchemy import JSON, Column, DateTime, Integer, MetaData, String, Table, insert, select

from flows.drops import drop_of, make_local_drops
from flows.logs import Event, log
from flows.pool import Pool
from flows.turns import Turn, in_turn
from intake.arrival import clear
from intake.drop import INCOMING
from schemas.at_rest import Room, parquet_file
from schemas.errors import CheckFailedError, TransportError, UsageError
from schemas.periods import Quarter
from schemas.storage import Place, files_below, remove_folder, source_of

METADATA = MetaData()
_IN_A_ROOM = re.compile(r"(?P<quarter>[0-9]{4}Q[1-4])/(?P<company>[^./][^/]*)/")

PURGES = Table(
    "purges",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("by", String(64), nullable=False),  # account on this machine
    Column("event", String(16), nullable=False),  # begun, done
    Column("room", String(16), nullable=False),
    Column("quarter", String(6), nullable=False),
    Column("company", String(64), nullable=False),
    Column("counts", JSON, nullable=False),
)


@dataclass(frozen=True, order=True)
class Holding:
    """What is held of a company in a quarter and room. `until` is the day on which its time is over."""

    room: Room
    quarter: Quarter
    company: str
    until: str = ""
    files: int = 0
    bytes: int = 0
    has_key: bool = False

    @property
    def place(self) -> tuple[Room, Quarter, str]:
        """Which key it is under."""
        return self.room, self.quarter, self.company


@dataclass(frozen=True)
class Shown:
    """What a purge found and what it showed: readable with its own key before, with any remaining key afterwards."""

    files: int
    bytes: int
    readable_before: int
    readable_after: int
    keys_tried: int
    sendings_removed: int


def holdings(pool: Pool) -> list[Holding]:
    """Everything that is held: every key, and every folder of files whether its key is there or not."""
    keys = pool.keys_at_rest
    sizes = defaultdict[tuple[Room, Quarter, str], list[int]](list, {place: [] for place in keys.held()})
    for room in Room:
        for name, size in files_below(pool.room(room)).items():
            if match := _IN_A_ROOM.match(name):
                sizes[room, Quarter.parse(match["quarter"]), match["company"]].append(size)
    days = {Room.ACCEPTED: pool.retention.accepted_days, Room.SCRUBBED: pool.retention.scrubbed_days}
    found = []
    for (room, quarter, company), files in sorted(sizes.items()):
        until = (quarter.end + timedelta(days=days[room])).date().isoformat()
        found.append(Holding(room, quarter, company, until, len(files), sum(files), keys.exists(room, quarter, company)))
    return found


def to_purge(
    held: Iterable[Holding], now: datetime, *, quarter: Quarter | None = None, company: str = "", due: bool = False
) -> list[Holding]:
    """What of it a purge would take. Raises UsageError where nothing says what: a purge is never of everything."""
    if quarter is None and not company and not due:
        raise UsageError("Nothing says what to purge.", "Give --due, --quarter or --company; --dry-run shows what it would be.")
    return [
        each
        for each in held
        if quarter in (None, each.quarter) and company in ("", each.company) and (not due or each.until <= now.date().isoformat())
    ]


def purge(pool: Pool, chosen: Sequence[Holding], by: str, *, close_quarters: bool = False) -> list[tuple[Holding, Shown]]:
    """Destroys the keys of what was chosen and removes its files; what an interrupted purge began is finished first.

    Args:
        by: who asks, for the record.
        close_quarters: nothing is taken in any more for the quarters of what was chosen, from any company.

    Raises CheckFailedError where something could still be read afterwards, TransportError where a company's drop could not
    be looked into. Killed at any point, the next purge resumes.
    """
    METADATA.create_all(pool.engine)
    with in_turn(pool, Turn.SCRUB), in_turn(pool, Turn.INGEST):  # what is being scrubbed would be put in place afterwards
        if close_quarters:
            for room, quarter in {(each.room, each.quarter) for each in chosen}:
                pool.keys_at_rest.close_quarter(room, quarter)
        begun = [each for each in interrupted(pool) if each.place not in {c.place for c in chosen}]
        make_local_drops(pool)
        done, failed = list[tuple[Holding, Shown]](), list[TransportError]()
        for each in (*begun, *chosen):
            try:
                done.append((each, _purge(pool, each, by)))
            except TransportError as error:  # its keys and files are gone; the others do not wait for a store
                failed.append(error)
    if failed:
        raise TransportError(
            failed[0].message, "The rest is purged. Run the same again when the drop can be reached: it resumes."
        )
    return done


def interrupted(pool: Pool) -> list[Holding]:
    """What a purge began and did not finish."""
    METADATA.create_all(pool.engine)
    with pool.engine.connect() as connection:
        rows = connection.execute(select(PURGES).order_by(PURGES.c.number)).mappings().all()
    last = {(Room(row["room"]), Quarter.parse(row["quarter"]), row["company"]): row["event"] for row in rows}
    return [Holding(*place) for place, event in sorted(last.items()) if event == "begun"]


def purges(pool: Pool) -> list[dict[str, str]]:
    """What was purged, in order, and when and by whom."""
    METADATA.create_all(pool.engine)
    done = select(PURGES).where(PURGES.c.event == "done").order_by(PURGES.c.number)
    with pool.engine.connect() as connection:
        rows = connection.execute(done).mappings().all()
    return [
        {"at": f"{row['at']:%Y-%m-%d %H:%M}", **{name: row[name] for name in ("by", "room", "quarter", "company")}}
        for row in rows
    ]


def _purge(pool: Pool, holding: Holding, by: str) -> Shown:
    folder, keys = _folder(pool, holding.place), pool.keys_at_rest
    files = files_below(folder)
    own = keys.readable().get(holding.place)
    before = _readable(folder, files, [] if own is None else [own])
    sizes = sum(files.values())
    _record(pool, holding, by, "begun", {"files": len(files), "bytes": sizes, "readable_before": before})
    keys.destroy(*holding.place)
    remaining = list(keys.readable().values())
    after = _readable(folder, files, remaining)
    remove_folder(folder)
    sendings = _remove_sendings(pool, holding) if holding.room is Room.ACCEPTED else 0
    shown = Shown(len(files), sizes, before, after, len(remaining) + 1, sendings)
    if after or keys.exists(*holding.place) or files_below(folder):
        raise CheckFailedError(
            "Something of what was purged can still be read.", "Look for copies of keys and files; then run the same again."
        )
    _record(pool, holding, by, "done", asdict(shown))
    log(pool, Event.PURGED, company=holding.company, quarter=str(holding.quarter), bytes=sizes)
    return shown


def _folder(pool: Pool, place: tuple[Room, Quarter, str]) -> Place:
    room, quarter, company = place
    return pool.room(room) / str(quarter) / company


def _readable(folder: Place, files: Iterable[str], keys: Sequence[bytes]) -> int:
    """How many Parquet files can be opened with any of the keys, or with none at all."""
    sources = (source_of(folder / name) for name in files if not name.endswith(".json"))
    return sum(any(_opens(source, key) for key in (None, *keys)) for source in sources)


def _opens(source: Path | IO[bytes], key: bytes | None) -> bool:
    import pyarrow as pa

    try:
        with parquet_file(source, key):
            return True
    except (OSError, pa.ArrowException):
        return False


def _remove_sendings(pool: Pool, holding: Holding) -> int:
    """Takes out of the drop what was sent again of the purged submissions: the pool could still decrypt it."""
    digests = {each.digest for each in pool.catalogue.accepted(holding.quarter, holding.company)}
    if holding.company not in pool.registry.companies or not digests:
        return 0
    removed = 0
    with drop_of(pool, holding.company) as drop:
        for digest in sorted(digests):
            if drop.entries(f"{INCOMING}/{digest}", 1):
                clear(drop, digest)
                removed += 1
    return removed


def _record(pool: Pool, holding: Holding, by: str, event: str, counts: dict[str, int]) -> None:
    room, quarter, company = holding.place
    row = {"by": by, "event": event, "room": str(room), "quarter": str(quarter), "company": company, "counts": counts}
    with pool.engine.begin() as connection:
        connection.execute(insert(PURGES).values(at=datetime.now(UTC), **row))
