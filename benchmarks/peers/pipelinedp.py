"""PipelineDP: counts of privacy ids on its local backend, public partitions."""

import operator
from collections.abc import Sequence

import pipeline_dp
import pyarrow.parquet as pq

from benchmarks.peers.runner import CELLS, DELTA, EPSILON, Configuration, run


def count(asked: Configuration) -> Sequence[float]:
    """Noisy number of users a cell."""
    table = pq.read_table(asked.events)
    rows = list(zip(table["user"].to_pylist(), table["cell"].to_pylist(), strict=True))
    del table
    budget = pipeline_dp.NaiveBudgetAccountant(total_epsilon=EPSILON, total_delta=DELTA)
    parameters = pipeline_dp.AggregateParams(
        metrics=[pipeline_dp.Metrics.PRIVACY_ID_COUNT],
        noise_kind=pipeline_dp.NoiseKind[asked.noise.upper()],
        max_partitions_contributed=asked.cells,
        max_contributions_per_partition=1,
    )
    extractors = pipeline_dp.DataExtractors(
        privacy_id_extractor=operator.itemgetter(0), partition_extractor=operator.itemgetter(1), value_extractor=lambda _: 0
    )
    engine = pipeline_dp.DPEngine(budget, pipeline_dp.LocalBackend())
    result = engine.aggregate(rows, parameters, extractors, public_partitions=list(range(CELLS)))
    budget.compute_budgets()
    noisy = dict(result)
    return [noisy[cell].privacy_id_count for cell in range(CELLS)]


if __name__ == "__main__":
    run(count)
