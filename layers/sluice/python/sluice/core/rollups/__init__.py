"""Windows of samples: which ones are due, and what their digests say."""
