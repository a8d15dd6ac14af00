"""Terms of users, bounded: what one user moves, what the company rules measure of it, and what a round finds."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from term_tables import MASS, Row, a_search, user_terms

from aggregate.mechanisms.draw import PreparedDraw
from aggregate.mechanisms.terms import PreparedSearch, RoundParameters, prepare_rounds, round_parameters, user_delta
from aggregate.mechanisms.threshold import threshold_delta
from aggregate.terms import bounded
from aggregate.terms.bounded import TermTable, UserTerms, weight
from schemas.emerging import TermRule
from schemas.errors import BudgetRefusedError

RULES = (TermRule.STRICT, TermRule.RELAXED, None)
DELTA = Fraction(1, 10**7)

people = st.lists(
    st.tuples(st.integers(0, 2), st.sets(st.integers(1, 8), min_size=1, max_size=7)), min_size=1, max_size=10
)  # company and terms of each user


def rows_of(users: list[tuple[int, set[int]]]) -> list[Row]:
    return [(user, company, term) for user, (company, terms) in enumerate(users, start=1) for term in sorted(terms)]


def draw(search: PreparedSearch, rho: Fraction, delta: Fraction = DELTA) -> list[str]:
    return [word for told in PreparedDraw((), rho, delta, (search,)).draw().rounds for word in told.words]


def table_of(terms: UserTerms) -> dict[tuple[object, int], int]:
    rows = terms.connection.execute(f"select unit, term, w from {terms.chosen}_1").fetchall()
    return {(unit, term): w for unit, term, w in rows}


@settings(max_examples=25, deadline=None)
@given(users=people, margin=st.integers(0, 4 * MASS))
def test_one_user_moves_the_sums_by_no_more_than_the_own_weights(users: list[tuple[int, set[int]]], margin: int) -> None:
    """Neighbours: without the last user, no other's rows change, and each rule's sums move by at most that user's weights."""
    with_all, without = (user_terms(rows_of(some), a_search()) for some in (users, users[:-1]))
    tables = [terms.round(1, ()) for terms in (with_all, without)]
    for table in tables:
        table.check()
    all_rows, other_rows = table_of(with_all), table_of(without)
    assert other_rows.items() <= all_rows.items()
    own = {term: w for (unit, term), w in all_rows.items() if (unit, term) not in other_rows}
    assert len(own) <= 4
    assert sum(w * w for w in own.values()) <= MASS**2
    for rule in RULES:
        more, less = (table.sums(rule, 3, margin) for table in tables)
        moved = {term: abs(more.get(term, 0) - less.get(term, 0)) for term in more.keys() | less.keys()}
        assert all(amount <= own.get(term, 0) for term, amount in moved.items())


