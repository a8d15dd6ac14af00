"""What was accepted of a company before, from the pool's own Parquet."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from intake.catalogue import AcceptedSubmission, Catalogue
from schemas.at_rest import parquet_file
from schemas.periods import Quarter
from schemas.storage import Place, files_below, source_of

_COLUMNS = ["unit", "record_id", "content", "record_status"]


def submission_folder(root: Place, submission: AcceptedSubmission) -> Place:
    """Where a submission's Parquet lies below a root (`accepted/` or `scrubbed/`): names are ours, not the sender's."""
    # The whole digest: two manifests that agree in the first half of one can be made, and the second would replace the first.
    return root / str(submission.quarter) / submission.company / submission.digest


class AcceptedRecords:
    """Accepted records of one company: satisfies `intake.settlement.KnownRecords`. Memory is flat in their number."""

    def __init__(self, accepted: Place, catalogue: Catalogue, key: Callable[[Quarter, str], bytes], company: str) -> None:
        self._accepted, self._catalogue, self._key, self._company = accepted, catalogue, key, company
        self._quarters: dict[str, Quarter] | None = None

    def of_quarter(self, quarter: Quarter, units: Sequence[str] | None) -> Iterable[tuple[str, str, str]]:
        """See KnownRecords. Raises NoLongerHeldError where the quarter's records were purged."""
        earlier = self._catalogue.accepted(quarter, self._company)
        return self._records(earlier, self._key(quarter, self._company), units) if earlier else ()

    def submission_quarter(self, submission_id: str) -> Quarter | None:
        """See KnownRecords."""
        if self._quarters is None:
            self._quarters = self._catalogue.quarters(self._company)
        return self._quarters.get(submission_id)

    def _records(
        self, earlier: Sequence[AcceptedSubmission], key: bytes, units: Sequence[str] | None
    ) -> Iterator[tuple[str, str, str]]:
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = None if units is None else pa.array(units, pa.string())
        for submission in earlier:
            folder = submission_folder(self._accepted, submission)
            for part in files_below(folder):
                with parquet_file(source_of(folder / part), key) as file:
                    for batch in file.iter_batches(columns=_COLUMNS):
                        kept = batch.filter(pc.not_equal(batch.column("record_status"), pa.scalar("withdrawal")))
                        if wanted is not None:
                            kept = kept.filter(pc.is_in(kept.column("unit"), wanted))
                        yield from zip(*(kept.column(name).to_pylist() for name in _COLUMNS[:3]), strict=True)
