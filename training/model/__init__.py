"""GPT-3's architecture: alternating dense and banded attention, with a key-value cache."""
