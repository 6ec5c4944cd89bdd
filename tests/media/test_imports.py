from __future__ import annotations

from tests.media.own_process import run_program


def test_media_needs_no_torch() -> None:
    program = """
    import importlib, pkgutil, sys
    import headless.media
    for module in pkgutil.iter_modules(headless.media.__path__):
        importlib.import_module(f"headless.media.{module.name}")
    print(sorted({"torch", "diffusers", "transformers"} & set(sys.modules)), len(sys.modules) > 100)
    """
    assert run_program(program) == "[] True\n"
