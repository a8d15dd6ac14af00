-- Postgres: snake_case tables, timestamptz, jsonb as text, arrays as '{a,b}'.
--
-- Export each table as CSV into one folder (the name after `tables` below), for instance:
--   \copy (select * from chat_messages where created_at >= '2026-06-30' and created_at < '2026-08-02') to 'chat_messages.csv' csv header
-- A wider window than the period is right: a conversation of its last minute goes on after it.
-- `commons export` runs this file, then records.sql. The body is text that you have redacted already.

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

CREATE OR REPLACE TEMP TABLE conversation AS
SELECT
    id AS conversation_id,
    account_id AS user_id,                                    -- becomes a keyed hash: it does not leave as it is
    CASE app WHEN 'chat' THEN 'general_assistant' WHEN 'friend' THEN 'companion' ELSE app END AS surface,
    model ->> '$.family' AS model_family,                     -- jsonb
    model ->> '$.version' AS model_version,
    model ->> '$.safety' AS safety_config,
    (profile ->> '$.age')::INTEGER AS age,                    -- null where you do not know it
    profile ->> '$.age_source' AS age_source,                 -- declared, estimated, verified
    locale,                                                   -- `en-GB`: the language is sent, the rest is not
    country AS region,
    sampled_as AS stratum,                                    -- one of the strata of manifest.toml
    list_contains(flag, 'user_reported') AS harm_reported,    -- text[]
    reviewed_by,                                              -- moderator, clinician, lived_experience_panel; null: nobody
    list_contains(flag, 'opted_out') AS opted_out,
    list_contains(flag, 'legal_hold') AS restricted,
    'production' AS origin,
    'scientific_research' AS sharing_basis                    -- the basis of your agreement
FROM (
    SELECT *, string_split(trim(coalesce(flags, ''), '{}'), ',') AS flag
    FROM read_csv(getvariable('tables') || '/chat_conversations*.csv', header = true, columns = {
        'id': 'VARCHAR', 'account_id': 'VARCHAR', 'app': 'VARCHAR', 'model': 'JSON', 'profile': 'JSON', 'locale': 'VARCHAR',
        'country': 'VARCHAR', 'sampled_as': 'VARCHAR', 'flags': 'VARCHAR', 'reviewed_by': 'VARCHAR'})
);

CREATE OR REPLACE TEMP TABLE message AS
SELECT
    conversation_id,
    id AS message_id,
    created_at AS sent_at,                                    -- timestamptz: its offset is honoured
    id::BIGINT AS sequence,                                   -- settles two messages of one second; NULL where you have none
    CASE author WHEN 'member' THEN 'user' WHEN 'bot' THEN 'assistant' ELSE 'system' END AS role,
    body_redacted AS text
FROM read_csv(getvariable('tables') || '/chat_messages*.csv', header = true, columns = {
    'id': 'VARCHAR', 'conversation_id': 'VARCHAR', 'created_at': 'TIMESTAMPTZ', 'author': 'VARCHAR', 'body_redacted': 'VARCHAR'});

CREATE OR REPLACE TEMP TABLE hit AS
SELECT
    h.id AS hit_id, h.conversation_id, h.message_id, h.created_at AS happened_at,
    w.ideation, w.behavior, w.nssi,
    (h.details ->> '$.imminent')::BOOLEAN AS imminent         -- null where your classifier does not say
FROM read_csv(getvariable('tables') || '/risk_hits*.csv', header = true, columns = {
    'id': 'VARCHAR', 'conversation_id': 'VARCHAR', 'message_id': 'VARCHAR', 'created_at': 'TIMESTAMPTZ', 'label': 'VARCHAR',
    'details': 'JSON'}) AS h
LEFT JOIN label_word AS w ON w.label = h.label;

CREATE OR REPLACE TEMP TABLE intervention_event AS
SELECT a.id AS event_id, a.conversation_id, a.message_id, a.created_at AS happened_at, w.type, w.layer
FROM read_csv(getvariable('tables') || '/safety_actions*.csv', header = true, columns = {
    'id': 'VARCHAR', 'conversation_id': 'VARCHAR', 'message_id': 'VARCHAR', 'created_at': 'TIMESTAMPTZ', 'action': 'VARCHAR'}) AS a
LEFT JOIN action_word AS w ON w.action = a.action;

CREATE OR REPLACE TEMP TABLE outcome_event AS
SELECT o.id AS outcome_id, o.conversation_id, o.action_id AS event_id, o.created_at AS happened_at, w.kind, w.value
FROM read_csv(getvariable('tables') || '/safety_outcomes*.csv', header = true, columns = {
    'id': 'VARCHAR', 'conversation_id': 'VARCHAR', 'action_id': 'VARCHAR', 'created_at': 'TIMESTAMPTZ', 'event': 'VARCHAR'}) AS o
JOIN outcome_word AS w ON w.event = o.event;
