"""From a request to records and an answer: split, judged, settled; and how much is refused under pressure."""
