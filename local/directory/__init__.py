"""A small directory of groups, standing in for the one that a deployment has somewhere outside: it is not ours."""
