"""Rules over stored data: which incidents a rule would have opened."""
