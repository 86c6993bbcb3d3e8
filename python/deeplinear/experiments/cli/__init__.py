"""The command line ``deeplinear``."""
