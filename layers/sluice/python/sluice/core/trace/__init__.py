"""Where one event is: the question, and what became of it."""
