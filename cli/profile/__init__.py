"""Profiles: deployed stages that a person has named, with where they are and how they are reached."""
