"""Users and the terms that they wrote, as numbers: long tails in both, for benchmarks of finding terms."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aggregate.scratch import scratch_database
from aggregate.terms.bounded import UserTerms
from aggregate.terms.grams import mixed
from schemas.emerging import TermRule, TermSearch

USERS, ROWS, TERMS, A_ROW, EXPONENT, MOST_ROWS = 200_000, 1_000_000, 50_000, 2, 1.05, 400
MASS, MINIMUM = 2**20, 3

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Written:
    """Different pairs of user and term, and the rank of a term by how often it is used in general (0 is the commonest)."""

    users: Numbers
    terms: Numbers
    rng: np.random.Generator
    companies: Numbers | None = None  # of users, where they are not spread anew


def written(seed: int, users: int = USERS) -> Written:
    """Users of whom few write much (Pareto 1.35), and terms of which few are common (Zipf 1.05 over 50,000)."""
    rng = np.random.default_rng(seed)
    rows = ROWS * users // USERS
    weights = np.minimum(1 + np.floor(rng.pareto(1.35, users) * 1.15), MOST_ROWS)
    each = np.maximum(1, np.round(weights * rows / weights.sum())).astype(np.int64)
    chances = 1 / np.arange(1, TERMS + 1) ** EXPONENT
    who = np.repeat(np.arange(users), each * A_ROW)
    what = rng.choice(TERMS, len(who), p=chances / chances.sum())
    pairs = np.unique(who * TERMS + what)
    return Written(pairs // TERMS, pairs % TERMS, rng)


DECOY, OF_TWO = TERMS, (TERMS + 1, TERMS + 2)


def planted(seed: int) -> Written:
    """A tenth of the users, and three terms beside: one of a single user, 150 times, and two of 2,000 users of two companies."""
    data = written(seed, USERS // 10)
    companies = data.rng.choice(3, USERS // 10)
    of_two = np.flatnonzero(companies < 2)[:2_000]
    users = np.concatenate([data.users, np.full(150, 7), *(of_two for _ in OF_TWO)])
    terms = np.concatenate([data.terms, np.full(150, DECOY), *(np.full(len(of_two), term) for term in OF_TWO)])
    return Written(users, terms, data.rng, companies)


@contextmanager
def as_user_terms(data: Written, companies: int, search: TermSearch, folder: Path, known: int = 0) -> Iterator[UserTerms]:
    """The same as if it had been collected from text: users spread over companies (Dirichlet 1.5), the `known` commonest left out."""
    shares = data.rng.dirichlet(np.full(companies, 1.5))
    spread = data.rng.choice(companies, int(data.users.max()) + 1, p=shares)
    company = spread if data.companies is None else data.companies
    fresh = data.terms >= known
    users, terms = data.users[fresh], data.terms[fresh].astype(np.uint64)
    units = mixed(users.astype(np.uint64))
    halves = np.stack([units, mixed(units)], axis=1)
    unit = pa.ExtensionArray.from_storage(
        pa.uuid(), pa.Array.from_buffers(pa.binary(16), len(users), [None, pa.py_buffer(halves.tobytes())])
    )
    place = mixed(mixed(units) ^ terms) >> np.uint64(1)
    rows = pa.table(
        {"unit": unit, "company": pa.array(company[users], pa.uint16()), "term": pa.array(terms), "place": pa.array(place)}
    )
    with scratch_database(folder, "1GB", 1, "10GB") as connection:
        connection.register("arriving", rows)
        connection.execute("create table chosen as select unit, company, term, place from arriving")
        connection.unregister("arriving")
        spelled = {term: f"t{term}" for term in range(max(OF_TWO) + 1)}
        yield UserTerms(search, MASS, MINIMUM, companies, "chosen", "followed", (), (), spelled, connection)


def a_search(most: int, rounds: int, rule: TermRule = TermRule.STRICT) -> TermSearch:
    """A search over such terms."""
    return TermSearch(name="terms", speaker="user", most=most, rounds=rounds, rule=rule)
