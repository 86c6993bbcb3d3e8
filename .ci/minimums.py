"""Print every minimum of pyproject.toml as an exact version: constraints for pip."""

import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
optional = (
    r for name in ("all", "store", "cluster", "mpi", "parquet", "test") for r in extras[name]
)
for requirement in (*project["dependencies"], *optional):
    if requirement.startswith(f"{project['name']}["):
        continue
    name, _, marker = requirement.partition(";")
    if name.count(">=") != 1:
        sys.exit(f"pyproject.toml: {requirement!r} must state one minimum, as in 'numpy>=1.24'.")
    print(name.replace(">=", "==") + (f";{marker}" if marker else ""))
