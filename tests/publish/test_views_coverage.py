"""Intervals of the macros hold the truth as often as they say, on simulated users with the plan's own noise."""

from benchmarks.macros import coverage, trend_coverage


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    found = coverage(draws=40, seed=11)
    shares = found.shares()
    assert set(shares) == {"sum_of", "difference_of", "share_of", "rate_of", "rate_difference"}
    assert all(0.91 <= share <= 0.995 for share in shares.values()), shares
    held, number = (sum(counts[place] for counts in found.held.values()) for place in (0, 1))
    assert number > 2_500 and 0.93 <= held / number <= 0.98


def test_the_alarm_sounds_where_the_shipped_noise_is_too_small() -> None:
    found = coverage(draws=6, seed=12, shrink=0.2)
    shares = found.shares()
    assert min(shares["sum_of"], shares["rate_of"], shares["difference_of"]) < 0.88, shares


def test_the_interval_of_a_trend_holds_the_truth() -> None:
    found = trend_coverage(draws=24, seed=13)
    (held, number) = found.held["trend_of"]
    assert number > 100 and 0.89 <= held / number <= 0.995
