"""SmartNoise SQL: `count(distinct user)` by term, terms censored; with its private set union (`dpsu`) or by its threshold."""

import pandas as pd
import snsql

from benchmarks.peers.runner import DELTA, EPSILON, Search, run_search

QUERY = "SELECT term, COUNT(DISTINCT user) AS n FROM pool.pairs GROUP BY term"


def find(asked: Search) -> int:
    """Number of terms that it tells."""
    frame = pd.read_parquet(asked.pairs)
    frame["term"] = "t" + frame["term"].astype(str)
    table = {
        "row_privacy": False,
        "max_ids": asked.most,
        "sample_max_ids": True,
        "censor_dims": True,
        "use_dpsu": asked.way == "dpsu",
        "rows": len(frame),
        "user": {"name": "user", "type": "int", "private_id": True},
        "term": {"name": "term", "type": "string"},
    }
    reader = snsql.from_df(frame, privacy=snsql.Privacy(epsilon=EPSILON, delta=DELTA), metadata={"": {"pool": {"pairs": table}}})
    return len(reader.execute(QUERY)) - 1


if __name__ == "__main__":
    run_search(find)
