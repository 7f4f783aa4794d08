"""What the commands of the control plane share: a client of the admin API, and how its answers are shown."""
