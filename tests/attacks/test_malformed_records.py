"""Every malformed record of the simulation gets its code and no other, and every good row is kept, over seeds."""

import pytest

from benchmarks.intake_malformed import Coded, coded_over
from intake import record_checks
from sample_data.malformed import MALFORMED_KINDS


def shares(found: Coded) -> tuple[float, float, int]:
    return found.coded / found.planted, found.kept / found.good, found.refused


def test_one_seed() -> None:
    found = coded_over([1])
    assert found.planted > 40
    assert shares(found) == (1.0, 1.0, 0)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_twenty_seeds() -> None:
    found = coded_over(range(1, 21))
    print(f"malformed {found.coded}/{found.planted} of {len(found.kinds)} kinds, good rows kept {found.kept}/{found.good}")  # noqa: T201
    assert found.planted > 1_000
    assert len(MALFORMED_KINDS) - len(found.kinds) <= 3  # kinds that need what a single quarter may not have
    assert shares(found) == (1.0, 1.0, 0)


def test_a_check_left_out_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_checks, "misspelling", lambda *_: "")
    assert shares(coded_over([1]))[0] < 1.0
