"""The one thing pyproject.toml cannot say: what is written in C, built when a compiler is there and left out when not."""

from glob import glob

from setuptools import Extension, setup


def extension(name: str) -> Extension:
    """A module of the data plane out of its C files, which all begin with its name."""
    return Extension(
        f"counterfoil.dataplane.{name}",
        sorted(glob(f"src/counterfoil/dataplane/{name}*.c")),
        depends=sorted(glob(f"src/counterfoil/dataplane/{name}*.h")),
        # The stable ABI of 3.11: one built file serves every later Python.
        define_macros=[("Py_LIMITED_API", "0x030B0000")],
        extra_compile_args=["-O3"],
        py_limited_api=True,
        optional=True,
    )


setup(
    ext_modules=[extension("_csv"), extension("_chain")],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
