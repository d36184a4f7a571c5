"""A box that was installed without the extra ``tools`` has the program all the same."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = "import sys; sys.modules['typer'] = None; from edgectl.cli import main; sys.exit(main())"


def test_without_its_libraries_it_says_in_one_line_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT, "doctor"], capture_output=True, text=True, check=False)

    (line,) = done.stderr.splitlines()
    assert line.startswith("edgectl: cannot run: typer is not installed, expected the libraries of edged[tools]")
    assert (done.returncode, done.stdout) == (1, "")
