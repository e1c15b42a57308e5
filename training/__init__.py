"""GPT-3 training, evaluation, generation and fine-tuning; runs without Beam and Prefect."""
