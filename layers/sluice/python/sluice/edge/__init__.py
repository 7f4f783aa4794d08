"""Where the core meets the world: the environment, the broker, the database, the cache, the delivery stream."""
