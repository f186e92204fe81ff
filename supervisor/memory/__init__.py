"""What agents know, as a fleet has it: each cell's open memories, and what a person may see and do there."""
