"""The door to one endpoint of models: the only place that speaks ``openai``. One request, one answer, one deadline."""
