"""The funnel page: where documents were lost, rule by rule, with what was measured and samples to read."""
