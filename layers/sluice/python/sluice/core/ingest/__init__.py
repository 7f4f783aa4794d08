"""From a request to records and an answer: split, judge, settle; and which share is refused under pressure."""
