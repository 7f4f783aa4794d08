"""Whether readings are unusual: the work of detect and learn, with rules and statistics as they read them."""
