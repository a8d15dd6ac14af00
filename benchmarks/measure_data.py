"""Data of `make bench-measure`: events of skewed users over 1,280 cells, flat for the peers and as scrubbed records for the pool.

A block is 200,000 users with about 10^6 events; block n is the same on every run. How many events a user has follows
Zipf's law. Three fifths of a user's events are at the user's own usual risk, so that one user's events cluster in few
cells. Which intervention follows depends on the risk, the outcome on risk, intervention and depth.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.codes import code_lists, domains
from schemas.keys import DEPTH_BANDS
from schemas.unit import bucket_of, unit_id

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SEED = 20_261_122
USERS, COMPANIES = 200_000, 12  # of a block
MOST_EVENTS, ZIPF = 400, 1.9  # P(n events) falls as n^-1.9: 5 a user on average
USUAL_RISK = 0.6
DEPTHS = (0.38, 0.27, 0.18, 0.11, 0.06)
SAME_RECORD = 0.5  # an event is in the record of the one before: two a record on average
SENT_TWICE = 0.02  # of the records
SHAPE = (8, 8, 5, 4)
"""Cells: risk, intervention, depth, outcome."""
LABELS = np.random.default_rng(SEED).permutation(int(np.prod(SHAPE)))
"""Label of each cell in the flat file: a public permutation, so that who keeps a user's first cells favours no key."""

OUTCOME_KIND, WINDOW = "resource_opened", "24h"
ROWS_A_PART, ROWS_A_GROUP = 4_096, 4_096  # as the scrub writes them


@dataclass(frozen=True)
class Events:
    """One entry an event, ordered by user; `company` has one entry a user."""

    block: int
    user: Ints
    company: Ints
    cell: Ints  # place in an array of SHAPE
    record: Ints


def events(block: int = 0) -> Events:
    """The events of a block."""
    world, rng = np.random.default_rng(SEED), np.random.default_rng((SEED, block))
    companies = world.dirichlet(np.full(COMPANIES, 1.5))
    risks = world.dirichlet(np.full(8, 1.2))
    interventions = world.dirichlet(np.ones(8), 8)  # (risk, intervention)
    effect = world.normal(0, 0.6, (*SHAPE[:3], 1))
    odds = np.exp(np.array([0.9, 0.2, -0.3, -1.0]) + effect * np.array([1, 0.4, -0.8, 0]))
    outcomes = odds / odds.sum(axis=-1, keepdims=True)  # (risk, intervention, depth, outcome)

    sizes = np.arange(1, MOST_EVENTS + 1)
    shares = sizes**-ZIPF / (sizes**-ZIPF).sum()
    user = np.repeat(np.arange(USERS), rng.choice(sizes, USERS, p=shares))
    usual, other = rng.choice(8, USERS, p=risks), rng.choice(8, len(user), p=risks)
    risk = np.where(rng.random(len(user)) < USUAL_RISK, usual[user], other)
    intervention = _drawn(rng, interventions[risk])
    depth = rng.choice(5, len(user), p=DEPTHS)
    outcome = _drawn(rng, outcomes[risk, intervention, depth])
    opens = (rng.random(len(user)) >= SAME_RECORD) | np.append(True, user[1:] != user[:-1])
    cell = np.ravel_multi_index((risk, intervention, depth, outcome), SHAPE)
    return Events(block, user, rng.choice(COMPANIES, USERS, p=companies), cell, np.cumsum(opens) - 1)


def _drawn(rng: np.random.Generator, shares: Floats) -> Ints:
    """One choice a row, from shares of shape (rows, choices)."""
    over: Ints = (rng.random(len(shares))[:, None] > shares.cumsum(axis=1)).sum(axis=1)
    return np.minimum(over, shares.shape[1] - 1)


@dataclass(frozen=True)
class Truth:
    """What a system says that it estimates, exactly: one value a cell, of SHAPE."""

    counts: Floats

    @property
    def rates(self) -> Floats:
        """Share of each outcome within risk, intervention and depth."""
        return self.counts / np.maximum(self.counts.sum(axis=-1, keepdims=True), 1e-9)


def raw_truth(data: Events) -> Truth:
    """How many users have an event in a cell: what counting of people is about, without any bound."""
    return kept_truth(data, MOST_EVENTS)


