-- Snowflake: upper-case names, VARIANT as JSON text, TIMESTAMP_NTZ.
--
-- Unload each table as Parquet with its column names, VARIANT columns as text, for instance:
--   COPY INTO @stage/MESSAGES FROM (SELECT * FROM MESSAGES WHERE SENT_AT >= '2026-06-30' AND SENT_AT < '2026-08-02')
--     FILE_FORMAT = (TYPE = PARQUET) HEADER = TRUE;      and  TO_JSON(ATTRIBUTES) AS ATTRIBUTES  for each VARIANT
-- A wider window than the period is right: a conversation of its last minute goes on after it.
-- TIMESTAMP_NTZ carries no zone: this mapping takes it for UTC. Where yours is local time, write that zone below.
-- `commons export` runs this file, then records.sql. CONTENT_REDACTED is text that you have redacted already.

-- ---------------------------------------------------------------------------------------------------------------------
-- 1. Your words. Left: what stands in your tables. Right: codes of docs/contract/codes.md.
--    A label or action that is missing here is not dropped: its codes stay null and `commons validate` finds the record.

-- What each label of your classifier says. One label may fill several columns; null: it says nothing of that.
-- A classifier that only says yes or no: one line with 'present_level_unknown', and you can take part.
CREATE OR REPLACE TEMP TABLE label_word AS
SELECT * FROM (VALUES
    -- label           ideation                   behavior             nssi
    ('si_passive',     'wish_to_be_dead',         NULL,                NULL),
    ('si_active',      'active_nonspecific',      NULL,                NULL),
    ('si_method',      'active_method_no_intent', NULL,                NULL),
    ('si_intent',      'active_intent_no_plan',   NULL,                NULL),
    ('si_plan',        'active_plan_intent',      NULL,                NULL),
    ('si_any',         'present_level_unknown',   NULL,                NULL),
    ('si_preparation', NULL,                      'preparatory',       NULL),
    ('si_attempt',     NULL,                      'attempt_disclosed', NULL),
    ('self_injury',    NULL,                      NULL,                'present_timing_unknown')
) AS v (label, ideation, behavior, nssi);

-- What your classifier looks for at all. true: no hit means `none`. false: no hit means `unknown`.
CREATE OR REPLACE TEMP TABLE looked_for AS SELECT true AS ideation, true AS behavior, true AS nssi, false AS imminence;

-- Your safety actions, and which layer of the product did them.
CREATE OR REPLACE TEMP TABLE action_word AS
SELECT * FROM (VALUES
    ('supportive_reply', 'supportive_continuation',  'model'),
    ('asked_directly',   'direct_suicide_question',  'model'),
    ('hotline_card',     'crisis_resource_referral', 'product_ui'),
    ('agent_handoff',    'warm_handoff',             'human'),
    ('refusal',          'content_refusal',          'policy'),
    ('session_paused',   'conversation_paused',      'policy')
) AS v (action, type, layer);

-- Your events after an intervention. Here an event that is not listed is left out: most have nothing to do with it.
CREATE OR REPLACE TEMP TABLE outcome_word AS
SELECT * FROM (VALUES
    ('hotline_opened',  'resource_opened',     'yes'),
    ('agent_joined',    'handoff_completed',   'yes'),
    ('card_dismissed',  'user_reply',          'rejected'),
    ('harm_reported',   'later_harm_reported', 'yes')
) AS v (event, kind, value);

-- Which outcomes you collect: after which intervention (null: after each), within which window, and what it means when
-- nothing was seen by the end of the window. No report of later harm is not "no harm": it is `unknown`.
CREATE OR REPLACE TEMP TABLE collected AS
SELECT * FROM (VALUES
    ('resource_opened',     '24h',          'no',      'observed',      'crisis_resource_referral'),
    ('handoff_completed',   'same_session', 'no',      'observed',      'warm_handoff'),
    ('user_reply',          'next_turn',    'silent',  'observed',      NULL),
    ('later_harm_reported', '30d',          'unknown', 'user_reported', NULL)
) AS v (kind, "window", absent, basis, only_after);

-- ---------------------------------------------------------------------------------------------------------------------
-- 2. Your tables. Change file, table and column names on the right to your own; leave the names after AS.

