-- BigQuery: nested and repeated fields, TIMESTAMP in UTC, JSON columns, INT64 as text in JSON exports.
--
-- Export each table as newline-delimited JSON, for instance:
--   EXPORT DATA OPTIONS (uri = 'gs://bucket/conversations-*.json', format = 'JSON') AS
--   SELECT * FROM safety.conversations WHERE first_message_at >= '2026-06-30' AND first_message_at < '2026-08-02';
-- and copy the files into one folder (`gcloud storage cp`). Files ending in .json.gz are read as well.
-- A wider window than the period is right: a conversation belongs to the period of its first message.
-- `commons export` runs this file, then records.sql. text_redacted is text that you have redacted already.

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
--    `columns` names what is read: a field that BigQuery left out (it writes no nulls) is null.

-- `2026-07-01 12:00:00 UTC` in exports to JSON
CREATE OR REPLACE MACRO moment(text) AS replace(text, ' UTC', '+00')::TIMESTAMPTZ;

CREATE OR REPLACE TEMP TABLE exported AS
SELECT * FROM read_json(getvariable('tables') || '/conversations-*.json*', format = 'newline_delimited', columns = {
    'conversation_id': 'VARCHAR',
    'user': 'STRUCT(id VARCHAR, age VARCHAR, age_source VARCHAR, locale VARCHAR, country VARCHAR, opted_out BOOLEAN)',
    'app': 'VARCHAR',
    'model': 'JSON',
    'sampled_as': 'VARCHAR',
    'labels': 'VARCHAR[]',
    'reviewed_by': 'VARCHAR',
    'messages': 'STRUCT(message_id VARCHAR, sent_at VARCHAR, author VARCHAR, text_redacted VARCHAR)[]'});

CREATE OR REPLACE TEMP TABLE conversation AS
SELECT
    conversation_id,
    "user".id AS user_id,                                     -- becomes a keyed hash: it does not leave as it is
    CASE app WHEN 'chat' THEN 'general_assistant' WHEN 'friend' THEN 'companion' ELSE app END AS surface,
    model ->> '$.family' AS model_family,                     -- JSON column
    model ->> '$.version' AS model_version,
    model ->> '$.safety' AS safety_config,
    "user".age::INTEGER AS age,                               -- null where you do not know it
    "user".age_source AS age_source,                          -- declared, estimated, verified
    "user".locale AS locale,                                  -- `en-GB`: the language is sent, the rest is not
    "user".country AS region,
    sampled_as AS stratum,                                    -- one of the strata of manifest.toml
    list_contains(coalesce(labels, []), 'user_reported') AS harm_reported,
    reviewed_by,                                              -- moderator, clinician, lived_experience_panel; null: nobody
    coalesce("user".opted_out, false) AS opted_out,
    list_contains(coalesce(labels, []), 'legal_hold') AS restricted,
    'production' AS origin,
    'scientific_research' AS sharing_basis                    -- the basis of your agreement
FROM exported;

-- One row a message from the repeated field; its place in the array settles two messages of one second.
CREATE OR REPLACE TEMP TABLE message AS
SELECT
    conversation_id, m.message_id, moment(m.sent_at) AS sent_at, place AS sequence,
    CASE m.author WHEN 'human' THEN 'user' WHEN 'model' THEN 'assistant' ELSE 'system' END AS role,
    m.text_redacted AS text
FROM (SELECT conversation_id, unnest(messages) AS m, generate_subscripts(messages, 1)::BIGINT AS place FROM exported);

CREATE OR REPLACE TEMP TABLE hit AS
SELECT h.hit_id, h.conversation_id, h.message_id, moment(h.detected_at) AS happened_at, w.ideation, w.behavior, w.nssi, h.imminent
FROM read_json(getvariable('tables') || '/classifier_hits-*.json*', format = 'newline_delimited', columns = {
    'hit_id': 'VARCHAR', 'conversation_id': 'VARCHAR', 'message_id': 'VARCHAR', 'detected_at': 'VARCHAR', 'label': 'VARCHAR',
    'imminent': 'BOOLEAN'}) AS h                                -- imminent: null where your classifier does not say
LEFT JOIN label_word AS w ON w.label = h.label;

CREATE OR REPLACE TEMP TABLE safety_event AS
SELECT * FROM read_json(getvariable('tables') || '/safety_events-*.json*', format = 'newline_delimited', columns = {
    'event_id': 'VARCHAR', 'conversation_id': 'VARCHAR', 'message_id': 'VARCHAR', 'occurred_at': 'VARCHAR', 'action': 'VARCHAR',
    'outcomes': 'STRUCT(outcome_id VARCHAR, occurred_at VARCHAR, event VARCHAR)[]'});

-- A row without an action only carries outcomes of the conversation as a whole.
CREATE OR REPLACE TEMP TABLE intervention_event AS
SELECT e.event_id, e.conversation_id, e.message_id, moment(e.occurred_at) AS happened_at, w.type, w.layer
FROM safety_event AS e
LEFT JOIN action_word AS w ON w.action = e.action
WHERE e.action IS NOT NULL;

CREATE OR REPLACE TEMP TABLE outcome_event AS
SELECT o.outcome_id, o.conversation_id, o.event_id, moment(o.occurred_at) AS happened_at, w.kind, w.value
FROM (
    SELECT conversation_id, if(action IS NULL, NULL, event_id) AS event_id, unnest(outcomes, recursive := true)
    FROM safety_event
) AS o
JOIN outcome_word AS w ON w.event = o.event;
