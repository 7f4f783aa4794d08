"""The core's adapters to the outside: brokers, the database, the cache, AWS and the environment."""
