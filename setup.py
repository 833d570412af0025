"""The one thing pyproject.toml cannot say: the C encoder, built when a compiler is there and left out when not."""

from glob import glob

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "counterfoil.dataplane._csv",
            sorted(glob("src/counterfoil/dataplane/_csv*.c")),
            depends=sorted(glob("src/counterfoil/dataplane/_csv*.h")),
            # The stable ABI of 3.11: one built file serves every later Python.
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            extra_compile_args=["-O3"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
