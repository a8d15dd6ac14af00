"""Shifts: how a company's records of a quarter differ from its own earlier ones. Exact, for the operator alone.

Nothing here is noisy, so nothing of it may reach a release, a receipt or another company. Users are counted, each by one of
its records that a hash picks: users are independent, records of one user are not, and a test over records would cry wolf.
"""

import math
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from aggregate.reading import count_rows, users_of_buckets
from schemas.stages import EncryptedFiles
from schemas.unit import BUCKETS

FALSE_ALARMS = 0.01
"""Probability that a company which did not change raises any alarm over all dimensions of a quarter, at most."""
TOTAL_CHANGE = 0.05
"""Share of users that must have moved between cells, or else one cell must have changed by `CELL_FACTOR`."""
CELL_FACTOR, CELL_DEVIATIONS = 2.0, 4.0
VOLUME_FACTOR = 2.0
"""Records or users of a quarter against the mean of earlier ones; a company's volume is its own, so no test is made of it."""
FEWEST_USERS = 50
_SPARSE = 5.0
_REST = "(rare)"
_ROWS_A_PASS = 2_000_000

_COLUMNS = "unit record_id record_status event_class deployment person risk evasion n_turns started_at interventions".split()
_DIMENSIONS: Mapping[str, str] = {
    "event_class": "event_class",
    "ideation": "risk.ideation",
    "imminence": "risk.imminence",
    "bypassed": "evasion.bypassed",
    "surface": "deployment.surface",
    "age_band": "person.age_band",
    "intervention": "coalesce(interventions[1].type, 'none')",
    "interventions": "least(len(interventions), 5)::varchar",
    "records of the user": "case when own = 1 then '1' when own = 2 then '2' when own <= 5 then '3-5' when own <= 10 then '6-10' else '11+' end",
}


@dataclass(frozen=True)
class Profile:
    """Exact counts of one company and quarter: records, users, and users by dimension and cell."""

    records: int = field(repr=False)
    users: int = field(repr=False)
    cells: Mapping[str, Mapping[str, int]] = field(repr=False)


@dataclass(frozen=True)
class Shift:
    """One dimension of one company, now against before.

    `g` and `p` are of the likelihood-ratio test of homogeneity (NaN where too few users are there to say), `change` the share
    of users that moved between cells, `cell` the one that moved most, with its shares. For volumes `change` is the ratio.
    """

    dimension: str
    g: float
    degrees: int
    p: float
    change: float
    cell: str
    share_now: float
    share_before: float
    alarm: bool


def profile(files: EncryptedFiles, scratch: Path) -> Profile:
    """Counts one company's scrubbed records of one quarter. Memory is bounded by passes over whole buckets of users."""
    scratch.mkdir(parents=True, exist_ok=True)
    cells: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory(prefix="shifts-", dir=scratch) as folder, duckdb.connect(
        config={"temp_directory": folder, "python_enable_replacements": False, "autoinstall_known_extensions": False, "autoload_known_extensions": False}
    ) as connection:  # fmt: skip
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        connection.execute("create temp table prints (print uhugeint, users bigint)")
        records = users = 0
        for low, high in _passes(files):
            connection.register("arriving", users_of_buckets([files], _COLUMNS, low, high))
            connection.execute(
                """
                create or replace temp table sent as
                    select *, count(*) over (partition by unit) as own from arriving where record_status in ('new', 'correction')
                """
            )
            connection.unregister("arriving")
            connection.execute(
                """
                create or replace temp table chosen as select * from sent
                    qualify row_number() over (partition by unit order by sha256(unit || '/' || record_id)) = 1
                """
            )
            for name, cell, count in _counted(connection):
                cells.setdefault(name, Counter())[cell] += count
            records += _one(connection, "select count(*) from sent")
            users += _one(connection, "select count(*) from chosen")
            # What a copied user has in common with the one it was copied from, whatever its pseudonym is.
            connection.execute(
                """
                insert into prints select md5_number(started_at::varchar || '/' || n_turns || '/' || risk::varchar || '/' || interventions::varchar),
                    count(distinct unit) from sent group by 1
                """
            )
        copied = _one(
            connection,
            "select coalesce(sum(n), 0) from (select sum(users) as n from prints group by print having sum(users) > 1)",
        )
        total = _one(connection, "select coalesce(sum(users), 0) from prints")
    cells["same as another user's"] = Counter({"yes": copied, "no": total - copied})
    return Profile(records, users, {name: dict(found) for name, found in cells.items()})


