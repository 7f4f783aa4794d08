"""Whether readings and series are unusual: rules, statistics of what is usual, and verdicts; and the backtest."""
