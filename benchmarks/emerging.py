"""`make bench-emerging`: terms that nobody listed, growing cells, and effects of changes, against simulated truth.

    python -m benchmarks.emerging [PART ...]

Parts: `terms`, `growth`, `changes`; all where none is named. Figures of parts that are not run stay as they were.
"""

import sys

from benchmarks import emerging_changes, emerging_growth, emerging_terms
from benchmarks.report import report, reported

PARTS = {"growth": emerging_growth.figures, "changes": emerging_changes.figures, "terms": emerging_terms.figures}


def main(asked: list[str]) -> None:
    """Runs the parts that were asked for."""
    if unknown := set(asked) - set(PARTS):
        sys.exit(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for part in asked or PARTS:
        sys.stderr.write(f"{part} ...\n")
        report("emerging", reported("emerging") | PARTS[part]())


if __name__ == "__main__":
    main(sys.argv[1:])
