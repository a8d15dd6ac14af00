"""Settlement against a model of its rules in plain Python, written from the contract and not from the code."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st

from intake.settlement import RowFacts, Settlement
from schemas.periods import Quarter
from schemas.unit import unit_id

FIRST, SECOND = Quarter(2026, 1), Quarter(2026, 2)
RECORDS = ("new", "correction")
Known = dict[tuple[str, str], str]


@dataclass
class Pool:
    """What was accepted before: content by (pseudonym, record id) of each quarter, and quarters of submissions."""

    records: dict[str, Known]
    submissions: dict[str, Quarter]

    def of_quarter(self, quarter: Quarter, units: Sequence[str] | None) -> Iterable[tuple[str, str, str]]:
        for (pseudonym, record_id), content in self.records.get(str(quarter), {}).items():
            unit = unit_id("alder", pseudonym)
            if units is None or unit in units:
                yield unit, record_id, content

    def submission_quarter(self, submission_id: str) -> Quarter | None:
        return self.submissions.get(submission_id)


def model(rows: list[RowFacts], pool: Pool | None) -> tuple[str, dict[int, str], set[str], int]:
    """Quarter, code by number of row, withdrawn submissions, and users that are new to the pool."""
    codes: dict[int, str] = {}
    quarters = {n: row.quarter for n, row in enumerate(rows)}
    for n, row in enumerate(rows):  # 1. a submission that is withdrawn must be there; it says which quarter it is
        if row.kind == "submission":
            of_target = FIRST if pool is None else pool.submissions.get(row.target)
            quarters[n] = str(of_target)
            if of_target is None:
                codes[n] = "E223"
    first_spelling: dict[str, str] = {}  # 2. one user, one spelling: the first
    for n, row in enumerate(rows):
        first = first_spelling.setdefault(row.pseudonym.casefold(), row.pseudonym) if row.kind != "submission" else row.pseudonym
        if first != row.pseudonym:
            codes[n] = "E225"
    firsts: dict[tuple[str, str], str] = {}  # 3. of one user and id the first holds
    for n, row in enumerate(rows):
        if row.kind in RECORDS and n not in codes:
            content = firsts.setdefault((row.pseudonym, row.record_id), row.content)
            seen = any(
                m < n and rows[m].kind in RECORDS and codes.get(m) != "E225"
                and (rows[m].pseudonym, rows[m].record_id) == (row.pseudonym, row.record_id)
                for m in range(n)
            )  # fmt: skip
            if seen:
                codes[n] = "W301" if content == row.content else "E219"
    votes = Counter(quarters[n] for n in range(len(rows)) if n not in codes)  # 4. the quarter of most rows
    quarter = min(votes, key=lambda q: (-votes[q], q != str(FIRST), q)) if votes else str(FIRST)
    for n in range(len(rows)):
        if n not in codes and quarters[n] != quarter:
            codes[n] = "E211"
    sent_before_known = dict(codes)
    if pool is None:
        return quarter, codes, {r.target for n, r in enumerate(rows) if r.kind == "submission" and n not in codes}, 0
    known = pool.records.get(quarter, {})
    for n, row in enumerate(rows):  # 5. what was accepted before holds
        before = known.get((row.pseudonym, row.record_id))
        if row.kind in RECORDS and before is not None and codes.get(n) in (None, "W301", "E219"):
            codes[n] = "W301" if before == row.content else "E219"
    assert set(sent_before_known) <= set(codes)
    there = set(known)  # 6. what is superseded must be there, and what it supersedes
    there |= {(r.pseudonym, r.record_id) for n, r in enumerate(rows) if r.kind == "new" and n not in codes}
    grounded: set[int] = set()
    while True:
        more = {
            n for n, r in enumerate(rows)
            if r.kind == "correction" and n not in codes and n not in grounded
            and r.target != r.record_id and (r.pseudonym, r.target) in there
        }  # fmt: skip
        if not more:
            break
        grounded |= more
        there |= {(rows[n].pseudonym, rows[n].record_id) for n in more}
    for n, row in enumerate(rows):
        if row.kind == "correction" and n not in codes and n not in grounded:
            codes[n] = "E218"
    for n, row in enumerate(rows):
        if row.kind == "record" and n not in codes and (row.pseudonym, row.target) not in there:
            codes[n] = "E218"
        if row.kind == "user" and n not in codes and row.pseudonym not in {pseudonym for pseudonym, _ in there}:
            codes[n] = "E218"
    users = {r.pseudonym for n, r in enumerate(rows) if r.kind in RECORDS and n not in codes}
    new = users - {pseudonym for pseudonym, _ in known}
    return quarter, codes, {r.target for n, r in enumerate(rows) if r.kind == "submission" and n not in codes}, len(new)


def settled(rows: list[RowFacts], pool: Pool | None, batch: int) -> tuple[str, dict[int, str], set[str], int]:
    with Settlement("alder", FIRST, pool) as settlement:
        for start in range(0, len(rows), batch):
            units = settlement.add(rows[start : start + batch])
            assert units == [unit_id("alder", r.pseudonym) if r.pseudonym else "" for r in rows[start : start + batch]]
        settlement.settle()
        problems = {problem.row - 1: problem.code for problem in settlement.problems()}
        withdrawals = {n for n, row in enumerate(rows) if row.kind == "submission"}
        assert list(settlement.left_out()) == sorted(set(problems) | withdrawals)
        return str(settlement.quarter), problems, settlement.withdrawn_submissions(), settlement.new_users


PSEUDONYMS, IDS, CONTENTS = st.sampled_from("uUvw"), st.sampled_from("abcd"), st.sampled_from("xy")
QUARTERS = st.sampled_from([str(FIRST)] * 3 + [str(SECOND)])


@st.composite
def facts(draw: st.DrawFn) -> RowFacts:
    kind = draw(st.sampled_from(["new"] * 4 + ["correction"] * 4 + ["record", "user", "submission"]))
    if kind == "submission":
        return RowFacts(0, 0, kind, "", "", draw(IDS), draw(CONTENTS), draw(st.sampled_from(["s1", "s2", "s3"])))
    target = draw(IDS) if kind in ("correction", "record") else ""
    return RowFacts(0, 0, kind, draw(QUARTERS), draw(PSEUDONYMS), draw(IDS), draw(CONTENTS), target)


POOLS = st.none() | st.builds(
    Pool,
    st.fixed_dictionaries({
        str(FIRST): st.dictionaries(st.tuples(PSEUDONYMS, IDS), CONTENTS, max_size=4),
        str(SECOND): st.dictionaries(st.tuples(PSEUDONYMS, IDS), CONTENTS, max_size=3),
    }),
    st.fixed_dictionaries({"s1": st.just(FIRST)}, optional={"s2": st.just(SECOND)}),
)  # fmt: skip


def row(kind: str, record_id: str, content: str = "x", target: str = "", pseudonym: str = "u") -> RowFacts:
    return RowFacts(0, 0, kind, str(FIRST), pseudonym, record_id, content, target)


@settings(max_examples=600, deadline=None)
@given(st.lists(facts(), max_size=14), POOLS, st.integers(1, 5))
@example([row("correction", "a", target="b"), row("correction", "b", target="a")], Pool({}, {}), 1)
@example([row("new", "a", "x"), row("new", "a", "y")], Pool({str(FIRST): {("u", "a"): "y"}}, {}), 1)
@example([row("correction", "a", target="b"), row("correction", "b", target="c"), row("new", "c")], Pool({}, {}), 1)
def test_every_row_is_settled_as_the_rules_say(rows: list[RowFacts], pool: Pool | None, batch: int) -> None:
    rows = [each._replace(row=n + 1) for n, each in enumerate(rows)]
    assert settled(rows, pool, batch) == model(rows, pool)


@settings(max_examples=200, deadline=None)
@given(st.lists(facts(), max_size=12), POOLS)
def test_what_was_accepted_sent_again_adds_nothing(rows: list[RowFacts], pool: Pool | None) -> None:
    """Sound rows of one submission, known to the pool, are repeats in the next: nothing counts twice."""
    pool = pool or Pool({}, {})
    rows = [each._replace(row=n + 1) for n, each in enumerate(each for each in rows if each.kind in RECORDS)]
    quarter, codes, _, _ = settled(rows, pool, 3)
    kept = [each for n, each in enumerate(rows) if n not in codes]
    after = Pool(
        {**pool.records, quarter: {**pool.records.get(quarter, {}), **{(r.pseudonym, r.record_id): r.content for r in kept}}}, {}
    )
    again = [each._replace(row=n + 1) for n, each in enumerate(kept)]
    _, codes, _, new_users = settled(again, after, 3)
    assert codes == dict.fromkeys(range(len(again)), "W301")
    assert new_users == 0
