"""Synthetic submissions with known truth: every effect, every piece of PII and every fault in them was planted and is recorded."""
