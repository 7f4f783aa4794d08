"""How full the buffer and its disks are, and the word about it that every process of ingest hears."""
