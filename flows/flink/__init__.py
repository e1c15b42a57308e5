"""A Flink cluster on this machine: started, kept up, looked at and stopped."""
