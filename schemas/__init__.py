"""Contracts between the stages: tables, manifests, configs, storage. Knows none of the other packages."""
