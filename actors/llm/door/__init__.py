"""The door to one endpoint of models: one request, one answer, one deadline. How a client of ``openai`` is opened."""
