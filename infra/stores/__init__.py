"""What keeps data, and how functions are let in."""
