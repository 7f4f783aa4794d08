"""Old rollups in files: how they are cut, compared and read back."""
