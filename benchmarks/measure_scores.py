"""How far noisy counts, and the rates that they give, lie from a truth."""

import numpy as np

from benchmarks.measure_data import Floats, Truth

LEAST_COUNT, LEAST_DENOMINATOR = 30, 100


def scores(noisy: Floats, own: Truth, raw: Truth) -> dict[str, float]:
    """Errors against what the system says that it estimates (`_own`), and against how many users there are (`_raw`).

    `noisy` is of the cells' shape.
    """
    return {
        f"{name}_{which}": value
        for which, truth in (("own", own), ("raw", raw))
        for name, value in (_count_errors(noisy, truth) | _rate_errors(noisy, truth)).items()
    }


def _count_errors(counts: Floats, truth: Truth) -> dict[str, float]:
    """Relative errors over the cells of at least 30."""
    told = truth.counts >= LEAST_COUNT
    errors = np.abs(counts - truth.counts)[told] / truth.counts[told]
    return {"count_rel_err_median": float(np.median(errors)), "count_rel_err_p95": float(np.quantile(errors, 0.95))}


def _rate_errors(counts: Floats, truth: Truth) -> dict[str, float]:
    """Absolute errors of each outcome's share, where the denominator is at least 100; shares are kept within 0 and 1."""
    told = truth.counts.sum(axis=-1) >= LEAST_DENOMINATOR
    denominators = np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    errors = np.abs(np.clip(counts / denominators, 0, 1) - truth.rates)[told]
    return {"rate_abs_err_median": float(np.median(errors)), "rate_abs_err_p95": float(np.quantile(errors, 0.95))}