def shifts(now: Profile, before: Sequence[Profile]) -> list[Shift]:
    """Every dimension of a quarter against all earlier ones together, the most unusual first; nothing where there is no history."""
    if not before:
        return []
    found = [*_volumes(now, before)]
    names = sorted({name for each in (now, *before) for name in each.cells})
    for name in names:
        earlier: Counter[str] = Counter()
        for each in before:
            earlier.update(each.cells.get(name, {}))
        found.append(_compared(name, now.cells.get(name, {}), earlier, FALSE_ALARMS / len(names)))
    return sorted(found, key=lambda s: (not s.alarm, math.inf if math.isnan(s.p) else s.p, -abs(s.change), s.dimension))


def _volumes(now: Profile, before: Sequence[Profile]) -> Iterator[Shift]:
    for name, mine, theirs in (
        ("volume: records", now.records, [each.records for each in before]),
        ("volume: users", now.users, [each.users for each in before]),
    ):
        mean = sum(theirs) / len(theirs)
        ratio = mine / mean if mean else math.inf
        alarm = max(mine, mean) >= FEWEST_USERS and not 1 / VOLUME_FACTOR < ratio < VOLUME_FACTOR
        yield Shift(name, math.nan, 0, math.nan, ratio, "", float(mine), mean, alarm)


def _compared(name: str, now: Mapping[str, int], before: Mapping[str, int], level: float) -> Shift:
    total_now, total_before = sum(now.values()), sum(before.values())
    if min(total_now, total_before) < FEWEST_USERS:
        return Shift(name, math.nan, 0, math.nan, 0.0, "", 0.0, 0.0, False)
    shares = {cell: (now.get(cell, 0) / total_now, before.get(cell, 0) / total_before) for cell in {*now, *before}}
    change = sum(abs(a - b) for a, b in shares.values()) / 2

    def deviations(cell: str) -> float:
        both = (now.get(cell, 0) + before.get(cell, 0)) / (total_now + total_before)
        scale = math.sqrt(both * (1 - both) * (1 / total_now + 1 / total_before))
        return abs(shares[cell][0] - shares[cell][1]) / scale if scale else 0.0

    most = max(sorted(shares), key=deviations)
    high, low = max(shares[most]), min(shares[most])
    moved = change >= TOTAL_CHANGE or (deviations(most) >= CELL_DEVIATIONS and high >= CELL_FACTOR * low)
    g, degrees = _likelihood_ratio(now, before)
    p = _upper_tail(g, degrees)
    return Shift(name, g, degrees, p, change, most, *shares[most], alarm=p < level and moved)


def _likelihood_ratio(now: Mapping[str, int], before: Mapping[str, int]) -> tuple[float, int]:
    """G of homogeneity and its degrees of freedom; cells with few expected in either are one."""
    total_now, total_before = sum(now.values()), sum(before.values())
    share = min(total_now, total_before) / (total_now + total_before)
    pooled: dict[str, list[int]] = {}
    for cell in {*now, *before}:
        pair = (now.get(cell, 0), before.get(cell, 0))
        into = pooled.setdefault(cell if sum(pair) * share >= _SPARSE else _REST, [0, 0])
        into[0], into[1] = into[0] + pair[0], into[1] + pair[1]
    g = 0.0
    for a, b in pooled.values():
        for seen, total in ((a, total_now), (b, total_before)):
            if seen:
                g += 2 * seen * math.log(seen * (total_now + total_before) / (total * (a + b)))
    return max(g, 0.0), len(pooled) - 1


def _upper_tail(g: float, degrees: int) -> float:
    """P(chi-square >= g) in closed form (Abramowitz and Stegun, 26.4.4 and 26.4.5)."""
    if degrees <= 0:
        return 1.0
    half, odd = g / 2, degrees % 2
    start = math.erfc(math.sqrt(half)) if odd else 0.0
    if half == 0.0:
        return 1.0
    powers = (n + odd / 2 for n in range((degrees - odd) // 2))
    return min(1.0, start + sum(math.exp(power * math.log(half) - half - math.lgamma(power + 1)) for power in powers))


def _counted(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str, int]]:
    for name, expression in _DIMENSIONS.items():
        rows = connection.execute(f"select coalesce({expression}, 'null'), count(*) from chosen group by 1").fetchall()
        yield from ((name, cell, count) for cell, count in rows)
    outcomes = """
        with first as (select unnest(interventions[1].outcomes) as seen from chosen)
        select 'outcome: ' || seen.kind || ', ' || seen."window", seen.value, count(*) from first group by 1, 2
    """
    yield from connection.execute(outcomes).fetchall()


def _passes(files: EncryptedFiles) -> Iterator[tuple[int, int]]:
    passes = min(BUCKETS, max(1, -(-count_rows([files]) // _ROWS_A_PASS)))
    for number in range(passes):
        yield BUCKETS * number // passes, BUCKETS * (number + 1) // passes


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
