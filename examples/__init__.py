"""Fleets to run, read and copy; each has a README and a fleet file."""
