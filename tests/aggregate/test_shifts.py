"""Shifts: a company that did not change raises no alarm at the stated rate, one that poisons does."""

import copy
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pooled import pool_rows
from scipy.stats import chi2

from aggregate.shifts import FALSE_ALARMS, Profile, Shift, _likelihood_ratio, _upper_tail, profile, shifts
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.arrow import pool_schema
from schemas.at_rest import encryption
from schemas.stages import EncryptedFiles
from schemas.unit import bucket_of, unit_id

KEY = bytes(range(32))
Rows = list[dict[str, Any]]


def profile_of(rows: Rows, folder: Path) -> Profile:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"part-{len(list(folder.iterdir())):05d}.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=pool_schema()), path, encryption_properties=encryption(KEY))
    return profile(EncryptedFiles((path,), KEY), folder / "scratch")


@pytest.fixture(scope="module")
def quarters() -> list[Rows]:
    """Records of one company over three quarters in which nothing changes."""
    simulated = generate(SimulationParameters(seed=71, users=1500, companies=1, quarters=3, text_share=0.0))
    return [pool_rows(quarter.records()) for quarter in simulated.quarters]


@pytest.fixture(scope="module")
def history(quarters: list[Rows], tmp_path_factory: pytest.TempPathFactory) -> list[Profile]:
    folder = tmp_path_factory.mktemp("history")
    return [profile_of(rows, folder) for rows in quarters[:2]]


def alarms(found: list[Shift]) -> list[str]:
    return [shift.dimension for shift in found if shift.alarm]


def test_a_profile_counts_each_user_once(quarters: list[Rows], tmp_path: Path) -> None:
    rows = quarters[0]
    found = profile_of(rows, tmp_path)
    own = Counter(row["unit"] for row in rows)
    assert (found.records, found.users) == (len(rows), len(own))
    bands = Counter("1" if n == 1 else "2" if n == 2 else "3-5" if n <= 5 else "6-10" if n <= 10 else "11+" for n in own.values())
    assert found.cells["records of the user"] == dict(bands)
    for name in ("event_class", "ideation", "surface", "age_band", "bypassed", "intervention"):
        assert sum(found.cells[name].values()) == len(own), name
    assert any(name.startswith("outcome: ") for name in found.cells)
    assert repr(found) == "Profile()"


def test_the_order_of_rows_and_files_changes_nothing(quarters: list[Rows], tmp_path: Path) -> None:
    assert profile_of(quarters[0], tmp_path / "a") == profile_of(quarters[0][::-1], tmp_path / "b")


def test_a_company_that_did_not_change_raises_no_alarm(quarters: list[Rows], history: list[Profile], tmp_path: Path) -> None:
    assert alarms(shifts(profile_of(quarters[2], tmp_path), history)) == []


def tripled(rows: Rows) -> Rows:
    """A cell that few users have is told of three times as many."""
    rows = copy.deepcopy(rows)
    users = sorted({row["unit"] for row in rows if row["risk"]["imminence"] == "imminent"})
    extra = set(sorted({row["unit"] for row in rows} - set(users))[: 2 * len(users)])
    for row in rows:
        if row["unit"] in extra:
            row["risk"]["imminence"] = "imminent"
    return rows


