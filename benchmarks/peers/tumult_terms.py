"""Tumult Analytics on Spark: `get_groups` on a session with a user id."""

import os
import sys

from pyspark.sql import SparkSession
from tmlt.analytics import AddRowsWithID, ApproxDPBudget, MaxGroupsPerID, MaxRowsPerGroupPerID, QueryBuilder, Session

from benchmarks.peers.runner import DELTA, EPSILON, Search, run_search


def find(asked: Search) -> int:
    """Number of terms that it selects."""
    budget = ApproxDPBudget(EPSILON, DELTA)
    pairs = SPARK.read.parquet(str(asked.pairs))
    session = (
        Session.Builder()
        .with_privacy_budget(budget)
        .with_private_dataframe("pairs", pairs, protected_change=AddRowsWithID("user"))
        .build()
    )
    query = (
        QueryBuilder("pairs")
        .enforce(MaxGroupsPerID("term", asked.most))
        .enforce(MaxRowsPerGroupPerID("term", 1))
        .get_groups(["term"])
    )
    return int(session.evaluate(query, budget).count())


if __name__ == "__main__":
    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    SPARK = (
        SparkSession.builder.master("local[2]")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.driver.memory", "2g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.warehouse.dir", sys.argv[2] + ".spark")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .getOrCreate()
    )
    SPARK.sparkContext.setLogLevel("ERROR")
    run_search(find)
