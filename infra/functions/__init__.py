"""One module for each function, named as its folder in functions/."""
