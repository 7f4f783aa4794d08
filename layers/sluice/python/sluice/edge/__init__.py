"""Where the core meets the world: brokers, the database, the cache, AWS and the environment."""
