"""Loads the compiled core: of the modules that were built, the best that the processor can run.

The core is compiled once for each SIMD level into a module of its own. The names of the module
that was loaded are the names of this one; ``SIMD_LEVEL`` says which it is. The environment
variable ``DEEPLINEAR_SIMD`` names another level to load.
"""

import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_LEVELS = ("x86-64-v4", "x86-64-v3", "x86-64", "generic")


def _module_name(level: str) -> str:
    return f"{__package__}._core_{level.replace('-', '_')}"


def _cpu() -> ModuleType:
    try:
        return import_module(f"{__package__}._cpu")
    except ModuleNotFoundError as error:
        raise ImportError(
            "deeplinear's compiled modules are missing for this Python: the package was imported "
            f"from {os.path.dirname(__file__)}, which isn't built. Run 'pip install .' in the root "
            "of the source tree, with the Python that imports it."
        ) from error


def _supported_levels() -> tuple[str, ...]:
    levels: tuple[str, ...] = _cpu().levels()
    return levels


def _choose_level(requested: str | None) -> str:
    supported = _supported_levels()
    built = [level for level in _LEVELS if find_spec(_module_name(level)) is not None]
    has = f"built: {', '.join(built) or 'none'}; this processor: {', '.join(supported)}"
    if requested:
        if requested not in _LEVELS:
            raise ImportError(
                f"DEEPLINEAR_SIMD takes one of {', '.join(_LEVELS)}, not {requested!r}."
            )
        if requested not in built:
            raise ImportError(
                f"DEEPLINEAR_SIMD asks for {requested}, which this installation wasn't built "
                f"with ({has})."
            )
        if requested not in supported:
            raise ImportError(
                f"DEEPLINEAR_SIMD asks for {requested}, which this processor can't run ({has})."
            )
        return requested
    for level in supported:
        if level in built:
            return level
    raise ImportError(
        f"deeplinear was built for another processor ({has}). Run 'pip install .' in the root of "
        "the source tree on this machine, or build every level with "
        "'pip install . --config-settings=cmake.define.DEEPLINEAR_SIMD=all'."
    )


def _load(level: str) -> ModuleType:
    try:
        return import_module(_module_name(level))
    except ImportError as error:
        raise ImportError(
            f"deeplinear's compiled module for {level} can't be loaded: {error}"
        ) from error


# There the core would wait for the main interpreter, for ever.
if not _cpu().is_main_interpreter():
    raise ImportError(
        "deeplinear can't be imported in a subinterpreter; import it in the main one, or in a "
        "process of its own."
    )

SIMD_LEVEL = _choose_level(os.environ.get("DEEPLINEAR_SIMD"))

_module = _load(SIMD_LEVEL)
__all__ = ["SIMD_LEVEL", *(name for name in vars(_module) if not name.startswith("_"))]
globals().update({name: getattr(_module, name) for name in __all__[1:]})

#: Where the module for graphics processors may be: built with the package, or a wheel beside it
_CUDA_HOMES = ("deeplinear._core_cuda", "deeplinear_cuda13._core_cuda")


def cuda_modules() -> list[ModuleType | ImportError]:
    """Import the modules for graphics processors, or say why not; no driver is needed for it."""
    return [_imported(home) for home in _CUDA_HOMES]


@cache
def _imported(home: str) -> ModuleType | ImportError:
    try:
        return import_module(home)
    except ImportError as error:
        return error


def build_config() -> dict[str, Any]:
    """Say how the core was compiled."""
    config: dict[str, Any] = _module.build_config()
    found = [one for one in cuda_modules() if isinstance(one, ModuleType)]
    config["cuda"] = (
        {"toolkit": found[0].TOOLKIT, "architectures": found[0].ARCHITECTURES} if found else None
    )
    return config


__all__ += ["cuda_modules"]
