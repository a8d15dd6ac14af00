"""`make bench-scale`: the scrub on Dask, what flows cost, the whole way at two sizes, kill -9 anywhere, and how soon runs are scheduled.

    python -m benchmarks.scale [PART ...]

Parts: `dask`, `flow`, `pipeline`, `kills`, `schedule`; all where none is named. Figures of parts that are not run stay as they were.
"""

import sys

from benchmarks import scale_dask, scale_flow, scale_kills, scale_pipeline, scale_schedule
from benchmarks.report import report_parts

PARTS = {
    "dask": scale_dask.figures,
    "flow": scale_flow.figures,
    "pipeline": scale_pipeline.figures,
    "kills": scale_kills.figures,
    "schedule": scale_schedule.figures,
}


if __name__ == "__main__":
    report_parts("scale", PARTS, sys.argv[1:])
