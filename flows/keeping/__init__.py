"""Daemons that stay: one process, the keeper, owns all others of a folder."""
