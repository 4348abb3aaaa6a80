"""What the records say: the papers' numbers, verdicts, statistics, contrasts and tables. No torch, no figures."""

NOT_RUN, NOT_RUN_YET = "not run", "not run yet"  # what tables, texts and figures say where there is no record
