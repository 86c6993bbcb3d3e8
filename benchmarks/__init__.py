"""Benchmarks beside what an expert would otherwise write: ``python -m pytest benchmarks``."""
