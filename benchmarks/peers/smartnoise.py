"""SmartNoise SQL: `count(distinct user)` by cell on a data frame, cells not censored because they are public."""

from collections.abc import Sequence

import pandas as pd
import snsql
from snsql.sql.privacy import Mechanism, Mechanisms, Stat

from benchmarks.peers.runner import CELLS, DELTA, EPSILON, Configuration, run

QUERY = "SELECT cell, COUNT(DISTINCT user) AS n FROM pool.events GROUP BY cell"


def count(asked: Configuration) -> Sequence[float]:
    """Noisy number of users a cell; cells that no user has stay zero, which favours it.

    It samples rows and not cells of a user; so a user's rows of one cell are made one beforehand, which favours it too.
    """
    frame = pd.read_parquet(asked.events).drop_duplicates()
    table = {
        "row_privacy": False,
        "max_ids": asked.cells,
        "sample_max_ids": True,
        "censor_dims": False,
        "clamp_counts": False,
        "use_dpsu": False,
        "rows": len(frame),
        "user": {"name": "user", "type": "int", "private_id": True},
        "cell": {"name": "cell", "type": "int"},
    }
    mechanisms = Mechanisms()
    mechanisms.map[Stat.count] = Mechanism[asked.noise]
    reader = snsql.from_df(
        frame,
        privacy=snsql.Privacy(epsilon=EPSILON, delta=DELTA, mechanisms=mechanisms),
        metadata={"": {"pool": {"events": table}}},
    )
    epsilon, _ = reader.get_privacy_cost(QUERY)  # its odometer adds half a δ of slack even to one query; that is let pass
    if epsilon > EPSILON:
        raise SystemExit("the query costs more than was given")
    counts = [0.0] * CELLS
    for cell, noisy in reader.execute(QUERY)[1:]:
        counts[int(cell)] = noisy
    return counts


if __name__ == "__main__":
    run(count)
