"""What alarms mean together: how serious each is, the outages that page, burn rates, and dashboards."""
