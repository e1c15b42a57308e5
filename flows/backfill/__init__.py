"""Backfills: many partitions of a source through a stage or the whole chain, planned, run, watched and resumed."""
