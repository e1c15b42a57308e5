"""Running pipelines on a Flink cluster through Beam's job server."""
