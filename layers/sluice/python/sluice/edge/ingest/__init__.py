"""The usage of the buffer and its disks, and the pressure snapshot that every ingest process reads."""
