"""A script in a process of its own that costs no imports: forked from this one, with real limits,
as a user sees it.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from neft import script

PAGE = os.sysconf("SC_PAGE_SIZE")


def run(
    tool: ModuleType,
    argv: Sequence[object],
    *,
    file_size: int | None = None,
    memory: int | None = None,
) -> tuple[int, str]:
    """Run a script's command line; its exit status and what it said on standard error.

    file_size: the largest file that it may write, in bytes, as on a disk that has no more. memory:
    how many bytes of address space it may take beside what this process has.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 2)
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115  (pytest's own is in memory)
        status = 70  # an exception that no message was made of
        try:
            for kind, limit in ((resource.RLIMIT_FSIZE, file_size), (resource.RLIMIT_AS, memory)):
                taken = (
                    int(Path("/proc/self/statm").read_text().split()[0]) * PAGE
                    if kind == resource.RLIMIT_AS
                    else 0
                )
                if limit is not None:
                    resource.setrlimit(kind, (taken + limit, resource.RLIM_INFINITY))
            sys.argv = [tool.__name__, *map(str, argv)]
            script.run(tool.main)
            status = 0
        except SystemExit as end:
            status = 1
            print(end.code, file=sys.stderr)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    with open(reading, encoding="utf-8", errors="replace") as pipe:  # noqa: PTH123
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said
