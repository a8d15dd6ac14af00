-- Writes the records as Parquet. The columns of corrections and withdrawals are part of the file, and null for new records.
COPY (
    SELECT *, NULL::VARCHAR AS supersedes, NULL::TIMESTAMPTZ AS supersedes_started_at, NULL::VARCHAR AS scope,
        NULL::VARCHAR AS submission_id
    FROM record
    ORDER BY record_id
) TO (getvariable('out') || '/records.parquet') (FORMAT parquet, COMPRESSION zstd);
