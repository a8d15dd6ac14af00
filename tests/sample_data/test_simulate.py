"""Written submissions: signed, sound but for what was planted, and true to the pool in memory."""

import stat
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from record_rules import broken_rules
from submission_files import Parsed, read_rows

from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate
from sample_data.truth import Truth
from schemas.canonical import sha256_bytes
from schemas.errors import UsageError
from schemas.manifest import Manifest, signed_bytes
from schemas.periods import period_bounds
from schemas.signing import decode_key, public_key, verify

PARAMETERS = SimulationParameters(
    seed=11,
    users=500,
    text_share=0.2,
    malformed_share=0.029,
    duplicate_share=0.03,
    correction_share=0.05,
    record_withdrawal_share=0.03,
    user_withdrawal_share=0.05,
)
Place = tuple[str, str, str, int]


class Written:
    """A simulation on disk, read back."""

    def __init__(self, out: Path, parameters: SimulationParameters) -> None:
        self.out = out
        self.truth: Truth = simulate(out, parameters)
        self.parameters = parameters
        self.manifests = {
            s.submission_id: orjson.loads((out / s.company / s.submission_id / "manifest.json").read_bytes())
            for s in self.truth.submissions
        }
        self.rows: dict[Place, Parsed] = {
            (s.company, s.submission_id, file["path"], at): row
            for s in self.truth.submissions
            for file in self.manifests[s.submission_id]["files"]
            for at, row in enumerate(read_rows(out / s.company / s.submission_id / file["path"]), start=1)
        }
        self.malformed = {row[:4]: row[4:] for row in self.truth.malformed}
        self.duplicates = {row[:4] for row in self.truth.duplicates}

    def good(self) -> Iterator[tuple[Place, dict[str, Any]]]:
        for place, row in self.rows.items():
            if place not in self.malformed:
                assert row is not None
                yield place, row


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(tmp_path_factory.mktemp("simulated") / "out", PARAMETERS)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_same_parameters_same_bytes(written: Written, tmp_path: Path) -> None:
    simulate(tmp_path / "again", PARAMETERS)
    simulate(tmp_path / "again", PARAMETERS)  # over the first one
    assert _contents(tmp_path / "again") == _contents(written.out)


def test_another_seed_other_bytes(written: Written, tmp_path: Path) -> None:
    simulate(tmp_path / "other", PARAMETERS.model_copy(update={"seed": 12}))
    same = {name for name, content in _contents(tmp_path / "other").items() if _contents(written.out).get(name) == content}
    assert same == set()


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UsageError):
        simulate(tmp_path, PARAMETERS)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_manifests_fit_their_files_and_signatures(written: Written) -> None:
    registry = {c["id"]: c for c in tomllib.loads((written.out / "companies.toml").read_text())["company"]}
    assert list(registry) == list(PARAMETERS.company_ids)
    formats = set()
    for told in written.truth.submissions:
        raw = written.manifests[told.submission_id]
        manifest, company = Manifest.model_validate(raw), registry[told.company]
        key = company["key"][0]
        assert (manifest.company, manifest.agreement_id, manifest.key_id) == (
            told.company,
            company["agreement_id"],
            key["key_id"],
        )
        assert company["synthetic"] is True
        assert verify(decode_key(key["public_key"]), signed_bytes(raw), manifest.signature)
        assert manifest.period == told.period and period_bounds(told.period) is not None
        folder = written.out / told.company / told.submission_id
        assert {p.name for p in folder.iterdir()} == {f.path for f in manifest.files} | {"manifest.json"}
        for file in manifest.files:
            content = (folder / file.path).read_bytes()
            assert (file.sha256, file.bytes) == (sha256_bytes(content), len(content))
            assert file.records == sum(place[1:3] == (told.submission_id, file.path) for place in written.rows)
            formats.add(file.format)
    assert formats == {"jsonl", "parquet", "jsonl.gz", "jsonl.zst"}


def test_one_pseudonym_key_a_quarter(written: Written) -> None:
    keys = defaultdict(set)
    for told in written.truth.submissions:
        keys[told.company, told.quarter].add(written.manifests[told.submission_id]["pseudonym_key_id"])
    assert all(len(found) == 1 for found in keys.values())
    assert len(set.union(*keys.values())) == len(keys)


