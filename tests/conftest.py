import os

from hypothesis import settings

# Times vary on shared machines, and the sanitizers slow everything down.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
