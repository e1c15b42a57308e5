"""Checking a whole corpus: every file that a manifest lists, every token, every text behind the tokens."""
