"""From stored events to samples, to windows of them, and to the files into which old windows move."""
