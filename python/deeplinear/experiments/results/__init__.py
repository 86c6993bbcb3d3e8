"""Results of experiments: their files, the view that claims and figures read, and statistics.

`store` keeps the files, which `netcdf` packs and checks; `partials` goes on from runs that had
finished. `runs` is the one view of a result; `statistics` and `comparisons` summarize it.
"""