def kept_truth(data: Events, cells: int) -> Truth:
    """Expected number of users in a cell where each keeps so many of its cells, chosen at random: what the peers estimate."""
    place = np.unique(data.user * np.prod(SHAPE) + data.cell)
    user, cell = np.divmod(place, np.prod(SHAPE))
    kept = np.minimum(1.0, cells / np.maximum(np.bincount(user, minlength=USERS), 1))
    return Truth(np.bincount(cell, weights=kept[user], minlength=np.prod(SHAPE)).reshape(SHAPE))


def first_truth(data: Events, cells: int) -> Truth:
    """Number of users in a cell where each keeps so many of its cells, the first by label."""
    user, label = np.divmod(np.unique(data.user * np.prod(SHAPE) + LABELS[data.cell]), np.prod(SHAPE))
    place = np.arange(len(user)) - np.searchsorted(user, user)  # among the user's cells
    return Truth(by_cell(np.bincount(label[place < cells], minlength=np.prod(SHAPE)).astype(float)))


def by_cell(labelled: Floats) -> Floats:
    """Values in order of label as an array of SHAPE."""
    return labelled[LABELS].reshape(SHAPE)


def shared_truth(data: Events) -> Truth:
    """Every user counts one, divided evenly over the user's events: what the pool estimates."""
    weight = 1 / np.maximum(np.bincount(data.user, minlength=USERS), 1)
    return Truth(np.bincount(data.cell, weights=weight[data.user], minlength=np.prod(SHAPE)).reshape(SHAPE))


def write_flat(data: Events, path: Path) -> None:
    """One row an event, in no order: `user` and the label of its `cell`. The peers are spared all joining and unnesting."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    order = np.random.default_rng(SEED).permutation(len(data.user))
    pq.write_table(pa.table({"user": data.user[order], "cell": LABELS[data.cell[order]]}), path, compression="zstd")


def write_scrubbed(data: Events, folder: Path, key: bytes) -> tuple[Path, ...]:
    """The same events as records that have passed the scrub: encrypted parts of one company after the other."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from schemas.at_rest import encryption

    table, owner = _records(data)
    paths = []
    for company in range(COMPANIES):
        rows = table.filter(pa.array(owner == company))
        for start in range(0, len(rows), ROWS_A_PART):
            paths.append(folder / f"block-{data.block:03d}-{company:02d}-{start:08d}.parquet")
            pq.write_table(
                rows.slice(start, ROWS_A_PART),
                paths[-1],
                row_group_size=ROWS_A_GROUP,
                compression="zstd",
                encryption_properties=encryption(key),
            )
    return tuple(paths)


def company_names() -> tuple[str, ...]:
    """The companies, as the registry names them."""
    return tuple(f"company-{number:02d}" for number in range(COMPANIES))


def cell_codes() -> Iterator[tuple[str, str, str, str]]:
    """Codes of each cell in order: ideation before, intervention, depth band, outcome."""
    lists, bands = code_lists(), [name for name, _ in DEPTH_BANDS]
    for cell in range(int(np.prod(SHAPE))):
        risk, intervention, depth, outcome = (int(n) for n in np.unravel_index(cell, SHAPE))
        yield list(lists["ideation"])[risk], list(lists["intervention"])[intervention], bands[depth], _values()[outcome]


def _values() -> list[str]:
    return list(domains()["suicide_self_harm"].outcome_values[OUTCOME_KIND])


