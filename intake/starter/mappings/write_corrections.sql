-- Writes corrections: records of an earlier export (variable `corrects`, its folder) that read differently today,
-- because a window has closed, a review has changed a label or a message came late. Run it once for each export, after its
-- windows have closed (31 days after the period): each correction names the record that it replaces.
CREATE OR REPLACE TEMP TABLE earlier AS
SELECT json->>'$.record_id' AS record_id, json AS content
FROM read_ndjson_objects(getvariable('corrects') || '/records.jsonl')
WHERE json->>'$.record_status' = 'new';

COPY (
    WITH today AS (
        SELECT * REPLACE (strftime(started_at AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') AS started_at) FROM record
    )
    SELECT t.* REPLACE ('correction' AS record_status, t.record_id || '-closed' AS record_id),
        t.record_id AS supersedes, t.started_at AS supersedes_started_at
    FROM today AS t JOIN earlier AS e USING (record_id)
    WHERE e.content::VARCHAR <> to_json(t)::VARCHAR
    ORDER BY t.record_id
) TO (getvariable('out') || '/records.jsonl') (FORMAT json);
