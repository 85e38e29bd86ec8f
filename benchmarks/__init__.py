"""Measurements of speed and memory; each prints machine, commit, data and seed, and what its number leaves out."""
