"""Columns of the public tables whose rows are not cells of marginals: what follows from noisy numbers, and what they hang by."""

from collections.abc import Mapping

from schemas.columns import Column
from schemas.keys import ALL

COVARIANCE, PATTERNS, TERMS, EFFECTS = "noise_covariance", "emerging_patterns", "emerging_terms", "change_effects"

GROWING, RECEDING, NO_CHANGE_SEEN = "growing", "receding", "no_change_seen"
DIRECTIONS: Mapping[str, str] = {
    GROWING: "its share grew",
    RECEDING: "its share fell",
    NO_CHANGE_SEEN: "no change was seen that stands out of chance, at the rate of false discoveries that the plan registered",
}

BEFORE_AFTER, DIFFERENCE, RANDOMISED = "before_after", "difference_in_differences", "randomised_arms"
DESIGNS: Mapping[str, str] = {
    BEFORE_AFTER: "after less before, in companies that changed: whatever else moved in that time is in it",
    DIFFERENCE: "after less before in companies that changed, less the same in companies that did not",
    RANDOMISED: "the arm with the change less the arm without, where users or sessions were assigned by chance",
}

READINGS: Mapping[str, str] = {
    BEFORE_AFTER: "not an effect: whatever else moved in that time is in it",
    DIFFERENCE: "an association: companies that changed may differ from those that did not",
    RANDOMISED: "an effect, as far as the interval tells: chance decided who had the change",
}
"""How each design may be read: the texts of the column `reading`, and no other."""

PUBLIC, MEMBERS = "public", "members"
AUDIENCES: Mapping[str, str] = {PUBLIC: "may be told to anyone", MEMBERS: "for members of the pool only"}
SPEAKERS: Mapping[str, str] = {"user": "what users wrote", "assistant": "what assistants wrote"}


def _codes(codes: Mapping[str, str]) -> str:
    return "; ".join(f"`{code}`: {meaning}" for code, meaning in codes.items())


_OUTCOME = (
    Column("outcome_kind", "string", f"kind of outcome; `{ALL}` where it has none"),
    Column("window", "string", f"window of the outcome; `{ALL}` where it has none"),
)

OWN_KEYS: Mapping[str, tuple[str, ...]] = {
    COVARIANCE: ("of_table", "outcome_kind", "window", "keys"),
    PATTERNS: ("of_table", "outcome_kind", "window", "keys", "codes"),
    TERMS: ("speaker", "term"),
    EFFECTS: ("change_class", "design", "outcome_kind", "window", "outcome"),
}
"""Their key columns, beside `quarter`."""

OWN_COLUMNS: Mapping[str, tuple[Column, ...]] = {
    COVARIANCE: (
        Column("of_table", "string", "the table that the measure fills"),
        *_OUTCOME,
        Column("keys", "string", f"names of the keys, separated by commas; `{ALL}` for the total"),
        Column("codes", "float", "product of the numbers of codes of these keys"),
        Column(
            "variance",
            "float",
            "variance of the noise along each direction. Two cells of marginals B and C covary by the sum, over the sets A of keys in both, of "
            "variance(A) × the product over A of (1 if the cells share the code of the key, else 0, less 1 / codes(key)) "
            "/ the product over B without A and C without A of codes(key). `depth_band` is not reduced: for it the term is 1 or 0, and it is in every A",
            "users-equivalent, squared",
        ),
    ),
    PATTERNS: (
        Column("of_table", "string", "the table that the cell stands in"),
        *_OUTCOME,
        Column("keys", "string", "names of the cell's keys, separated by commas"),
        Column("codes", "string", "the cell's codes of these keys, in the same order, separated by commas"),
        Column("direction", "string", _codes(DIRECTIONS)),
        Column(
            "share_before", "float", "its share of the cells of its marginal that are published in all these quarters", "share"
        ),
        Column(
            "share_now",
            "float",
            "its count in this quarter over the total that most cells of its marginal tell by their earlier shares: a few that grow by "
            "themselves make no others shrink",
            "share",
        ),
        Column("ratio", "float", "`share_now` over `share_before`; null where the earlier share cannot be told from 0"),
        Column("ratio_ci_low", "float", "lower end of the 95 % interval of `ratio`: noise, sampling and usual unrest"),
        Column("ratio_ci_high", "float", "upper end of the 95 % interval of `ratio`: noise, sampling and usual unrest"),
        Column("q_value", "float", "the least rate of false discoveries at which it is called (Benjamini and Hochberg 1995)"),
        Column("detectable_ratio", "float", "the smallest ratio above 1 that would be called four times in five"),
        Column("quarters_before", "float", "earlier quarters of the same companies that it is compared with", "quarters"),
        Column("first_seen", "string", "the earliest of the quarters since when it is published without a gap"),
    ),
    TERMS: (
        Column("speaker", "string", _codes(SPEAKERS)),
        Column("term", "string", "one to three words, as written by users of at least K companies"),
        Column(
            "estimate",
            "float",
            "in the quarter in which a term is new: mass outside the K - 1 largest companies, so a lower bound of the users who wrote it, "
            "lessened for having been told because it was large (median-unbiased); from the next quarter on: all users. The terms of one "
            "user share that user's weight",
            "users-equivalent",
        ),
        Column("noise_stddev", "float", "standard deviation of the privacy noise in `estimate`", "users-equivalent"),
        Column("ci_low", "float", "lower end of the 95 % interval of what `estimate` estimates: noise, sampling and selection"),
        Column("ci_high", "float", "upper end of the 95 % interval of what `estimate` estimates: noise, sampling and selection"),
        Column(
            "growth",
            "float",
            "`estimate` over that of the quarter before, where both count all users of the same companies and follow the same list of terms",
        ),
        Column("growth_ci_low", "float", "lower end of the 95 % interval of `growth`"),
        Column("growth_ci_high", "float", "upper end of the 95 % interval of `growth`"),
        Column("first_seen", "string", "quarter in which it was found"),
        Column("audience", "string", _codes(AUDIENCES)),
    ),
    EFFECTS: (
        Column("change_class", "string", "class of the registered model or product change"),
        Column("design", "string", _codes(DESIGNS)),
        *_OUTCOME,
        Column("outcome", "string", "value of the outcome"),
        Column("rate_before", "float", "rate before the change, or in the arm without it", "share"),
        Column("rate_after", "float", "rate after the change, or in the arm with it", "share"),
        Column("others_before", "float", "rate in companies without the change, before; null but in differences", "share"),
        Column("others_after", "float", "rate in companies without the change, after; null but in differences", "share"),
        Column("effect", "float", "what the design takes for the change", "share"),
        Column("ci_low", "float", "lower end of the 95 % interval of `effect`, noise and sampling", "share"),
        Column("ci_high", "float", "upper end of the 95 % interval of `effect`, noise and sampling", "share"),
        Column("detectable", "float", "the smallest effect that would be told from 0 four times in five", "share"),
        Column("reading", "string", f"how it may be read: {_codes(READINGS)}"),
    ),
}
