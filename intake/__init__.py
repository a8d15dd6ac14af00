"""The door: signatures, the company registry, readers, validation, quarantine and receipts."""
