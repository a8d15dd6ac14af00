"""Tumult Analytics on Spark: a session over rows with a user id, at most so many cells a user, one row in each."""

import os
import sys
from collections.abc import Sequence

import pandas as pd
from pyspark.sql import SparkSession
from tmlt.analytics import (
    AddRowsWithID,
    KeySet,
    MaxGroupsPerID,
    MaxRowsPerGroupPerID,
    PureDPBudget,
    QueryBuilder,
    RhoZCDPBudget,
    Session,
)

from benchmarks.peers.runner import CELLS, EPSILON, Configuration, run


def count(asked: Configuration) -> Sequence[float]:
    """Noisy number of users a cell."""
    budget = RhoZCDPBudget(asked.rho) if asked.noise == "gaussian" else PureDPBudget(EPSILON)
    events = SPARK.read.parquet(str(asked.events))
    session = (
        Session.Builder()
        .with_privacy_budget(budget)
        .with_private_dataframe("events", events, protected_change=AddRowsWithID("user"))
        .build()
    )
    query = (
        QueryBuilder("events")
        .enforce(MaxGroupsPerID("cell", asked.cells))
        .enforce(MaxRowsPerGroupPerID("cell", 1))
        .groupby(KeySet.from_dict({"cell": list(range(CELLS))}))
        .count()
    )
    noisy: pd.DataFrame = session.evaluate(query, budget).toPandas()
    counts = dict(zip(noisy["cell"], noisy["count"], strict=True))
    return [counts[cell] for cell in range(CELLS)]


if __name__ == "__main__":
    os.environ |= {
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }  # its processes: of this environment, this machine
    SPARK = (
        SparkSession.builder.master("local[2]")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.driver.memory", "2g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.warehouse.dir", sys.argv[2] + ".spark")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .getOrCreate()
    )  # before the clock runs: a session is started once
    SPARK.sparkContext.setLogLevel("ERROR")
    run(count)
