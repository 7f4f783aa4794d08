"""Authentication, quotas per fleet, and the page's files."""
