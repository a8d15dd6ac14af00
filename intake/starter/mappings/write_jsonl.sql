-- Writes the records as JSON Lines: one record a line, timestamps as RFC 3339 in UTC.
COPY (
    SELECT * REPLACE (strftime(started_at AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') AS started_at)
    FROM record
    ORDER BY record_id
) TO (getvariable('out') || '/records.jsonl') (FORMAT json);
