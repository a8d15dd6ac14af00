"""`make bench-emerging`: terms that nobody listed, growing cells, and effects of changes, against simulated truth.

    python -m benchmarks.emerging [PART ...]

Parts: `terms`, `growth`, `changes`; all where none is named. Figures of parts that are not run stay as they were.
"""

import sys

from benchmarks import emerging_changes, emerging_growth, emerging_terms
from benchmarks.report import report_parts

PARTS = {"growth": emerging_growth.figures, "changes": emerging_changes.figures, "terms": emerging_terms.figures}


if __name__ == "__main__":
    report_parts("emerging", PARTS, sys.argv[1:])
