"""Whether a reading is unusual for its series: rules that see readings one by one, and when they open an incident."""
