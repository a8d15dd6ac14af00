"""Users and their terms as numbers, in a database of their own: for tests of what is made of them."""

from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa

from aggregate.terms.bounded import UserTerms
from aggregate.terms.grams import mixed
from schemas.emerging import TermRule, TermSearch

MASS = 2**20
Row = tuple[int, int, int]  # user, company, term


def a_search(most: int = 4, rounds: int = 1, rule: TermRule = TermRule.STRICT) -> TermSearch:
    return TermSearch(name="terms", speaker="user", most=most, rounds=rounds, rule=rule)


def user_terms(rows: Sequence[Row], search: TermSearch, companies: int = 3, minimum: int = 3) -> UserTerms:
    """As if they had been collected from text; term n is spelled `tn`."""
    users, company, term = (np.array([row[place] for row in rows], np.uint64) for place in range(3))
    halves = np.stack([np.zeros_like(users), users.byteswap()], axis=1)
    unit = pa.Array.from_buffers(pa.binary(16), len(rows), [None, pa.py_buffer(halves.tobytes())])
    arriving = pa.table(
        {
            "unit": pa.ExtensionArray.from_storage(pa.uuid(), unit),
            "company": company.astype(np.uint16),
            "term": term,
            "place": mixed(users * np.uint64(1_000_003) + term) >> np.uint64(1),
        }
    )
    connection = duckdb.connect(config={"threads": 1})
    connection.register("arriving", arriving)
    connection.execute("create table chosen as select * from arriving")
    connection.unregister("arriving")
    connection.execute("create table followed (unit uuid, company usmallint, term ubigint)")
    spelled = {term: f"t{term}" for _, _, term in rows}
    return UserTerms(search, MASS, minimum, companies, "chosen", "followed", (), (), spelled, connection)
