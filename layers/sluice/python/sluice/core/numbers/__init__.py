"""From stored events to samples, to windows of samples, and to files for old windows."""
