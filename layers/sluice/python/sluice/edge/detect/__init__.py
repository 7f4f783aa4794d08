"""Whether readings are unusual: the published rules, as processes that judge read them."""
