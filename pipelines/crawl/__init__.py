"""A polite crawler: seed URLs in, WARC files out, and nothing lost when it is killed."""
