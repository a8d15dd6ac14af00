"""Users and their terms as numbers, in a database of their own: for tests of what is made of them."""

from collections.abc import Sequence
from uuid import UUID

import duckdb
import numpy as np

from aggregate.terms.bounded import UserTerms
from aggregate.terms.grams import mixed
from schemas.emerging import TermRule, TermSearch

MASS = 2**20
Row = tuple[int, int, int]  # user, company, term


def a_search(most: int = 4, rounds: int = 1, rule: TermRule = TermRule.STRICT) -> TermSearch:
    return TermSearch(name="terms", speaker="user", most=most, rounds=rounds, rule=rule)


def user_terms(rows: Sequence[Row], search: TermSearch, companies: int = 3, minimum: int = 3) -> UserTerms:
    """As if they had been collected from text; term n is spelled `tn`."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("create table chosen (unit uuid, company usmallint, term ubigint, place ubigint)")
    connection.execute("create table followed (unit uuid, company usmallint, term ubigint)")
    if rows:
        placed = [(UUID(int=user), company, term, place_of(user, term)) for user, company, term in rows]
        connection.executemany("insert into chosen values (?, ?, ?, ?)", placed)
    spelled = {term: f"t{term}" for _, _, term in rows}
    return UserTerms(search, MASS, minimum, companies, "chosen", "followed", (), (), spelled, connection)


def place_of(user: int, term: int) -> int:
    return int(mixed(np.array([user * 1_000_003 + term], np.uint64))[0] >> np.uint64(1))
