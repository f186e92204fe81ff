"""Prompts: files with declared inputs, marks around what is not trusted, and what endpoints can cache of them."""