def users_copied(rows: Rows) -> Rows:
    """A third of the users is sent again under other pseudonyms."""
    units = sorted({row["unit"] for row in rows})
    again = []
    for row in rows:
        if row["unit"] in set(units[: len(units) // 3]):
            unit = unit_id(row["company"], "copy of " + row["unit"])
            again.append({**row, "unit": unit, "bucket": bucket_of(unit), "content": row["content"] + "/copy"})
    return rows + again


def outcomes_inflated(rows: Rows) -> Rows:
    """Half of the silent users are said to have engaged."""
    rows = copy.deepcopy(rows)
    for row in rows:
        for intervention in row["interventions"] or ():
            for outcome in intervention["outcomes"]:
                if outcome["kind"] == "user_reply" and outcome["value"] == "silent" and int(row["unit"][:2], 16) % 2:
                    outcome["value"] = "engaged"
    return rows


def records_repeated(rows: Rows) -> Rows:
    """Every user is said to have had twice as many conversations."""
    return rows + [{**row, "record_id": f"x-{row['record_id']}", "content": f"x{row['content']}"} for row in rows]


def halved(rows: Rows) -> Rows:
    return [row for row in rows if int(row["unit"][:4], 16) % 5 < 2]


@pytest.mark.parametrize(
    ("poison", "expected"),
    [
        (tripled, "imminence"),
        (users_copied, "same as another user's"),
        (outcomes_inflated, "outcome: user_reply, next_turn"),
        (records_repeated, "records of the user"),
        (records_repeated, "volume: records"),
        (halved, "volume: users"),
    ],
)
def test_a_poisoned_quarter_raises_its_alarm(
    poison: Any, expected: str, quarters: list[Rows], history: list[Profile], tmp_path: Path
) -> None:
    found = shifts(profile_of(poison(quarters[2]), tmp_path), history)
    assert expected in alarms(found), [(s.dimension, s.p, s.change) for s in found[:8]]
    assert found[0].alarm  # what is unusual comes first
    assert [s.alarm for s in found] == sorted((s.alarm for s in found), reverse=True)


def drawn(rng: np.random.Generator, users: int, mixes: list[np.ndarray]) -> Profile:
    cells = {
        f"d{number}": {f"c{cell}": int(n) for cell, n in enumerate(rng.multinomial(users, mix))}
        for number, mix in enumerate(mixes)
    }
    return Profile(users, users, cells)


def mixes(rng: np.random.Generator) -> list[np.ndarray]:
    """Fourteen dimensions of two to eight cells, many of them rare."""
    return [rng.dirichlet(np.full(rng.integers(2, 9), 0.6)) for _ in range(14)]


@pytest.mark.parametrize("users", [60, 300, 3000])
def test_false_alarms_stay_below_the_stated_rate(users: int) -> None:
    rng = np.random.default_rng(72 + users)
    companies, alarmed, tested, low = 700, 0, 0, 0
    for _ in range(companies):
        own = mixes(rng)
        found = shifts(drawn(rng, users, own), [drawn(rng, users, own) for _ in range(3)])
        alarmed += bool(alarms(found))
        real = [shift for shift in found if shift.degrees > 0]
        tested, low = tested + len(real), low + sum(shift.p < 0.05 for shift in real)
    assert alarmed <= companies * FALSE_ALARMS + 3 * math.sqrt(companies * FALSE_ALARMS)
    assert 0.03 < low / tested < 0.07  # the test itself is calibrated, before any threshold of size


def test_the_rate_is_not_kept_by_never_raising_an_alarm() -> None:
    rng = np.random.default_rng(73)
    seen = 0
    for _ in range(100):
        own = mixes(rng)
        moved = [np.append(own[0][:-1] * 0.8, 1 - (own[0][:-1] * 0.8).sum()), *own[1:]]
        before = [drawn(rng, 1000, own) for _ in range(3)]
        found = shifts(drawn(rng, 1000, moved), before)
        seen += "d0" in alarms(found) or abs(moved[0][-1] - own[0][-1]) < 0.08
    assert seen >= 95


def test_a_test_over_records_would_cry_wolf() -> None:
    """Why users are counted: records of one user are alike, so as many records as if they were users give false alarms."""
    rng = np.random.default_rng(74)
    mix, alarmed = np.array([0.3, 0.7]), 0
    for _ in range(200):
        both = [rng.multinomial(300, mix) * 8 for _ in range(2)]  # eight records a user, all alike
        now, before = (Profile(2400, 2400, {"d": {"a": int(n[0]), "b": int(n[1])}}) for n in both)
        alarmed += any(shift.p < 0.01 for shift in shifts(now, [before]) if shift.degrees)
    assert alarmed > 50


def test_the_likelihood_ratio_is_that_of_the_books() -> None:
    g, degrees = _likelihood_ratio({"a": 30, "b": 70}, {"a": 50, "b": 50})
    expected = 2 * sum(s * math.log(s / e) for s, e in ((30, 40), (70, 60), (50, 40), (50, 60)))
    assert (g, degrees) == (pytest.approx(expected), 1)
    for degrees in (1, 2, 3, 7, 15):
        for p in (0.5, 0.05, 0.01, 1e-4, 1e-6):
            assert _upper_tail(float(chi2.isf(p, degrees)), degrees) == pytest.approx(p, rel=1e-9)


def test_without_history_or_with_few_users_nothing_is_said(quarters: list[Rows], tmp_path: Path) -> None:
    whole = profile_of(quarters[0], tmp_path)
    assert shifts(whole, []) == []
    few = [row for row in quarters[1] if int(row["unit"][:4], 16) % 200 == 0]
    found = shifts(profile_of(few, tmp_path), [profile_of(few, tmp_path)])
    assert alarms(found) == []
    assert all(math.isnan(shift.p) for shift in found)
