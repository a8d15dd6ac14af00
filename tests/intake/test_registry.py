"""The registry: exact ids, keys that rotate, schedules that are missed; and one audit row for each refusal."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from submissions import door, json_lines, rewrite, write_lines

from intake.acceptance import take_in
from intake.delivery import FolderDelivery
from intake.registry import Company, CompanyKey, Registry, Schedule, folded, load_registry, missed
from schemas.errors import UsageError
from schemas.signing import encode_key, new_private_key, public_key

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)  # a Sunday


def new_public() -> str:
    return encode_key(public_key(new_private_key()))


def key(key_id: str = "k-1", start: str = "2026-01-01", end: str = "2026-12-31", public: str = "") -> dict[str, Any]:
    return {"key_id": key_id, "public_key": public or new_public(), "valid_from": start, "valid_until": end}


def written(tmp_path: Path, *companies: dict[str, Any], head: str = "") -> Path:
    """companies.toml of some entries; dates are written as dates."""
    lines = [head]
    for company in companies:
        lines.append("[[company]]")
        tables = {name: company[name] for name in ("quota", "schedule") if name in company}
        for name, value in company.items():
            if name not in ("key", *tables):
                lines.append(f"{name} = {json.dumps(value)}")
        for each in company.get("key", []):
            lines.append("[[company.key]]")
            lines += [f"{n} = {v if n.startswith('valid') else json.dumps(v)}" for n, v in each.items()]
        for table, values in tables.items():
            lines += [f"[company.{table}]", *(f"{n} = {json.dumps(v)}" for n, v in values.items())]
    path = tmp_path / "companies.toml"
    path.write_text("\n".join(lines))
    return path


def entry(name: str = "alder", **changes: Any) -> dict[str, Any]:
    return {"id": name, "agreement_id": f"agr-{name}", "key": [key()], **changes}


def test_keys_rotate_with_overlap(tmp_path: Path) -> None:
    old, new = key("k-1", end="2026-06-30"), key("k-2", start="2026-06-15")
    company = load_registry(written(tmp_path, entry(key=[old, new]))).find("alder")
    assert company is not None
    holds = {name: company.key(name) for name in ("k-1", "k-2")}

    def valid(day: date) -> list[str]:
        moment = datetime(day.year, day.month, day.day, 23, 59, tzinfo=UTC)
        return [name for name, found in holds.items() if found is not None and found.valid_at(moment)]

    assert valid(date(2026, 6, 14)) == ["k-1"]
    assert valid(date(2026, 6, 20)) == ["k-1", "k-2"]
    assert valid(date(2026, 6, 30)) == ["k-1", "k-2"]
    assert valid(date(2026, 7, 1)) == ["k-2"]
    assert valid(date(2027, 1, 1)) == []


SAME = new_public()


@pytest.mark.parametrize(
    ("companies", "head"),
    [
        ([entry(), entry()], ""),
        ([entry(key=[key("k-1", public=SAME)]), entry("birch", key=[key("k-1", public=SAME)])], ""),
        ([entry(key=[key("k-1", public=SAME), key("k-2", public=SAME)])], ""),
        ([entry(key=[key("k-1"), key("k-1")])], ""),
        ([entry(key=[])], ""),
        ([entry(key=[key(start="2026-12-31", end="2026-01-01")])], ""),
        ([entry(key=[key(public="no key")])], ""),
        ([entry("Alder")], ""),
        ([entry("аlder")], ""),  # the first letter is Cyrillic
        ([entry("..")], ""),
        ([entry(quota={"records_a_quarter": 0})], ""),
        ([entry(quota={"records": 5})], ""),
        ([entry(schedule={"every": "hourly"})], ""),
        ([entry(schedule={"every": "weekly", "day": 8})], ""),
        ([entry(schedule={"every": "monthly", "day": 29})], ""),
        ([entry(surprise=1)], ""),
        ([entry()], "surprise = 1"),
        ([], "company = 1"),
        ([], "not toml ="),
    ],
)
def test_a_registry_that_breaks_a_rule_is_refused_and_not_quoted(
    companies: list[dict[str, Any]], head: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        load_registry(written(tmp_path, *companies, head=head))
    assert "surprise" not in str(caught.value) + caught.value.next_step
    assert SAME not in str(caught.value)


WRONG: list[tuple[list[dict[str, Any]], str]] = [
    ([entry(), entry("birch", key=[key(), key("k-2", public="canary")])], "company 2, key 2, public_key: it is no Ed25519 key in base64"),
    ([entry(key=[key(start="2026-12-31", end="2026-01-01")])], "company 1, key 1: a key ends before it begins"),
    ([entry(), {n: v for n, v in entry("birch").items() if n != "agreement_id"}], "company 2, agreement_id is missing"),
    ([entry("canary name")], "company 1, id is not right"),
    ([entry("..")], "company 1: an id names folders, so it begins with a letter or a digit"),
    ([entry(canary=1)], "company 1, a field that is not known."),
    ([entry(quota={"canary": 5, "users_a_quarter": 0})], "company 1, quota, users_a_quarter is not right; company 1, quota, a field that is not known."),
    ([entry(schedule={"every": "canary"})], "company 1, schedule, every is not right"),
    ([entry(), entry("birch"), entry()], "company 3 has the id of company 1, or one that looks like it"),
    ([entry(key=[key(public=SAME)]), entry("birch", key=[key(), key("k-2", public=SAME)])], "company 2, key 2 is also a key of company 1"),
    ([entry(f"c-{n}", key=[]) for n in range(7)], "; and 2 more"),
]  # fmt: skip


@pytest.mark.parametrize(("companies", "told"), WRONG, ids=[told for _, told in WRONG])
def test_what_is_wrong_is_told_by_its_place_and_never_by_its_value(
    companies: list[dict[str, Any]], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        load_registry(written(tmp_path, *companies))
    assert told in caught.value.message
    assert "canary" not in repr(caught.value) + caught.value.next_step
    assert "alder" not in caught.value.message
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[company]]\nid = canary", "line 2"),
        ("[[canary]]", "besides [[company]]"),
        ("company = 'canary'", "besides"),
        ("company = ['canary']", "company 1 is not right"),
    ],
)
def test_a_file_that_is_no_registry_is_told_by_its_line(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "companies.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_registry(tmp_path / "companies.toml")
    assert told in caught.value.message
    assert "canary" not in repr(caught.value) + caught.value.next_step


LOOK_ALIKES = (
    "ALDER",
    "Alder",
    "ａlder",
    "аlder",
    "al­der",
    "alder ",
    "alder\u200b",
    "ałder",
    "alder\x00",
    "ⓐlder",
    "ALDER".lower() + "́",
)


def test_only_the_exact_id_is_the_company(tmp_path: Path) -> None:
    registry = load_registry(written(tmp_path, entry(), entry("strasse")))
    assert registry.find("alder") is not None
    assert [name for name in (*LOOK_ALIKES, "straße", "STRASSE") if registry.find(name) is not None] == []
    assert folded("ＡLDER") == folded("alder")


def test_even_a_registry_with_a_look_alike_gives_it_to_nobody() -> None:
    company = Company.model_validate(entry())
    forged = Registry({"Alder": company, "alder": company})
    assert forged.find("Alder") is None


def sent(company: str, *moments: datetime) -> Any:
    class Listed:
        def accepted(self, quarter: None = None, company: str | None = None) -> Any:
            found = [type("S", (), {"receipt": {"received_at": m.strftime("%Y-%m-%dT%H:%M:%SZ")}}) for m in moments]
            return found if company == own else []

    own = company
    return Listed()


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        (Schedule(every="daily", hour=3), datetime(2026, 11, 22, 3, tzinfo=UTC)),
        (Schedule(every="daily", hour=13), datetime(2026, 11, 21, 13, tzinfo=UTC)),
        (Schedule(every="weekly", day=7, hour=12), datetime(2026, 11, 22, 12, tzinfo=UTC)),
        (Schedule(every="weekly", day=1), datetime(2026, 11, 16, tzinfo=UTC)),
        (Schedule(every="weekly", day=7, hour=13), datetime(2026, 11, 15, 13, tzinfo=UTC)),
        (Schedule(every="monthly", day=5), datetime(2026, 11, 5, tzinfo=UTC)),
        (Schedule(every="monthly", day=28), datetime(2026, 10, 28, tzinfo=UTC)),
    ],
)
def test_when_an_export_was_due(schedule: Schedule, due: datetime) -> None:
    assert schedule.due(NOW) == due


def test_a_missed_export_is_told_and_one_that_came_is_not(tmp_path: Path) -> None:
    weekly = {"every": "weekly", "day": 1, "hour": 3, "grace_hours": 24}
    registry = load_registry(written(tmp_path, entry(schedule=weekly), entry("birch")))
    due = datetime(2026, 11, 16, 3, tzinfo=UTC)
    assert [(m.company, m.due, m.last) for m in missed(registry, sent("alder"), NOW)] == [("alder", due, None)]
    old = due - timedelta(days=7)
    assert [m.last for m in missed(registry, sent("alder", old), NOW)] == [old]
    for moment in (due, due + timedelta(days=2), due - timedelta(hours=24)):
        assert missed(registry, sent("alder", old, moment), NOW) == []
    assert missed(registry, sent("alder", old), due + timedelta(hours=23)) == []  # its grace is not over: last week's counts
    assert len(missed(registry, sent("alder", old), due + timedelta(hours=25))) == 1


def test_a_company_whose_key_is_not_valid_yet_misses_nothing(tmp_path: Path) -> None:
    registry = load_registry(written(tmp_path, entry(key=[key(start="2026-11-20")], schedule={"every": "weekly"})))
    assert missed(registry, sent("alder"), NOW) == []


Change = Callable[[Path, Path], None]


def signed(**changes: Any) -> Change:
    return lambda folder, clean: rewrite(folder, clean / "keys" / "alder.key", lambda m: m.update(changes))


def altered(folder: Path, clean: Path) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "period": "2026Q1" if manifest["period"] != "2026Q1" else "2026-01"}))


def forged(folder: Path, clean: Path) -> None:
    rewrite(folder, clean / "keys" / "birch.key")


def redigested(folder: Path, clean: Path) -> None:
    """Other records, hashes made to fit, the old signature."""
    name = json.loads((folder / "manifest.json").read_text())["files"][0]["path"]
    signature = json.loads((folder / "manifest.json").read_text())["signature"]
    write_lines(folder, name, json_lines(folder, name)[:-1])
    rewrite(folder, clean / "keys" / "alder.key")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "signature": signature}))


def swapped(folder: Path, clean: Path) -> None:
    """Other records under a manifest that is as it was."""
    name = json.loads((folder / "manifest.json").read_text())["files"][0]["path"]
    write_lines(folder, name, json_lines(folder, name)[:-1])


REFUSED: list[tuple[str, Change, str, str]] = [
    ("unknown company", signed(company="nobody"), "E104", ""),
    ("unknown agreement", signed(agreement_id="agr-none"), "E104", ""),
    ("unknown key", signed(key_id="none"), "E105", ""),
    ("forged", forged, "E105", ""),
    ("altered", altered, "E105", ""),
    ("re-digested", redigested, "E105", ""),
    ("swapped", swapped, "E106", "alder"),
    *((f"look-alike {name!a}", signed(company=name), "E102", "") for name in LOOK_ALIKES),
]


@pytest.mark.parametrize(("change", "code", "company"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_every_refusal_leaves_exactly_one_audit_row(
    change: Change, code: str, company: str, clean: Path, submission: Callable[[], Path], tmp_path: Path
) -> None:
    folder, pool = submission(), door(tmp_path / "pool", clean)
    change(folder, clean)
    result = take_in(FolderDelivery(folder), pool)
    assert result.decision == "refused"
    rows = pool.catalogue.audit_rows()
    assert [(row["decision"], row["company"]) for row in rows] == [("refused", company)]
    assert code in rows[0]["counts"]
    assert list((tmp_path / "pool" / "accepted").rglob("*.parquet")) == []


@pytest.mark.parametrize(("start", "end"), [(-400, -300), (300, 400)])
def test_a_key_outside_its_validity_is_refused_with_one_audit_row(
    start: int, end: int, clean: Path, submission: Callable[[], Path], tmp_path: Path
) -> None:
    pool = door(tmp_path / "pool", clean)
    today = datetime.now(UTC).date()
    own = pool.registry.companies["alder"]
    moved = tuple(
        CompanyKey.model_validate(
            {**k.model_dump(), "valid_from": today + timedelta(start), "valid_until": today + timedelta(end)}
        )
        for k in own.keys
    )
    registry = Registry({"alder": own.model_copy(update={"keys": moved})})
    result = take_in(FolderDelivery(submission()), replace(pool, registry=registry))
    assert result.decision == "refused"
    assert [(row["decision"], row["company"], row["counts"]) for row in pool.catalogue.audit_rows()] == [
        ("refused", "", {"E105": 1})
    ]


def test_the_same_submission_is_taken_where_nothing_is_wrong(clean: Path, submission: Callable[[], Path], tmp_path: Path) -> None:
    """The tests above could pass because everything is refused."""
    pool = door(tmp_path / "pool", clean)
    assert take_in(FolderDelivery(submission()), pool).decision == "accepted"
    assert [row["decision"] for row in pool.catalogue.audit_rows()] == ["accepted"]