def test_private_keys_are_for_their_owner_alone(written: Written) -> None:
    for company in tomllib.loads((written.out / "companies.toml").read_text())["company"]:
        path = written.out / "keys" / f"{company['id']}.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert public_key(decode_key(path.read_text())) == decode_key(company["key"][0]["public_key"])


def test_good_records_keep_the_contract(written: Written) -> None:
    periods = {told.submission_id: period_bounds(told.period) for told in written.truth.submissions}
    for (_, submission, _, _), row in written.good():
        bounds = periods[submission]
        assert bounds is not None
        assert broken_rules(_as_json(row), set(PARAMETERS.strata), *bounds) == set()


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(v, datetime) else v for k, v in row.items()}


def test_absent_keys_are_absent_in_json_lines(written: Written) -> None:
    allowed = {
        "new": set(),
        "correction": {"supersedes", "supersedes_started_at"},
        "withdrawal": {"supersedes", "supersedes_started_at", "scope"},
    }
    for (_, _, file, _), row in written.good():
        if not file.endswith("parquet"):
            assert {"supersedes", "supersedes_started_at", "scope", "submission_id"} & set(row) <= allowed[row["record_status"]]


def test_malformed_records_break_one_rule_each(written: Written) -> None:
    periods = {told.submission_id: period_bounds(told.period) for told in written.truth.submissions}
    seen = set()
    for place, (kind, code, needs_memory) in written.malformed.items():
        row, bounds = written.rows[place], periods[place[1]]
        assert bounds is not None
        seen.add(kind)
        if code in ("E201", "E232", "E233", "E234", "E235", "E236"):
            assert row is None, kind
            continue
        assert row is not None
        found = broken_rules(_as_json(row) if "parquet" in place[2] else row, set(PARAMETERS.strata), *bounds)
        assert found == (set() if needs_memory or code in ("E219", "E231") else {code}), kind
    assert len(seen) > 40


def test_malformed_references_name_other_users(written: Written) -> None:
    owners = {
        (place[0], row["record_id"]): row["user_pseudonym"]
        for place, row in written.good()
        if row["record_status"] == "new" and place not in written.duplicates
    }
    kinds: Counter[str] = Counter()
    for place, (kind, code, _) in written.malformed.items():
        row = written.rows[place]
        if code == "E218" and row is not None:
            owner = owners.get((place[0], row["supersedes"]))
            assert owner is None if kind == "supersedes_nothing" else owner not in (None, row["user_pseudonym"])
            kinds[kind] += 1
        if code == "E219" and row is not None:
            assert owners[place[0], row["record_id"]] == row["user_pseudonym"]
            kinds[kind] += 1
    assert len(kinds) == 4


def test_repeats_are_within_and_across_submissions(written: Written) -> None:
    places: dict[tuple[str, str], list[Place]] = defaultdict(list)
    for place, row in written.good():
        if row["record_status"] == "new":
            places[place[0], row["record_id"]].append(place)
    kinds = set()
    for *where, record_id, needs_memory in written.truth.duplicates:
        first, *again = places[str(where[0]), str(record_id)]
        assert again == [tuple(where)]
        assert needs_memory == (first[1] != where[1])
        kinds.add(needs_memory)
    assert kinds == {True, False}


def test_the_pool_refuses_no_submission(written: Written) -> None:
    for told in written.truth.submissions:
        assert sum(told.quarantined.values()) <= 0.05 * told.records
    records = sum(told.records for told in written.truth.submissions)
    assert len(written.malformed) < 0.03 * records


def test_counts_fit_the_rows(written: Written) -> None:
    for quarter, companies in written.truth.counts.items():
        for company, counts in companies.items():
            ids = {s.submission_id for s in written.truth.submissions if (s.company, s.quarter) == (company, quarter)}
            rows = [(place, row) for place, row in written.good() if place[1] in ids]
            assert counts.records == len(rows) + sum(counts.quarantined.values())
            assert counts.corrections == sum(row["record_status"] == "correction" for _, row in rows)
            assert counts.record_withdrawals == sum(row.get("scope") == "record" for _, row in rows)
            assert counts.user_withdrawals == sum(row.get("scope") == "user" for _, row in rows)
            assert counts.duplicates == sum(place in written.duplicates for place, _ in rows)
            assert counts.conversations_with_text == sum(any(t["text"] for t in row.get("turns", ())) for _, row in rows)
            assert min(counts.corrections, counts.record_withdrawals, counts.user_withdrawals, counts.duplicates) > 0


