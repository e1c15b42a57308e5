"""Scoring the model of a run: perplexity of a split, multiple choice by likelihood, generated answers."""
