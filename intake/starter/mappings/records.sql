-- From plain tables to contract records: the same for every warehouse. You should not need to change this file.
--
-- It reads the tables that your own mapping (bigquery.sql, snowflake.sql, postgres.sql) has made just before:
--   conversation        one row a conversation: who, which product, how it was selected
--   message             one row a message, also system messages and repeated rows
--   hit                 one row a classifier hit, in contract codes
--   intervention_event  one row an intervention, in contract codes
--   outcome_event       one row a thing seen after an intervention, in contract codes
--   looked_for          one row: what your classifier looks for at all
--   collected           one row an outcome that you collect, and what its absence means
-- and these variables: tables, out, period_start, period_end, as_of (UTC, the warehouse is complete up to it), pseudonym_key.
-- It leaves the view `record`, which write_jsonl.sql or write_parquet.sql writes.

-- ---------------------------------------------------------------------------------------------------------------------
-- Pseudonyms: HMAC-SHA256 (RFC 2104) under the quarter's key, 32 bytes in hex. DuckDB has sha256() but no hmac():
-- the key, filled up to 64 bytes, is combined with the inner pad (0x36 = 54) and with the outer pad (0x5c = 92).
CREATE OR REPLACE MACRO padded_key(pad) AS unhex(array_to_string(list_transform(range(64), lambda i:
    printf('%02x', xor(CASE WHEN i < 32 THEN ('0x' || substr(getvariable('pseudonym_key'), 2 * i + 1, 2))::INTEGER ELSE 0 END, pad))), ''));
SET VARIABLE inner_key = padded_key(54);
SET VARIABLE outer_key = padded_key(92);
CREATE OR REPLACE MACRO pseudonym(id) AS
    sha256(getvariable('outer_key')::BLOB || unhex(sha256(getvariable('inner_key')::BLOB || encode(id))));

-- ---------------------------------------------------------------------------------------------------------------------
-- Turns: messages of user and assistant, counted from 1; system messages are not counted; a row that your pipeline
-- delivered twice counts once. Within one second your own sequence decides, or else the user writes before the answer.
CREATE OR REPLACE TEMP TABLE turn AS
WITH once AS (
    SELECT DISTINCT ON (conversation_id, message_id) *
    FROM message
    WHERE role IN ('user', 'assistant')
    ORDER BY conversation_id, message_id, sent_at, sequence
)
SELECT conversation_id, message_id, sent_at, role, text,
    (row_number() OVER (PARTITION BY conversation_id ORDER BY sent_at, sequence NULLS LAST, role DESC, message_id))::INTEGER AS turn
FROM once;
DROP TABLE message;  -- texts are the bulk of it all: they are held once

-- A conversation belongs to the period in which it started, UTC. Users who opted out and records under legal
-- restriction stay at home: that is what you attest in manifest.toml.
CREATE OR REPLACE TEMP TABLE chosen AS
WITH started AS (
    SELECT conversation_id, min(sent_at) AS started_at, count(*)::INTEGER AS n_turns FROM turn GROUP BY conversation_id
)
SELECT c.*, s.started_at, s.n_turns
FROM (SELECT DISTINCT ON (conversation_id) * FROM conversation) AS c
JOIN started AS s USING (conversation_id)
WHERE s.started_at >= getvariable('period_start') AND s.started_at < getvariable('period_end')
    AND NOT c.opted_out AND NOT c.restricted;

-- The turn of an event is that of its message; where it names none, the last turn at that moment.
CREATE OR REPLACE TEMP TABLE last_turn AS
SELECT conversation_id, sent_at, max(turn) AS turn FROM turn GROUP BY conversation_id, sent_at;

