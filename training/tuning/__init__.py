"""Tuning: many short trainings that look for a good learning rate, batch and shape."""
