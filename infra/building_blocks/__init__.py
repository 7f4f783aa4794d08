"""What functions and stores are built from: the one definition of each kind of part."""