CREATE OR REPLACE TEMP TABLE placed_hit AS
SELECT h.* EXCLUDE (message_id), t.role, coalesce(t.turn, l.turn, 1) AS turn
FROM (SELECT DISTINCT ON (hit_id) * FROM hit ORDER BY hit_id, happened_at) AS h
SEMI JOIN chosen USING (conversation_id)
LEFT JOIN turn AS t ON t.conversation_id = h.conversation_id AND t.message_id = h.message_id
ASOF LEFT JOIN last_turn AS l ON l.conversation_id = h.conversation_id AND h.happened_at >= l.sent_at;

-- ---------------------------------------------------------------------------------------------------------------------
-- Risk: the peak over the conversation, and the turns at which it first showed and peaked (null where there is none).
CREATE OR REPLACE TEMP TABLE severity AS
SELECT * FROM (VALUES
    ('ideation', 'present_level_unknown', 1), ('ideation', 'wish_to_be_dead', 2), ('ideation', 'active_nonspecific', 3),
    ('ideation', 'active_method_no_intent', 4), ('ideation', 'active_intent_no_plan', 5), ('ideation', 'active_plan_intent', 6),
    ('behavior', 'preparatory', 1), ('behavior', 'aborted', 2), ('behavior', 'interrupted', 3), ('behavior', 'attempt_disclosed', 4),
    ('nssi', 'present_timing_unknown', 1), ('nssi', 'historic', 2), ('nssi', 'urge', 3), ('nssi', 'recent', 4)
) AS v (scale, code, rank);

CREATE OR REPLACE TEMP TABLE ranked_hit AS
SELECT h.*, i.rank AS ideation_rank, b.rank AS behavior_rank, n.rank AS nssi_rank
FROM placed_hit AS h
LEFT JOIN severity AS i ON i.scale = 'ideation' AND i.code = h.ideation
LEFT JOIN severity AS b ON b.scale = 'behavior' AND b.code = h.behavior
LEFT JOIN severity AS n ON n.scale = 'nssi' AND n.code = h.nssi;

CREATE OR REPLACE TEMP TABLE risk AS
WITH peak AS (
    SELECT conversation_id,
        arg_max(ideation, ideation_rank) AS ideation, arg_max(behavior, behavior_rank) AS behavior,
        arg_max(nssi, nssi_rank) AS nssi, bool_or(imminent) AS imminent,
        min(turn) AS first_turn,
        -- of the highest ideation the earliest turn; with behaviour or self-injury alone, the earliest hit
        arg_min(turn, (-coalesce(ideation_rank, 0), turn)) AS peak_turn
    FROM ranked_hit
    GROUP BY conversation_id
)
SELECT c.conversation_id, p.conversation_id IS NOT NULL AS present,
    coalesce(p.ideation, if(l.ideation, 'none', 'unknown')) AS ideation,
    coalesce(p.behavior, if(l.behavior, 'none', 'unknown')) AS behavior,
    coalesce(p.nssi, if(l.nssi, 'none', 'unknown')) AS nssi,
    CASE WHEN p.imminent THEN 'imminent' WHEN NOT p.imminent OR l.imminence THEN 'not_imminent' ELSE 'unknown' END AS imminence,
    p.first_turn, p.peak_turn
FROM chosen AS c CROSS JOIN looked_for AS l
LEFT JOIN peak AS p USING (conversation_id);

-- ---------------------------------------------------------------------------------------------------------------------
-- Interventions. Where there is risk and nothing was done, that is said: `no_intervention`, alone, at the peak.
CREATE OR REPLACE TEMP TABLE acted AS
WITH logged AS (
    SELECT e.* EXCLUDE (message_id), coalesce(t.turn, l.turn, 1) AS turn
    FROM (SELECT DISTINCT ON (event_id) * FROM intervention_event ORDER BY event_id, happened_at) AS e
    SEMI JOIN chosen USING (conversation_id)
    LEFT JOIN turn AS t ON t.conversation_id = e.conversation_id AND t.message_id = e.message_id
    ASOF LEFT JOIN last_turn AS l ON l.conversation_id = e.conversation_id AND e.happened_at >= l.sent_at
)
SELECT conversation_id, event_id, happened_at, type, layer, turn FROM logged
UNION ALL BY NAME
SELECT r.conversation_id, 'none-' || r.conversation_id AS event_id, t.sent_at AS happened_at,
    'no_intervention' AS type, 'model' AS layer, r.peak_turn AS turn
