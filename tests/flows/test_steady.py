"""Tasks outlive that they are interrupted."""

import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """\
import sys, time
sys.times_begun = getattr(sys, "times_begun", 0) + 1
for _ in range(100):
    time.sleep(0.01)
DONE = True
"""

PROGRAM = """\
import ctypes, importlib, sys, threading, time
from flows.steady import load

class Interrupted(Exception):
    pass

def interrupt(thread):
    while not hasattr(sys, "times_begun"):
        time.sleep(0.01)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(Interrupted)
    )

threading.Thread(target=interrupt, args=(threading.get_ident(),)).start()
try:
    {first_try}
    time.sleep(60)
except Interrupted:
    pass
importlib.import_module("slow_module")
print(sys.times_begun)
"""


@pytest.mark.parametrize(
    ("first_try", "times_begun"),
    [("load('slow_module')", "1"), ("importlib.import_module('slow_module')", "2")],
    ids=["loaded", "imported"],
)
def test_an_interruption_leaves_no_half_module_behind_that_is_loaded(
    tmp_path: Path, first_try: str, times_begun: str
) -> None:
    (tmp_path / "slow_module.py").write_text(MODULE)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(first_try=first_try)],
        env={"PYTHONPATH": f"{root}:{tmp_path}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == times_begun
