"""Taking batches whatever their records do, and putting aside what goes no further."""
