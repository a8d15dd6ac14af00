"""The test for growing cells: it holds its rate of false discoveries, and what makes it hold it can be broken."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearson3

from aggregate import growth as module
from aggregate.growth import NoisyHistory, adjusted, called, dispersions, growth, tails
from benchmarks.emerging_growth import SCENARIOS, ours, score

RATE = 0.1


def simulated(
    seed: int, factors: Sequence[float] = (), *, volume: float = 1.0, cv: float = 0.0, noise: float = 10.0, marginals: int = 8
) -> list[NoisyHistory]:
    """Marginals of 25 cells of 20 to 400 users; the first cells of each have `factors`."""
    rng = np.random.default_rng(seed)
    rates = np.geomspace(20, 400, 25)
    changed = np.concatenate([np.asarray(factors, dtype=float), np.ones(25 - len(factors))])

    def drawn(means: np.ndarray) -> np.ndarray:
        unrest = rng.gamma(1 / cv**2, cv**2, 25) if cv else 1.0
        return rng.poisson(means * unrest) + rng.normal(0, noise, 25)

    return [
        NoisyHistory(np.array([drawn(rates) for _ in range(4)]), drawn(rates * changed * volume), np.full(5, noise), np.ones(5))
        for _ in range(marginals)
    ]


def calls(histories: list[NoisyHistory]) -> int:
    return int(sum(np.abs(each).sum() for each in called(histories, RATE)))


def falsely(**changes: float) -> int:
    """Calls in twelve worlds in which no share changes."""
    return sum(calls(simulated(seed, **changes)) for seed in range(12))  # type: ignore[arg-type]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.01, 0.5))
def test_what_is_called_is_what_benjamini_and_hochberg_reject(p_values: list[float], rate: float) -> None:
    """Against the rule as it was written: the largest k of which the k-th smallest p-value is at most k / m of the rate."""
    ordered = sorted(p_values)
    most = max((k for k, p in enumerate(ordered, 1) if p * len(p_values) / k <= rate), default=0)
    edge = ordered[most - 1] if most else -1.0
    assert [q <= rate for q in adjusted(np.array(p_values))] == [p <= edge for p in p_values]


@pytest.mark.parametrize("skewness", [0.001, 0.05, 0.3, 0.8, 1.2])
def test_tails_are_those_of_pearsons_third_type(skewness: float) -> None:
    score = np.linspace(-1.9 if skewness > 0.8 else -3, 6, 60)
    upper, lower = tails(score, np.full(60, skewness))
    assert upper == pytest.approx(pearson3.sf(score, skewness), rel=0.03)
    assert lower == pytest.approx(pearson3.cdf(score, skewness), rel=0.03, abs=1e-9)
    mirrored = tails(-score, np.full(60, -skewness))
    assert mirrored[1] == pytest.approx(upper) and mirrored[0] == pytest.approx(lower)


@pytest.mark.parametrize(("volume", "cv"), [(1.0, 0.0), (1.1, 0.0), (0.6, 0.0), (1.1, 0.3)])
def test_where_no_share_changes_next_to_nothing_is_called(volume: float, cv: float) -> None:
    assert falsely(volume=volume, cv=cv) <= 6


def test_noise_that_is_not_counted_raises_false_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = module._Model._without_change

    def blind(model: module._Model, volume: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        silent = NoisyHistory(model.history.earlier, model.history.now, np.full(5, 1e-6), model.history.sampling)
        return honest(module._Model(silent, model.dispersion), volume)

    monkeypatch.setattr(module._Model, "_without_change", blind)
    assert falsely() > 30


def test_volume_that_is_not_counted_raises_false_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    as_before = property(lambda model: (model.before / 4, np.ones(25)))
    monkeypatch.setattr(module._Model, "_voted", as_before)
    assert falsely(volume=1.2) > 30


def test_unrest_that_is_not_counted_raises_false_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "dispersions", lambda histories: [0.0] * len(histories))
    assert falsely(cv=0.2) > 30


def test_doubled_and_halved_cells_are_called_the_right_way_and_others_are_not() -> None:
    right = wrong = 0
    for seed in range(6):
        histories = simulated(seed, factors=[1.0] * 20 + [2.0, 0.5])
        for told in called(histories, RATE):
            right += int(told[20] == 1) + int(told[21] == -1)
            wrong += np.abs(np.delete(told, [20, 21])).sum()
    assert right >= 0.9 * 6 * 8 * 2
    assert wrong <= 0.25 * right


def test_one_large_cell_that_doubles_makes_no_others_recede() -> None:
    """It holds a third of the marginal: were the volume its plain sum, all others would be seen to shrink."""
    told = called(simulated(1, factors=[1.0] * 24 + [4.0]), RATE)
    assert all(each[24] == 1 for each in told)
    assert sum((each[:24] < 0).sum() for each in told) <= 3


def test_dispersion_is_told_from_the_history_and_shared_by_marginals_that_do_not_differ() -> None:
    for cv in (0.1, 0.3):
        found = np.array([dispersions(simulated(seed, cv=cv, noise=5.0)) for seed in range(6)])
        assert cv**2 < found.mean() < 1.6 * cv**2
        alone = np.array([dispersions([each])[0] for seed in range(6) for each in simulated(seed, cv=cv, noise=5.0)])
        assert found.std() < alone.std()
    assert max(dispersions(simulated(1))) < 0.005


def test_a_restless_marginal_keeps_a_dispersion_of_its_own() -> None:
    calm, restless = simulated(1, noise=3.0, marginals=7), simulated(2, cv=0.5, noise=3.0, marginals=1)
    found = dispersions([*calm, *restless])
    assert found[-1] > 0.15 > 0.1 > max(found[:-1])


def test_ratios_and_intervals_tell_the_truth_that_was_put_in() -> None:
    covered, widths = [], []
    for seed in range(8):
        for cells in growth(simulated(seed, factors=[1.0] * 22 + [1.5], volume=1.2, marginals=3), RATE, 0.95):
            for place, cell in enumerate(cells):
                if cell.interval is not None and cell.ratio is not None:
                    true = 1.5 if place == 22 else 1.0
                    covered.append(cell.interval.low <= true <= cell.interval.high)
                    widths.append(cell.interval.high - cell.interval.low)
                    assert cell.interval.low <= cell.ratio <= cell.interval.high
    assert 0.93 <= np.mean(covered) <= 0.99
    assert np.mean(widths) < 2


def test_of_a_large_cell_that_grows_by_itself_the_volume_is_as_uncertain_as_the_others_tell_it() -> None:
    rng, rates, covered = np.random.default_rng(5), np.array([1000.0] + [200.0] * 10), []
    for _ in range(200):
        drawn = [rng.poisson(rates * factor) + rng.normal(0, 50, 11) for factor in (1, 1, 1, 1, np.array([1.6] + [1] * 10))]
        cell = growth([NoisyHistory(np.array(drawn[:4]), drawn[4], np.full(5, 50.0), np.ones(5))], RATE, 0.95)[0][0]
        assert cell.interval is not None
        covered.append(cell.interval.low <= 1.6 <= cell.interval.high)
    assert 0.92 <= np.mean(covered) <= 0.98  # without the volume's own error: .895


def test_what_is_told_agrees_with_itself() -> None:
    for cells in growth(simulated(3, factors=[3.0] * 3), RATE, 0.95):
        for cell in cells:
            assert cell.direction == (1 if cell.share_now > cell.share_before else -1)
            assert 0 <= cell.q_value <= 1
            assert cell.detectable is None or cell.detectable > 1
    larger = [cell.detectable for cell in growth(simulated(3), RATE, 0.95)[0]]
    assert larger[24] is not None and (larger[5] is None or larger[24] < larger[5])


def test_of_a_cell_that_was_hardly_there_no_ratio_is_told() -> None:
    history = simulated(1, marginals=1)[0]
    history.earlier[:, 0], history.now[0] = [-3.0, 2.0, 1.0, -1.0], 4.0
    (cells,) = growth([history], RATE, 0.95)
    assert (cells[0].ratio, cells[0].interval, cells[0].detectable) == (None, None, None)
    assert cells[24].ratio is not None


def test_the_order_of_cells_and_marginals_does_not_matter() -> None:
    histories = simulated(5, factors=[2.0], marginals=3)
    turned = [NoisyHistory(h.earlier[:, ::-1], h.now[::-1], h.noise, h.sampling) for h in histories[::-1]]
    straight = [cell.q_value for cells in growth(histories, RATE, 0.95) for cell in cells]
    back = [cell.q_value for cells in growth(turned, RATE, 0.95) for cell in cells]
    assert back[::-1] == pytest.approx(straight)


def test_nothing_to_test_is_no_error() -> None:
    assert growth([], RATE, 0.95) == [] == called([], RATE)


@pytest.mark.long
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_rate_of_false_discoveries_is_held(name: str) -> None:
    told = score(SCENARIOS[name], ours, 200, seed=2)
    assert told.fdr <= RATE + 2 * told.error
