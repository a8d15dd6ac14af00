"""Makes the committed sample again: `python -m sample_data.make_sample`. The same bytes come out each time."""

from pathlib import Path

from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate

SAMPLE_FOLDER = Path(__file__).parent / "sample"

# Two submissions of one file each a quarter: large enough that a malformed record stays below the share that is refused.
SAMPLE_PARAMETERS = SimulationParameters(
    seed=20260101,
    users=80,
    submissions_per_quarter=2,
    files_per_submission=1,
    formats=("jsonl", "parquet", "jsonl.gz", "parquet", "jsonl", "jsonl.zst"),
    text_share=0.16,
    malformed_share=0.029,
    duplicate_share=0.02,
    correction_share=0.04,
    record_withdrawal_share=0.02,
    user_withdrawal_share=0.06,
)


def main() -> None:
    """Writes the sample over the one that is there."""
    simulate(SAMPLE_FOLDER, SAMPLE_PARAMETERS)


if __name__ == "__main__":
    main()
