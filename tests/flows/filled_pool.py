"""A pool with scrubbed records of one quarter and people with keys, and the way of its release up to a step."""

import fcntl
import os
import shutil
from pathlib import Path

from stores import send

from flows.drops import waiting
from flows.intake_steps import take_in_submission
from flows.pool import Pool, packaged_config
from flows.release_steps import approve_release, check_release, make_plan, measure_release, publish_release
from flows.scrubbing import pending_parts, scrub_parts
from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate
from schemas.periods import Quarter
from schemas.signing import encode_key, new_private_key, public_key

QUARTER = Quarter(2026, 1)
PEOPLE = (("olga", "operator"), ("otto", "operator"), ("carl", "clinical"), ("petra", "privacy"))


def accept(root: Path, parameters: SimulationParameters, records: str = "") -> None:
    """Fills a pool: synthetic companies send, and what they sent is taken in. `records` is where it lies, if not below the root."""
    made, config = root / "made", root / "config"
    simulate(made, parameters)
    config.mkdir()
    shutil.copy(made / "companies.toml", config)
    settings = packaged_config("pool.toml").read_text()
    (config / "pool.toml").write_text(settings.replace('records = ""', f'records = "{records}"'))
    pool = Pool(root)
    for manifest in sorted(made.glob("*/*/manifest.json")):
        send(pool, manifest.parent)
    for arrival in waiting(pool):
        take_in_submission(pool, *arrival)


def fill(root: Path, quarters: int = 1, records: str = "") -> None:
    """Fills a pool: three synthetic companies send, and what they sent is scrubbed."""
    accept(root, SimulationParameters(seed=41, users=200, quarters=quarters, text_share=0.02), records)
    people = ""
    for person, role in PEOPLE:
        private = new_private_key()
        (root / f"{person}.key").write_text(encode_key(private))
        people += f'[[person]]\nid = "{person}"\nrole = "{role}"\npublic_key = "{encode_key(public_key(private))}"\n'
    (root / "config" / "people.toml").write_text(people)
    pool = Pool(root)
    scrub_parts(pool, pending_parts(pool))


def filled_once(base: Path) -> Path:
    """A pool with scrubbed records of one quarter and four registered people, made at first use by whichever process of a session is first."""
    place = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    root = place / "filled"
    with (place / "filled.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            making = place / "filling"
            fill(making)
            making.rename(root)
    return root


def key(pool: Pool, person: str) -> Path:
    """A person's key file."""
    return pool.root / f"{person}.key"


def until_checked(pool: Pool, quarter: Quarter = QUARTER) -> None:
    """Plan, measure, check."""
    make_plan(pool, quarter, key(pool, "olga"))
    measure_release(pool, quarter)
    check_release(pool, quarter)


def until_published(pool: Pool, quarter: Quarter = QUARTER) -> Path:
    """Everything; returns the folder."""
    until_checked(pool, quarter)
    for person in ("carl", "petra"):
        approve_release(pool, quarter, key(pool, person))
    return publish_release(pool, quarter).folder
