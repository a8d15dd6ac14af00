"""Limits of what one submission may be; over them it is refused whole."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, counts in records, times in seconds.

    `max_rejected_share` is the share of records that may be quarantined; once as many are as `hopeless_rows`, or more
    than half of `first_rows` or more, reading stops there; so it does after `hopeless_files` that could not be read. `decoded_ratio` is how far a compressed or Parquet file
    may expand. Lines are parsed and checked
    `lines_at_once`, while they are in the processor's cache. `memory_bytes` is what the process that reads a file may take on top of what it starts with; it may
    run `seconds_a_file`, and one more for each `bytes_a_second` of the file. All files of a submission together may take
    `seconds_a_submission` and the same for their bytes; neither a file nor a submission takes more than `most_seconds`.
    """

    manifest_bytes: int = MIB
    files: int = 1_000
    file_bytes: int = 8 << 30
    submission_bytes: int = 64 << 30
    file_records: int = 20_000_000
    line_bytes: int = 8 * MIB
    decoded_ratio: int = 200
    decoded_floor: int = 16 * MIB
    batch_rows: int = 256
    batch_bytes: int = 32 * MIB
    lines_at_once: int = 32
    listed_findings: int = 10_000
    hopeless_rows: int = 100_000
    first_rows: int = 20_000
    hopeless_files: int = 3
    max_rejected_share: float = 0.05
    memory_bytes: int = 320 * MIB
    seconds_a_file: int = 30
    bytes_a_second: int = 2 * MIB
    seconds_a_submission: int = 300
    most_seconds: int = 7_200

    def seconds(self, size: int) -> int:
        """How long a file of that size may take to be read."""
        return min(self.most_seconds, self.seconds_a_file + size // self.bytes_a_second)

    def submission_seconds(self, size: int) -> int:
        """How long all files of a submission, of so many bytes together, may take to be read."""
        return min(self.most_seconds, self.seconds_a_submission + size // self.bytes_a_second)

    def decoded_bytes(self, size: int) -> int:
        """How many bytes a compressed or Parquet file of that size may expand to."""
        return min(self.file_bytes, max(size * self.decoded_ratio, self.decoded_floor))


DEFAULT_LIMITS = Limits()
