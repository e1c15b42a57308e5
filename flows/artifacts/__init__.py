"""What a run shows of itself in Prefect's UI: progress, tables, plots, lineage, tags and events."""
