-- Questions that were asked of releases of schema 1.2.0. Every later release of major version 1 answers them.
SELECT of_table, outcome_kind, "window", keys, codes, direction, with_interval(ratio, ratio_ci_low, ratio_ci_high) AS times, q_value
FROM emerging_patterns
WHERE direction IN ('growing', 'receding')
ORDER BY q_value;

SELECT of_table, keys, count(*) AS cells, min(detectable_ratio) AS least, max(detectable_ratio) AS most
FROM emerging_patterns
WHERE status = 'ok' AND direction = 'no_change_seen'
GROUP BY ALL;

SELECT codes, share_before, share_now, quarters_before, first_seen, status
FROM 'data/emerging_patterns/emerging_patterns.parquet'
WHERE of_table = 'risk_profile' AND keys = 'ideation,age_band';

SELECT speaker, term, estimate, ci_low, ci_high, noise_stddev, status FROM emerging_terms
WHERE first_seen = quarter AND audience = 'public';

SELECT term, first_seen, with_interval(growth, growth_ci_low, growth_ci_high) AS times FROM emerging_terms WHERE growth IS NOT NULL;

SELECT change_class, design, outcome_kind, "window", outcome, rate_before, rate_after, others_before, others_after,
  effect, ci_low, ci_high, detectable, reading, status
FROM change_effects
WHERE design = 'randomised_arms';

SELECT change_class, change_group, outcome, rate, rate_ci_low, rate_ci_high, status
FROM change_outcomes
WHERE change_group IN ('changed_before', 'changed_after');
