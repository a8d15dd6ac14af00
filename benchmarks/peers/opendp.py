"""Plain OpenDP: its Context over a Polars frame, truncated by its own means, keys public."""

from collections.abc import Sequence

import opendp.prelude as dp
import polars as pl

from benchmarks.peers.runner import CELLS, EPSILON, Configuration, run

dp.enable_features("contrib")


def count(asked: Configuration) -> Sequence[float]:
    """Noisy number of users a cell.

    In 0.16.0 `keep="sample"` fails on its own plan, so a user's first cells are kept; and `truncate_num_groups(k)` keeps
    k - 1 groups while k are charged, so one more is asked for.
    """
    loss = dp.loss_of(rho=asked.rho) if asked.noise == "gaussian" else dp.loss_of(epsilon=EPSILON)
    context = dp.Context.compositor(
        data=pl.scan_parquet(asked.events),
        privacy_unit=dp.unit_of(contributions=1, identifier=pl.col("user")),
        privacy_loss=loss,
        split_evenly_over=1,
    )
    query = (
        context.query()
        .truncate_per_group(1, by=["cell"])
        .truncate_num_groups(asked.cells + 1, by=["cell"], keep="first")
        .group_by("cell")
        .agg(dp.len(signed=True))
        .with_keys(pl.LazyFrame({"cell": list(range(CELLS))}, schema={"cell": pl.Int64}))
    )
    noisy = dict(query.release().collect().iter_rows())
    return [noisy[cell] for cell in range(CELLS)]


if __name__ == "__main__":
    run(count)
