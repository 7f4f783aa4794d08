"""The parts of a replay that reach stores: planning, reading raw files, recounting, and swapping generations."""
