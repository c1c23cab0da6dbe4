"""Completing a month: spikes out, gaps filled, every cell flagged with its uncertainty."""
