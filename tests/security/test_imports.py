"""The engine runs no code that it finds in a container (invariant I5)."""

import subprocess
import sys

CODE = """
import sys
sys.path[:] = {path!r}
from pinnace.runtime import init
init.import_nothing()
try:
    import wave
except ImportError:
    print("refused")
import zipimport
print("frozen")
"""


def test_nothing_is_imported_inside_a_container() -> None:
    code = CODE.format(path=sys.path)

    said = subprocess.check_output([sys.executable, "-I", "-S", "-c", code], text=True)

    assert said == "refused\nfrozen\n"
