"""The leaderboard: scores of many checkpoints and runs beside each other, and every item behind them."""
