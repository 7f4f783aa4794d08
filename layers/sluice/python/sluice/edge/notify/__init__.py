"""Telling people of incidents: the published destinations, as notify reads them."""
