"""Computing windows in the database, and keeping its tables in size."""
