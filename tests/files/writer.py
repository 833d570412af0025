"""A process that writes a file and waits to be killed: `python -m tests.files.writer URL OPTIONS KEY STAGE`.

OPTIONS is the JSON of StoreOptions' fields. STAGE is `staged` (12 MiB written, not sealed) or `sealed`. It prints one
line when it is there, and then waits for its standard input to end.
"""

from __future__ import annotations

import json
import sys

from counterfoil.files.open import open_store
from counterfoil.files.options import StoreOptions

STAGED_BYTES = 12 << 20


def main() -> None:
    """Write as the arguments say, tell, and wait."""
    url, options, key, stage = sys.argv[1:]
    file = open_store(url, StoreOptions(**json.loads(options))).create(key)
    file.write(bytes(STAGED_BYTES))
    if stage == "sealed":
        file.seal()
    print("there", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