-- TIMESTAMP_NTZ to a moment: 'UTC' here, or for instance 'America/Los_Angeles'.
CREATE OR REPLACE MACRO moment(ntz) AS ntz::TIMESTAMP AT TIME ZONE 'UTC';

CREATE OR REPLACE TEMP TABLE conversation AS
SELECT
    CONVERSATION_ID AS conversation_id,
    USER_ID::VARCHAR AS user_id,                              -- becomes a keyed hash: it does not leave as it is
    CASE APP WHEN 'chat' THEN 'general_assistant' WHEN 'friend' THEN 'companion' ELSE APP END AS surface,
    v ->> '$.model.family' AS model_family,                   -- VARIANT
    v ->> '$.model.version' AS model_version,
    v ->> '$.model.safety' AS safety_config,
    (v ->> '$.user.age')::INTEGER AS age,                     -- null where you do not know it
    v ->> '$.user.age_source' AS age_source,                  -- declared, estimated, verified
    v ->> '$.user.locale' AS locale,                          -- `en-GB`: the language is sent, the rest is not
    v ->> '$.user.country' AS region,
    SAMPLED_AS AS stratum,                                    -- one of the strata of manifest.toml
    coalesce((v ->> '$.user_reported')::BOOLEAN, false) AS harm_reported,
    REVIEWED_BY AS reviewed_by,                               -- moderator, clinician, lived_experience_panel; null: nobody
    coalesce(OPTED_OUT, false) AS opted_out,
    coalesce(LEGAL_HOLD, false) AS restricted,
    'production' AS origin,
    'scientific_research' AS sharing_basis                    -- the basis of your agreement
FROM (SELECT *, ATTRIBUTES::JSON AS v FROM read_parquet(getvariable('tables') || '/CONVERSATIONS*.parquet'));

CREATE OR REPLACE TEMP TABLE message AS
SELECT
    CONVERSATION_ID AS conversation_id,
    MESSAGE_ID AS message_id,
    moment(SENT_AT) AS sent_at,
    NULL::BIGINT AS sequence,                                 -- settles two messages of one second; NULL where you have none
    CASE ROLE WHEN 'USER' THEN 'user' WHEN 'ASSISTANT' THEN 'assistant' ELSE 'system' END AS role,
    CONTENT_REDACTED AS text
FROM read_parquet(getvariable('tables') || '/MESSAGES*.parquet');

CREATE OR REPLACE TEMP TABLE hit AS
SELECT
    h.HIT_ID AS hit_id, h.CONVERSATION_ID AS conversation_id, h.MESSAGE_ID AS message_id, moment(h.DETECTED_AT) AS happened_at,
    w.ideation, w.behavior, w.nssi,
    (h.DETAILS::JSON ->> '$.imminent')::BOOLEAN AS imminent   -- null where your classifier does not say
FROM read_parquet(getvariable('tables') || '/CLASSIFIER_HITS*.parquet') AS h
LEFT JOIN label_word AS w ON w.label = lower(h.LABEL);

CREATE OR REPLACE TEMP TABLE intervention_event AS
SELECT
    e.EVENT_ID AS event_id, e.CONVERSATION_ID AS conversation_id, e.PAYLOAD::JSON ->> '$.message_id' AS message_id,
    moment(e.OCCURRED_AT) AS happened_at, w.type, w.layer
FROM read_parquet(getvariable('tables') || '/SAFETY_EVENTS*.parquet') AS e
LEFT JOIN action_word AS w ON w.action = lower(e.NAME)
WHERE e.KIND = 'ACTION';

CREATE OR REPLACE TEMP TABLE outcome_event AS
SELECT
    e.EVENT_ID AS outcome_id, e.CONVERSATION_ID AS conversation_id, e.PAYLOAD::JSON ->> '$.action_id' AS event_id,
    moment(e.OCCURRED_AT) AS happened_at, w.kind, w.value
FROM read_parquet(getvariable('tables') || '/SAFETY_EVENTS*.parquet') AS e
JOIN outcome_word AS w ON w.event = lower(e.NAME)
WHERE e.KIND = 'OUTCOME';
