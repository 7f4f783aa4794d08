"""The rules, without a service, a clock or an environment: all of it works on plain values."""
