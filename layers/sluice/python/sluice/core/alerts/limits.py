"""The numbers by which incidents open and end, and messages are written. Each is a promise of `docs/alerts.md`."""

from datetime import timedelta

from sluice.core.detect.series_rules import MOST_OF

REMEMBERED = MOST_OF
"""How many of the latest readings of a series are kept."""
SLACK = 2
"""A breach counts for as long as `of` usual intervals take, so many times over: devices are not punctual."""
LEAST_CLEAR = 2
"""So many clear readings in a row end a breach, or `of` of the rule if that is more."""
TOGETHER = timedelta(minutes=5)
"""Devices that fire under one rule within this time of each other share an incident."""
COOL_DOWN = timedelta(hours=1)
"""A device that fires again so soon opens its incident again. That one ends only after so long without a breach."""
UNHEARD = timedelta(hours=24)
"""An incident ends when its devices were silent for so long."""
HOUR = timedelta(hours=1)
MOST_OF_ONE, MOST_OF_MANY = 3, 5
"""Messages of an incident in an hour: of one device, and of more. An escalation goes to others, and does not count."""
SETTLED = timedelta(minutes=10)
"""The last message of an hour reports an end only when it has lasted for so long."""
GROWTH = 10
"""A message is written again when an incident has so many times the devices that the last message named."""
MOST_INCIDENTS = 10
"""Incidents of a fleet and severity that have their first message in an hour. Further ones wait until there is room."""
WATCHED = timedelta(minutes=15)
"""How long after a breach detect reports clear readings too."""
