"""What all API requests share, from devices and readers alike: keys, quotas and answers."""
