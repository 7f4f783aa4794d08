"""Moving old rollups from the database to files, and reading them back."""
