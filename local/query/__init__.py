"""Asking the raw store: the same SQL against the local Parquet (DuckDB) and against a deployed stage (Athena)."""
