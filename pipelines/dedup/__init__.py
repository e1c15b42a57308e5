"""Deduplication: signatures, verified pairs, and the decisions that follow from them."""
