"""What a training run needs, takes and costs, before it is started; only `machine` and `run_check` know PyTorch."""
