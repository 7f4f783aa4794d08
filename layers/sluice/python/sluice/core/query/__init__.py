"""What readers may ask of the numbers, and what they are told about them."""
