-- Writes what has changed since an earlier export of the same period (variable `corrects`, its folder):
--   corrections.jsonl  records that read differently today: a window has closed, a label was reviewed, a message came late
--   late.jsonl         records that were not in it
--   withdrawals.jsonl  records of users who have opted out since, or that came under legal restriction
-- Run it once for each export, when its windows have closed (31 days after the period). A file with nothing in it is left out.
CREATE OR REPLACE TEMP TABLE earlier AS
SELECT json ->> '$.record_id' AS record_id, json ->> '$.user_pseudonym' AS user_pseudonym,
    json ->> '$.started_at' AS started_at, json AS content
FROM read_ndjson_objects(getvariable('corrects') || '/records.jsonl')
WHERE json ->> '$.record_status' = 'new';

CREATE OR REPLACE TEMP TABLE today AS
SELECT * REPLACE (strftime(started_at AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') AS started_at) FROM record;

COPY (
    SELECT t.* REPLACE ('correction' AS record_status, t.record_id || '-closed' AS record_id),
        t.record_id AS supersedes, t.started_at AS supersedes_started_at
    FROM today AS t JOIN earlier AS e USING (record_id)
    WHERE e.content::VARCHAR <> to_json(t)::VARCHAR
    ORDER BY t.record_id
) TO (getvariable('out') || '/corrections.jsonl') (FORMAT json);

COPY (SELECT * FROM today ANTI JOIN earlier USING (record_id) ORDER BY record_id)
TO (getvariable('out') || '/late.jsonl') (FORMAT json);

-- Only where your tables say so: a conversation that is merely absent from them is left as it was sent.
COPY (
    SELECT 'suicide_self_harm' AS domain, 'w-' || e.record_id AS record_id, 'withdrawal' AS record_status, 'record' AS scope,
        e.user_pseudonym, e.record_id AS supersedes, e.started_at AS supersedes_started_at
    FROM earlier AS e
    WHERE e.record_id IN (
        SELECT left(pseudonym('conversation:' || conversation_id), 32) FROM conversation WHERE opted_out OR restricted
    )
    ORDER BY record_id
) TO (getvariable('out') || '/withdrawals.jsonl') (FORMAT json);
