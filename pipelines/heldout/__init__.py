"""Evaluation tasks and fine-tuning pairs cut from kept documents."""
