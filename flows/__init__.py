"""Prefect flows, the command line and the demo."""
