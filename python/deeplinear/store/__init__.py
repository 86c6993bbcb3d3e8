"""Sweeps in a Zarr store: made of blocks that any process can finish, in any order, at any time.

A block is a rectangle of the grid and a chunk of every array. Its chunk of ``status`` is written
last and marks it as done, so that nothing but the store says what is left.
"""