def _records(data: Events) -> tuple[Any, Ints]:
    """A table of the pool's schema, one row a record, some of them twice; and the company of each row."""
    import pyarrow as pa

    from schemas.arrow import pool_schema

    rng = np.random.default_rng((SEED, data.block, 1))
    first = np.flatnonzero(np.diff(data.record, prepend=-1))  # first event of each record
    user, records = data.user[first], len(first)
    names = [f"user-{data.block}-{number}" for number in range(USERS)]
    owners = company_names()
    units = [unit_id(owners[c], name) for c, name in zip(data.company.tolist(), names, strict=True)]
    ids = [f"record-{data.block}-{number}" for number in range(records)]
    risk, _, depth, _ = np.unravel_index(data.cell, SHAPE)
    struct = pool_schema().field("interventions").type.value_type
    seconds = rng.integers(0, 92 * 86_400, records)
    columns: dict[str, Any] = {
        "company": _take(owners, data.company[user]),
        "submission": _repeat("0" * 64, records),
        "pseudonym_unit": _repeat("account", records),
        "selection_reason": _random(rng, "selection_reason", records),
        "unit": _take(units, user),
        "bucket": pa.array(np.array([bucket_of(unit) for unit in units])[user], pa.int32()),
        "content": pa.array([hashlib.sha256(name.encode()).hexdigest() for name in ids]),
        "domain": _repeat("suicide_self_harm", records),
        "record_id": pa.array(ids),
        "record_status": _repeat("new", records),
        "started_at": pa.array(np.datetime64("2026-07-01", "us") + seconds.astype("timedelta64[s]"), pa.timestamp("us", "UTC")),
        "origin": _repeat("production", records),
        "deployment": _struct(surface=_random(rng, "surface", records)),
        "person": _struct(
            age_band=_random(rng, "age_band", records),
            language=_take(("en", "es", "fr", "de"), rng.integers(0, 4, records)),
            region=_take(("US", "GB", "CA", "DE"), rng.integers(0, 4, records)),
        ),
        "risk": _struct(
            ideation=_coded("ideation", risk[first]),
            behavior=_random(rng, "behavior", records),
            imminence=_random(rng, "imminence", records),
        ),
        "n_turns": pa.array(np.maximum.reduceat(_turns()[depth], first) + 2, pa.int32()),
    }
    columns["interventions"] = pa.ListArray.from_arrays(
        pa.array(np.append(first, len(data.cell)), pa.int32()), _interventions(rng, data).cast(struct)
    )
    schema = pool_schema()
    arrays = [_fitting(columns.get(field.name), field.type, records) for field in schema]
    table = pa.Table.from_arrays(arrays, schema=schema)
    sent = rng.permutation(np.append(np.arange(records), rng.choice(records, round(records * SENT_TWICE), replace=False)))
    return table.take(pa.array(sent)), data.company[user][sent]


def _interventions(rng: np.random.Generator, data: Events) -> Any:
    import pyarrow as pa

    risk, intervention, depth, outcome = np.unravel_index(data.cell, SHAPE)
    n = len(data.cell)
    outcomes = _struct(
        kind=_repeat(OUTCOME_KIND, n), value=_take(_values(), outcome), window=_repeat(WINDOW, n), basis=_repeat("observed", n)
    )
    return _struct(
        turn=pa.array(_turns()[depth], pa.int32()),
        type=_coded("intervention", intervention),
        layer=_random(rng, "layer", n),
        ideation_at=_coded("ideation", risk),
        imminence_at=_random(rng, "imminence", n),
        outcomes=pa.ListArray.from_arrays(pa.array(np.arange(n + 1), pa.int32()), outcomes),
    )


def _turns() -> Ints:
    return np.array([low for _, low in DEPTH_BANDS])


def _take(values: Any, index: Ints) -> Any:
    import pyarrow as pa

    return pa.array(values, pa.string()).take(pa.array(index))


def _coded(name: str, index: Ints) -> Any:
    return _take(list(code_lists()[name]), index)


def _random(rng: np.random.Generator, name: str, n: int) -> Any:
    return _coded(name, rng.integers(0, len(code_lists()[name]), n))


def _repeat(value: str, n: int) -> Any:
    import pyarrow as pa

    return pa.repeat(pa.scalar(value), n)


def _struct(**fields: Any) -> Any:
    import pyarrow as pa

    return pa.StructArray.from_arrays(list(fields.values()), list(fields))


def _fitting(array: Any, kind: Any, rows: int) -> Any:
    """An array of the schema's type; what the measurement does not read is null."""
    import pyarrow as pa

    if array is None:
        return pa.nulls(rows, kind)
    if not pa.types.is_struct(kind):
        return array.cast(kind)
    named = {field.name: array.field(field.name) for field in array.type}
    return _struct(**{field.name: _fitting(named.get(field.name), field.type, rows) for field in kind})
