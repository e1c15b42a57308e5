"""Beam stages: crawl, clean, deduplicate, tokenize, mix."""

import logging as _logging


def _concerns_us(record: _logging.LogRecord) -> bool:
    # With Dataflow's client installed and not BigQuery's, importing Beam says so on the root logger; we use none.
    return not str(record.msg).startswith("apitools not found")


_logging.getLogger().addFilter(_concerns_us)
