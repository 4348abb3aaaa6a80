"""What the records say: the papers' numbers, verdicts, statistics, contrasts and tables. No torch, no figures."""
