"""Callboard measured beside its peers, in one run, on one server. See README.md; run with ``make bench``."""
