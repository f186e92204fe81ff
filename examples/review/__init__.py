"""A code review fleet that needs no model: six agents read a git repository and write one report.

The plain modules do the work and know nothing of actors; ``messages`` and ``agents`` put them on stage.
Nothing of the repository under review is ever run, and nothing in it configures the review.
"""
