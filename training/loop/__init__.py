"""Pretraining: schedules, one optimizer step, validation, the run's log, and the loop around them."""
