"""The real services of the local stack: brokers, database, cache, and the emulation of AWS's own APIs."""