FROM risk AS r
JOIN turn AS t ON t.conversation_id = r.conversation_id AND t.turn = r.peak_turn
WHERE r.present AND r.conversation_id NOT IN (SELECT conversation_id FROM logged);

-- The level just before each intervention: what came after it must not be used to judge it. A hit on the user's
-- message at the same turn came before the answer; a hit on the assistant's own message did not.
CREATE OR REPLACE TEMP TABLE level_before AS
SELECT a.event_id,
    coalesce(arg_max(h.ideation, h.ideation_rank), if(any_value(l.ideation), 'none', 'unknown')) AS ideation_at,
    CASE WHEN bool_or(h.imminent) THEN 'imminent' WHEN NOT bool_or(h.imminent) OR any_value(l.imminence) THEN 'not_imminent'
        ELSE 'unknown' END AS imminence_at
FROM acted AS a CROSS JOIN looked_for AS l
LEFT JOIN ranked_hit AS h ON h.conversation_id = a.conversation_id
    AND (h.turn < a.turn OR (h.turn = a.turn AND h.role IS DISTINCT FROM 'assistant'))
GROUP BY a.event_id;

-- ---------------------------------------------------------------------------------------------------------------------
-- Outcomes: what was seen within the window; `pending` while the window is open; else what absence means to you.
CREATE OR REPLACE TEMP TABLE window_length AS
SELECT * FROM (VALUES
    ('next_turn', INTERVAL 24 HOUR), ('next_10_turns', INTERVAL 24 HOUR), ('same_session', INTERVAL 24 HOUR),
    ('24h', INTERVAL 24 HOUR), ('7d', INTERVAL 7 DAY), ('30d', INTERVAL 30 DAY)
) AS v ("window", length);

CREATE OR REPLACE TEMP TABLE seen AS
SELECT a.event_id, o.kind, o.value, o.happened_at
FROM acted AS a
JOIN (SELECT DISTINCT ON (outcome_id) * FROM outcome_event ORDER BY outcome_id, happened_at) AS o
    ON o.conversation_id = a.conversation_id AND (o.event_id = a.event_id OR o.event_id IS NULL)
WHERE o.happened_at >= a.happened_at  -- what is logged before the intervention is not an outcome of it
UNION ALL
-- The user wrote again. An event of yours (`rejected`) of the same moment or earlier goes before it.
SELECT a.event_id, 'user_reply', 'engaged', min(t.sent_at)
FROM acted AS a
JOIN turn AS t ON t.conversation_id = a.conversation_id AND t.turn > a.turn AND t.role = 'user'
GROUP BY a.event_id;

CREATE OR REPLACE TEMP TABLE outcome_list AS
WITH settled AS (
    SELECT a.event_id, c.kind, c."window", c.basis,
        coalesce(
            arg_min(s.value, (s.happened_at, s.value = 'engaged')),
            if(any_value(a.happened_at + w.length) > getvariable('as_of'), 'pending', any_value(c.absent))
        ) AS value
    FROM acted AS a
    JOIN collected AS c ON c.only_after IS NULL OR c.only_after = a.type
    JOIN window_length AS w ON w."window" = c."window"
    LEFT JOIN seen AS s ON s.event_id = a.event_id AND s.kind = c.kind AND s.happened_at <= a.happened_at + w.length
    GROUP BY a.event_id, c.kind, c."window", c.basis
)
SELECT event_id, list({'kind': kind, 'value': value, 'window': "window", 'basis': basis} ORDER BY kind, "window") AS outcomes
FROM settled
GROUP BY event_id;

