"""PipelineDP: private selection of partitions on its local backend."""

import operator

import pipeline_dp
import pyarrow.parquet as pq

from benchmarks.peers.runner import DELTA, EPSILON, Search, run_search


def find(asked: Search) -> int:
    """Number of terms that it selects."""
    table = pq.read_table(asked.pairs)
    rows = list(zip(table["user"].to_pylist(), table["term"].to_pylist(), strict=True))
    del table
    budget = pipeline_dp.NaiveBudgetAccountant(total_epsilon=EPSILON, total_delta=DELTA)
    parameters = pipeline_dp.SelectPartitionsParams(
        max_partitions_contributed=asked.most,
        partition_selection_strategy=pipeline_dp.PartitionSelectionStrategy[asked.way.upper()],
    )
    extractors = pipeline_dp.DataExtractors(
        privacy_id_extractor=operator.itemgetter(0), partition_extractor=operator.itemgetter(1), value_extractor=lambda _: 0
    )
    engine = pipeline_dp.DPEngine(budget, pipeline_dp.LocalBackend())
    selected = engine.select_partitions(rows, parameters, extractors)
    budget.compute_budgets()
    return len(list(selected))


if __name__ == "__main__":
    run_search(find)
