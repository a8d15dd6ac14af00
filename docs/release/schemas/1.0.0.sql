-- Questions that were asked of releases of schema 1.0.0. Every later release of major version 1 answers them.
SELECT intervention, rate_with_interval(rate, rate_ci_low, rate_ci_high) AS engaged
FROM intervention_outcomes
WHERE outcome_kind = 'user_reply' AND outcome = 'engaged' AND intervention <> 'all' AND status = 'ok';

SELECT intervention, outcome, rate, rate_ci_low, rate_ci_high, status
FROM 'data/intervention_outcomes/intervention_outcomes.parquet'
WHERE outcome_kind = 'user_reply' AND intervention <> 'all' AND status = 'ok';

SELECT ideation, age_band, with_interval(estimate, ci_low, ci_high) AS users, estimate_nonneg, noise_stddev, sampling_factor, status
FROM risk_profile
WHERE ideation <> 'all' AND age_band <> 'all' AND week = 'all' AND imminence = 'all' AND language = 'all' AND selection_reason = 'all';

SELECT week, noise_interval(estimate, noise_stddev) AS of_this_pool FROM risk_profile WHERE week <> 'all';

SELECT selection_reason, estimate FROM risk_profile WHERE selection_reason <> 'all';

SELECT quarter, depth_band, length_band, earlier_interventions, outcome, rate, unknown_share, denominator
FROM depth_of_conversation
WHERE outcome_kind = 'user_reply' AND "window" = 'next_turn' AND length_band = 'all' AND earlier_interventions = 'all' AND rate IS NOT NULL;

SELECT of_table, outcome_kind, "window", keys, codes, variance FROM noise_covariance WHERE of_table = 'risk_profile';
