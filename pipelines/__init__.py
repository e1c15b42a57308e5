"""Beam stages: crawl, clean, deduplicate, tokenize, mix."""
