"""What every request at the API has in common, devices' and readers': keys, quotas, and how it is answered."""
