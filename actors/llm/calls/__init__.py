"""One call of a model, whole: whom to ask, how fast, how often again, and what came of it."""