@pytest.mark.parametrize("rows_at_once", [1, bounded.ROWS_AT_ONCE])
def test_what_each_rule_measures(rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A term of two companies has nothing outside the two largest, however many write it; in one range of terms or in many."""
    monkeypatch.setattr(bounded, "ROWS_AT_ONCE", rows_at_once)
    users = [(company, {1}) for company in (0, 1) for _ in range(5)] + [(company, {2}) for company in (0, 1, 1, 2)]
    table = user_terms(rows_of(users), a_search()).round(1, ())
    assert table.sums(TermRule.STRICT, 3) == {2: MASS}
    assert table.sums(TermRule.RELAXED, 3, 2 * MASS) == {1: 2 * MASS, 2: 3 * MASS}
    assert table.sums(None, 3) == {1: 10 * MASS, 2: 4 * MASS}
    assert table.by_company([2, 1], 3).by_company.tolist() == [[MASS, 2 * MASS, MASS], [5 * MASS, 5 * MASS, 0]]


def test_a_term_of_too_few_companies_is_never_found_strictly() -> None:
    """By construction: hardly any noise, hundreds of users of two companies, none of a third; one user there would do."""
    two = [(number % 2, {1, 2}) for number in range(400)]
    third = [(2, {2})] * 30
    for _ in range(5):
        terms = user_terms(rows_of([*two, *third]), a_search())
        assert draw(prepare_rounds(terms, TermRule.STRICT, Fraction(50), DELTA), Fraction(50)) == ["t2"]
    unruled = prepare_rounds(terms, None, Fraction(50), DELTA)
    assert draw(unruled, Fraction(50)) == ["t1", "t2"]  # without the rule it is


def test_one_user_who_repeats_is_one_user() -> None:
    """The decoy: 150 repeats of one user weigh no more than one; of 150 users it is found."""
    decoy = [(1, 0, 7)] * 150
    crowd = [(user, user % 3, 8) for user in range(2, 602)]
    for rule in RULES:
        terms = user_terms([*decoy, *crowd], a_search())
        table = terms.round(1, ())
        table.check()
        assert table.sums(None, 3)[7] == MASS
        assert draw(prepare_rounds(terms, rule, Fraction(1), DELTA), Fraction(1)) == ["t8"]


@pytest.mark.parametrize(
    "broken",
    [
        "update chosen_1 set w = w + 1 where unit = (select max(unit) from chosen_1)",
        "insert into chosen_1 select * from chosen_1 limit 1",
        "update chosen_1 set company = 2 where term = (select max(term) from chosen_1)",
        "update chosen_1 set unit = null where term = (select max(term) from chosen_1)",
        "update chosen_1 set w = null where term = (select max(term) from chosen_1)",
        "update chosen_1 set w = -w where term = (select max(term) from chosen_1)",
        "insert into chosen_1 select unit, company, term + 100, 0 from chosen_1",
    ],
)
def test_a_bound_broken_on_purpose_is_refused(broken: str) -> None:
    terms = user_terms(rows_of([(0, {1, 2, 3, 4}), (1, {5, 6, 7})]), a_search())
    search = prepare_rounds(terms, TermRule.STRICT, Fraction(1), DELTA)
    terms.connection.execute(broken)
    with pytest.raises(BudgetRefusedError):
        search.table.check()
    with pytest.raises(BudgetRefusedError):
        draw(search, Fraction(1))


def test_weights_of_any_number_of_terms_stay_within_the_bound() -> None:
    for terms in range(1, 1001):
        assert terms * weight(MASS, terms) ** 2 <= MASS**2 < terms * (weight(MASS, terms) + 1) ** 2


def test_the_first_of_a_users_terms_are_single_words_in_an_order_of_their_own() -> None:
    phrase = 2**63
    terms = user_terms([], a_search(most=2))
    rows = [(1, phrase + 5), (2, 9), (3, phrase + 1), (4, 3)]
    for term, place in rows:
        terms.connection.execute(
            "insert into chosen values (uuid '00000000-0000-0000-0000-000000000001', 0, ?, ?)", [term, place]
        )
    assert {term for _, term in table_of_round(terms, 1)} == {2, 4}
    assert {term for _, term in table_of_round(terms, 2, found={2})} >= {4}


def table_of_round(terms: UserTerms, number: int, found: set[int] | None = None) -> set[tuple[object, int]]:
    table: TermTable = terms.round(number, found or ())
    return {(unit, term) for unit, term in terms.connection.execute(f"select unit, term from {table.name}").fetchall()}


def test_a_round_leaves_out_what_was_found_before() -> None:
    """Common terms take most of a user's weight; with them gone, a rarer one is found in the second round."""
    users = [(user % 3, {1, 2, 3, 4} | ({5} if user % 6 < 3 else set())) for user in range(600)]
    terms = user_terms(rows_of(users), a_search(most=5, rounds=2))
    search = prepare_rounds(terms, TermRule.STRICT, Fraction(1, 20), DELTA)
    told = PreparedDraw((), Fraction(1, 20), DELTA, (search,)).draw().rounds
    assert [one.number for one in told] == [1, 2]
    assert not set(told[0].words) & set(told[1].words)
    assert all(list(one.words) == sorted(one.words) for one in told)
    assert all(value >= one.threshold for one in told for value in one.values)


def test_the_charged_delta_is_that_of_the_threshold_and_covers_every_number_of_terms() -> None:
    for rounds in (1, 2, 3):
        parameters = round_parameters(a_search(40, rounds), Fraction(1, 500), DELTA, MASS)
        assert sum((one.rho for one in parameters), Fraction(0)) <= Fraction(1, 500)
        assert sum(Fraction(one.delta) for one in parameters) <= DELTA
        assert [one.scale for one in parameters] == sorted((one.scale for one in parameters), reverse=True)
        for one in parameters:
            assert one.delta == max(
                threshold_delta(one.scale, one.threshold, k, float(MASS), weight(MASS, k)) for k in range(1, 41)
            )


@pytest.mark.parametrize("most", [1, 3, 6])
def test_at_a_small_scale_the_charged_delta_covers_the_exact_one(most: int) -> None:
    """Exact: the chance that any of k keys of one user alone appears, over the k that the user may have."""
    mass, scale = 12, 3.0
    threshold = mass + 9
    integers = np.arange(-400, 401)
    chances = np.exp(-(integers**2) / (2 * scale**2))
    chances /= chances.sum()
    exact = max(1 - (1 - chances[integers >= threshold - weight(mass, k)].sum()) ** k for k in range(1, most + 1))
    assert exact <= user_delta(scale, threshold, mass, range(1, most + 1))
    assert exact > user_delta(scale, threshold + 1, mass, range(1, most + 1)) * 0.5  # and it is near to it


def test_the_filter_refuses_a_search_that_goes_over() -> None:
    terms = user_terms(rows_of([(0, {1})]), a_search())
    search = prepare_rounds(terms, TermRule.STRICT, Fraction(1, 100), DELTA)
    for rho, delta in ((Fraction(1, 101), DELTA), (Fraction(1, 100), DELTA / 2)):
        with pytest.raises(BudgetRefusedError):
            draw(search, rho, delta)
    for rho, delta in ((Fraction(0), DELTA), (Fraction(1), Fraction(0))):
        with pytest.raises(BudgetRefusedError):
            round_parameters(a_search(), rho, delta, MASS)


def test_a_relaxed_search_stops_a_term_of_few_companies_four_deviations_below() -> None:
    one = RoundParameters(number=1, scale=10.0, threshold=100, rho=Fraction(1), delta=0.0)
    assert one.margin() == 60
