"""Reading a stored event as the sample that it adds."""