def _plain(row: dict[str, Any]) -> str:
    return orjson.dumps({**_as_json(row), "turns": []}, option=orjson.OPT_SORT_KEYS).decode()


def test_resolving_what_was_sent_gives_the_pool(written: Written) -> None:
    """Duplicates once, corrections in the place of what they supersede, withdrawals out: by user, as the contract says."""
    quarter_of = {s.submission_id: s.quarter for s in written.truth.submissions}
    held: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = defaultdict(dict)  # records of a user in a quarter
    withdrawn_users = set()
    for (company, submission, file, at), row in written.good():
        user = (quarter_of[submission], company, row["user_pseudonym"])
        if row["record_status"] == "new":
            again = row["record_id"] in held[user] or held[user].get(f"seen {row['record_id']}") is not None
            assert again == ((company, submission, file, at) in written.duplicates)
            if not again:
                held[user][row["record_id"]] = row
        elif row.get("scope") == "user":
            assert held[user]
            withdrawn_users.add(user)
        else:
            first = held[user].pop(row["supersedes"])
            assert _as_json(first)["started_at"] == _as_json(row)["supersedes_started_at"]
            if row["record_status"] == "correction":
                held[user][row["record_id"]] = row
    pool = generate(PARAMETERS)
    for simulated in pool.quarters:
        want = Counter(_plain(v.record) for v in simulated.records())
        mine = {u: rows for u, rows in held.items() if u[0] == str(simulated.quarter) and u not in withdrawn_users}
        assert Counter(_plain(row) for rows in mine.values() for row in rows.values()) == want
        counts = written.truth.counts[str(simulated.quarter)]
        assert sum(c.valid for c in counts.values()) == sum(want.values())
        assert sum(c.users for c in counts.values()) == sum(bool(rows) for rows in mine.values())


def test_withdrawn_submissions_are_planted_on_demand(tmp_path: Path) -> None:
    parameters = PARAMETERS.model_copy(update={"users": 120, "quarters": 1, "withdrawn_submissions": 1})
    written = Written(tmp_path / "out", parameters)
    rows = [row for _, row in written.good() if row.get("scope") == "submission"]
    assert [row["submission_id"] for row in rows] == ["alder-2026q1-1"]
    lost = {row["record_id"] for place, row in written.good() if place[1] == "alder-2026q1-1"}
    kept = {v.record["record_id"] for v in generate(parameters).quarters[0].records()}
    assert lost and not lost & kept
    changed = {row.get("supersedes") for _, row in written.good()}
    assert not lost & changed


def test_a_company_that_joins_later_sends_nothing_before(tmp_path: Path) -> None:
    truth = simulate(tmp_path / "out", SimulationParameters(users=60, joining={"cedar": "2026Q2"}))
    assert {s.quarter for s in truth.submissions if s.company == "cedar"} == {"2026Q2"}
    assert "cedar" not in truth.counts["2026Q1"]


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    simulate(
        tmp_path / "out", SimulationParameters(users=12, quarters=1), progress=lambda step, share: told.append((step, share))
    )
    assert told[-1] == ("done", 1.0)
    assert [share for _, share in told] == sorted(share for _, share in told)


def test_truth_is_one_compact_file(written: Written) -> None:
    found = orjson.loads((written.out / "truth.json").read_bytes())
    assert found["synthetic"] is True
    assert SimulationParameters.model_validate_json(orjson.dumps(found["parameters"])) == PARAMETERS
    assert [tuple(row) for row in found["pii"]["rows"]] == written.truth.pii
    assert len(found["malformed"]["columns"]) == len(found["malformed"]["rows"][0])
    assert found["model_release"]["change"] == -0.14
