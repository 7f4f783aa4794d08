"""The names of what the simulated functions reach."""

RAW, LETTERS, FAILED, CONTROL = "raw", "dead-letters", "failed-batches", "control"
IN_ORDER, STANDARD = "alerts.fifo", "alerts"
CLUSTER = "arn:aws:kafka:us-east-1:123456789012:cluster/simulated/1"
BOOTSTRAP = "simulated:9092"
