"""`sluice dead-letters`: lists what was refused or given up, groups and explains it, fixes and re-drives it."""
