"""The contract: codes, records, manifest, findings, plans and the types that cross rooms. No I/O beyond the packaged code lists."""
