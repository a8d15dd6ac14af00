"""One runner a peer: each counts the same events in the peer's own environment, at (1, 1e-7) for a user, all on one table."""
