"""audit-stream: an append-only, fsync'd, hash-chained JSONL audit ledger."""

__version__ = "0.1.0"
