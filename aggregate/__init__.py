"""The measurement: bounding and exact sums in DuckDB, noise by OpenDP under one privacy filter, and the ledger.

It knows nothing of where it runs: it is handed Parquet files, a plan, a secret and a database engine.
"""
