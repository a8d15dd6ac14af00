"""Terms that nobody listed: from scrubbed turns to how much each user weighs in each term."""