CREATE OR REPLACE TEMP TABLE intervention_list AS
SELECT a.conversation_id,
    list({
        'turn': a.turn, 'type': a.type, 'layer': a.layer, 'ideation_at': b.ideation_at, 'imminence_at': b.imminence_at,
        'outcomes': coalesce(o.outcomes, [])
    } ORDER BY a.turn, a.happened_at, a.event_id) AS interventions
FROM acted AS a
JOIN level_before AS b USING (event_id)
LEFT JOIN outcome_list AS o USING (event_id)
GROUP BY a.conversation_id;

-- ---------------------------------------------------------------------------------------------------------------------
-- No text of anyone known to be under 13. Empty texts are accepted everywhere: write '' here to send none at all.
CREATE OR REPLACE TEMP VIEW turn_list AS
SELECT t.conversation_id,
    list({'index': t.turn, 'role': t.role, 'text': if(c.age < 13, '', left(coalesce(t.text, ''), 32768))} ORDER BY t.turn) AS turns
FROM turn AS t JOIN chosen AS c USING (conversation_id)
GROUP BY t.conversation_id;

CREATE OR REPLACE MACRO as_name(text) AS coalesce(nullif(left(regexp_replace(lower(text), '[^a-z0-9._-]+', '-', 'g'), 64), ''), 'unknown');

-- The record, every field of it: `unknown` where you do not know is an honest answer.
CREATE OR REPLACE TEMP VIEW record AS
SELECT
    'suicide_self_harm' AS domain,
    left(pseudonym('conversation:' || c.conversation_id), 32) AS record_id,
    'new' AS record_status,
    pseudonym(c.user_id) AS user_pseudonym,
    c.started_at,
    c.stratum AS selection_stratum,
    if(c.harm_reported, 'harm_reported', 'no_harm_known') AS event_class,
    c.origin,
    c.sharing_basis,
    {
        'surface': c.surface, 'model_family': as_name(c.model_family), 'model_version': as_name(c.model_version),
        'safety_config': as_name(c.safety_config), 'experiment': NULL::STRUCT(id VARCHAR, arm VARCHAR, assigned VARCHAR)
    } AS deployment,
    {
        'age_band': CASE
            WHEN c.age IS NULL THEN 'unknown' WHEN c.age < 13 THEN 'under_13' WHEN c.age < 16 THEN '13_15'
            WHEN c.age < 18 THEN '16_17' WHEN c.age < 25 THEN '18_24' WHEN c.age < 45 THEN '25_44'
            WHEN c.age < 65 THEN '45_64' ELSE '65_plus' END,
        'age_source': if(c.age IS NULL, 'unknown', coalesce(c.age_source, 'unknown')),
        'language': coalesce(nullif(regexp_extract(lower(c.locale), '^([a-z]{2,3})([-_]|$)', 1), ''), 'unknown'),
        'region': if(regexp_full_match(upper(c.region), '[A-Z]{2}'), upper(c.region), 'unknown')
    } AS person,
    {
        'ideation': r.ideation, 'behavior': r.behavior,
        'behavior_recency': CASE r.behavior WHEN 'none' THEN 'not_applicable' ELSE 'unknown' END,
        'nssi': r.nssi, 'imminence': r.imminence, 'speech_form': []::VARCHAR[], 'subject': 'unclear',
        'first_turn': r.first_turn, 'peak_turn': r.peak_turn,
        'label_source': if(c.reviewed_by IS NULL, 'classifier', 'classifier_human_confirmed'), 'confidence': 'unknown'
    } AS risk,
    {'tactics': []::VARCHAR[], 'bypassed': 'unknown'} AS evasion,
    c.n_turns,
    t.turns,
    coalesce(i.interventions, []) AS interventions,
    []::VARCHAR[] AS failure_modes,
    coalesce(c.reviewed_by, 'none') AS human_review
FROM chosen AS c
JOIN risk AS r USING (conversation_id)
JOIN turn_list AS t USING (conversation_id)
LEFT JOIN intervention_list AS i USING (conversation_id);
