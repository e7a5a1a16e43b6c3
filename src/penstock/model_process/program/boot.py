"""Where a model process begins: `python …/program/boot.py CONTROL LIFELINE [throttled]`, two inherited files' numbers;
and the process that others are forked from: `python …/program/boot.py forks SOCKET`.

A script and no module, since the interpreter may be one that has no Penstock: it takes the package that it lies in.
Nothing but the standard library, and nothing newer than old Pythons read, until the version is known to do.
"""

import os
import sys

OLDEST = (3, 11)
THROTTLED = "throttled"
FORKS = "forks"


def main():  # type: ignore[no-untyped-def]
    here = os.path.dirname(os.path.abspath(__file__))
    if sys.path and os.path.abspath(sys.path[0]) == here:
        del sys.path[0]
    if sys.version_info < OLDEST:
        this = sys.version.split()[0]
        sys.exit("Model processes need Python {}.{} or newer, this is {}.".format(*OLDEST, this))
    _take_package(os.path.dirname(os.path.dirname(here)))  # type: ignore[no-untyped-call]
    if sys.argv[1] == FORKS:
        from penstock.model_process.program.fork_server import serve_forks

        serve_forks(int(sys.argv[2]))
    from penstock.model_process.program.keeper import keep

    keep(int(sys.argv[1]), int(sys.argv[2]), throttled=THROTTLED in sys.argv[3:])


def _take_package(directory):  # type: ignore[no-untyped-def]
    """Makes `import penstock` mean this directory, and adds nothing else to what can be imported."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(
        "penstock", os.path.join(directory, "__init__.py"), submodule_search_locations=[directory]
    )
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["penstock"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    main()  # type: ignore[no-untyped-call]
