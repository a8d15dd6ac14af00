"""The drops of all registered companies: what waits in each, in whose turn it is taken in, and keys that companies need."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from flows.pool import POOL_KEY, Pool
from intake.arrival import arrivals
from intake.drop import ANSWERS, INCOMING, Drop, open_drop
from intake.sealing import recipient_of
from schemas.errors import CommonsError
from schemas.signing import encode_key, public_key

A_RUN = 200
"""Submissions of one company that one run takes in at most; the others wait for the next."""


class Arrival(NamedTuple):
    """A complete submission in the drop of a company."""

    company: str
    digest: str


def drop_of(pool: Pool, company: str) -> Drop:
    """A company's drop. Raises TransportError where it cannot be reached."""
    return open_drop(pool.drop_url(company))


def make_local_drops(pool: Pool) -> None:
    """Makes the folders of drops that lie on this machine; a store's are made by whoever runs the store.

    Where one cannot be made, because of what a company put in its place, the others still are.
    """
    for company in pool.registry.companies:
        url = pool.drop_url(company)
        for name in (INCOMING, ANSWERS) if "://" not in url else ():
            with suppress(OSError):
                Path(url, name).mkdir(parents=True, exist_ok=True)


def waiting_by_company(pool: Pool, only: str = "") -> dict[str, list[str] | CommonsError]:
    """Digests that wait, the oldest first, by company (or of one company); for a drop that could not be looked into, why."""
    make_local_drops(pool)
    found: dict[str, list[str] | CommonsError] = {}
    for company in sorted(name for name in pool.registry.companies if only in ("", name)):
        try:
            with drop_of(pool, company) as drop:
                found[company] = arrivals(drop, A_RUN)
        except CommonsError as error:  # nobody else waits for a company whose drop is broken
            found[company] = error
    return found


def in_turns(by_company: dict[str, list[str] | CommonsError]) -> list[Arrival]:
    """The first of each company, then the second of each, and so on: nobody keeps the others waiting by sending a lot."""
    queues = {company: list(found) for company, found in by_company.items() if not isinstance(found, CommonsError)}
    turns = [(turn, company, digest) for company, queue in queues.items() for turn, digest in enumerate(queue)]
    return [Arrival(company, digest) for _, company, digest in sorted(turns)]


def waiting(pool: Pool) -> list[Arrival]:
    """What waits in the drops that can be reached, in the order in which it is taken in."""
    return in_turns(waiting_by_company(pool))


def public_keys(pool: Pool) -> dict[str, str]:
    """What every company's `commons.toml` needs: `pool_recipient` to seal to, `pool_key` that signs receipts."""
    return {
        "pool_recipient": recipient_of(pool.identities),
        "pool_key": encode_key(public_key(pool.secret(POOL_KEY))),
    }
