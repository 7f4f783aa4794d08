"""Where one event is: the question, what became of it, and the story a person reads."""
