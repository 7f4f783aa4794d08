"""How hard it presses: what is measured, and the word about it."""
