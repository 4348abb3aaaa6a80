"""The common ground of everything that is compared, and what a run of it leaves."""
