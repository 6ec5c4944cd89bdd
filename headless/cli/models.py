"""`models list | pull | verify`: the files of the models that configs/ names."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headless.cli.command import Commands, add_command
from headless.cli.exit_codes import DONE, FAILED
from headless.errors import ModelMissing, UsageError
from headless.logs import configure
from headless.model_store.parts import Part, parts_of
from headless.model_store.presence import Presence, State, look
from headless.model_store.record import Record, read_record
from headless.ports import ModelDefinition, ModelRegistry
from headless.settings import EnvironmentOptions, HelpFormatter, ModelFolders, read_secret
from headless.wiring import SHIPPED_MODELS, open_registry

_HUB: Final = "https://huggingface.co"
_ACTIONS: Final = {
    "list": (
        "say which models are here",
        "Lists the models of configs/ and which of their parts are here. Sizes and headers are looked at, "
        "not every byte.",
        "  python -m headless models list --models-dir models\n",
    ),
    "pull": (
        "fetch a model from the Hugging Face hub",
        "Fetches what is missing of a model, at the commit that its definition pins, else at what its branch "
        "was\nwhen it was first pulled. A pull that is cut short goes on where it ended, and no file gets "
        "its name\nbefore its hash is right.",
        "  python -m headless models pull i2v_2_2 --models-dir models\n"
        "  python -m headless models pull i2v_2_2 --pick fp8_scaled --models-dir models\n",
    ),
    "verify": (
        "check every byte of what was pulled",
        "Compares the files that are here with what was recorded when they were pulled. Exit status 1 where "
        "one\ndiffers, or where a model named here is not whole.",
        "  python -m headless models verify --models-dir models\n",
    ),
}


@dataclass(frozen=True)
class Looked:
    """One model and what was found of it."""

    definition: ModelDefinition
    parts: tuple[Presence, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing or damaged."""
        return all(part.usable for part in self.parts)


def add(commands: Commands, environ: Mapping[str, str]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "models",
        "list, fetch and check model files",
        "The files of the models that configs/ names: which are here, fetching them, checking them.",
        "  python -m headless models list --models-dir models\n",
    )
    parser.set_defaults(run=lambda *_: _no_action())
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    runs = {"list": _list, "pull": _pull, "verify": _verify}
    for name, (summary, description, example) in _ACTIONS.items():
        action = actions.add_parser(
            name,
            help=summary,
            description=description,
            epilog=f"examples:\n{example}",
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )
        _add_arguments(name, action, environ)
        action.set_defaults(run=runs[name])


def looked_at(
    registry: ModelRegistry, names: Sequence[str], folder: Path | None, full: bool = False
) -> list[Looked]:
    """What is here of the named models, or of all. Raises `UsageError` for a name that is not known."""
    folders = [SHIPPED_MODELS] if folder is None else [folder, SHIPPED_MODELS]
    records = [Record() if place == SHIPPED_MODELS else read_record(place) for place in folders]
    found = []
    for name in names or registry.names():
        definition = _definition(registry, name)
        parts = [look(part, folders, records, full) for part in _parts(registry, definition)]
        found.append(Looked(definition, tuple(parts)))
    return found


def _add_arguments(name: str, action: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    action.add_argument(
        "model", metavar="MODEL", nargs="+" if name == "pull" else "*", help="ids of configs/ (default all)"
    )
    options = EnvironmentOptions(action, environ)
    options.value("--models-dir", "HEADLESS_MODELS_DIR", "your configs/, loras/ and weights", metavar="DIR")
    if name != "pull":
        action.add_argument("--json", action="store_true", help="print what was found as JSON")
        return
    action.add_argument(
        "--pick",
        metavar="TEXT",
        help="of the transformers, take the single files whose names contain this, such as fp8_scaled",
    )
    action.add_argument("--no-loras", action="store_true", help="leave the model's LoRAs out")
    action.add_argument(
        "--update", action="store_true", help="move branches on that an earlier pull had pinned"
    )
    options.value("--hf-endpoint", "HF_ENDPOINT", "address of the hub", metavar="URL", default=_HUB)
    options.secret("--hf-token", "HF_TOKEN", "token for models that ask for one", metavar="TOKEN")


def _no_action() -> int:
    raise UsageError("Name an action: python -m headless models list, pull or verify")


def _list(arguments: argparse.Namespace, _: Mapping[str, str]) -> int:
    _show(_look(arguments, full=False), arguments.json)
    return DONE


def _verify(arguments: argparse.Namespace, _: Mapping[str, str]) -> int:
    found = _look(arguments, full=True)
    _show(found, arguments.json)
    damaged = [part for model in found for part in model.parts if part.state is State.DAMAGED]
    for part in damaged:
        print(
            f"headless: {part.place} is damaged: {part.why}. Delete it and pull the model again.",
            file=sys.stderr,
        )
    incomplete = [model for model in found if arguments.model and not model.complete]
    return FAILED if damaged or incomplete else DONE


def _pull(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    # Imported here: the hub's client doubles the time that the command line takes to start.
    from headless.model_store.hub import Hub
    from headless.model_store.pull import Puller

    configure(debug=False, log_format="text", stream=sys.stderr)
    folder = _folder(arguments)
    if folder is None:
        raise UsageError("Name the folder that models are pulled to: --models-dir DIR.")
    folder.mkdir(parents=True, exist_ok=True)
    registry = open_registry(ModelFolders(folder))
    parts = [part for name in arguments.model for part in _missing(registry, name, folder, arguments)]
    token = read_secret(arguments, environ, "--hf-token", "HF_TOKEN")
    hub = Hub(arguments.hf_endpoint, token.get_secret_value() if token else None, _note)
    Puller(folder, hub, _note, update=arguments.update).pull(list(dict.fromkeys(parts)))
    _show(looked_at(registry, arguments.model, folder), as_json=False)
    return DONE


def _missing(registry: ModelRegistry, name: str, folder: Path, arguments: argparse.Namespace) -> list[Part]:
    """Parts of a model to pull: not shipped, and not somebody's own file that is already there and whole."""
    definition = _definition(registry, name)
    parts = _parts(registry, definition, arguments.pick)
    if arguments.no_loras:
        parts = tuple(part for part in parts if part.role != "lora")
    records = [read_record(folder), Record()]
    found = [(part, look(part, [folder, SHIPPED_MODELS], records)) for part in parts]
    return [part for part, seen in found if not (seen.usable and _settled(part, seen, arguments))]


def _settled(part: Part, seen: Presence, arguments: argparse.Namespace) -> bool:
    """Whether a part that is here needs no word with the hub."""
    first = next((choice for choice in part.choices if choice.source is not None), None)
    return (
        first is None or first.place != seen.place or (seen.state is State.PRESENT and not arguments.update)
    )


def _look(arguments: argparse.Namespace, full: bool) -> list[Looked]:
    configure(debug=False, log_format="text", stream=sys.stderr)
    folder = _folder(arguments)
    return looked_at(open_registry(ModelFolders(folder)), arguments.model, folder, full)


def _folder(arguments: argparse.Namespace) -> Path | None:
    return Path(arguments.models_dir).expanduser() if arguments.models_dir else None


def _definition(registry: ModelRegistry, name: str) -> ModelDefinition:
    try:
        return registry.definition(name)
    except (LookupError, ValueError) as error:
        raise UsageError(str(error)) from error


def _parts(
    registry: ModelRegistry, definition: ModelDefinition, picked: str | None = None
) -> tuple[Part, ...]:
    base = registry.models_def.get(definition.architecture)
    parts = parts_of(definition.model_def, base, picked)
    if not parts:
        raise ModelMissing(
            f"The definition of {definition.id} names no files. Add them in its configs/ file."
        )
    return parts


def _show(found: Sequence[Looked], as_json: bool) -> None:
    if as_json:
        print(json.dumps([_row(model) for model in found], indent=2))
        return
    for model in found:
        state = "complete" if model.complete else "incomplete"
        print(f"{model.definition.id:40} {state:11} {model.definition.name}")
        for part in model.parts:
            size = f" ({part.size / 1e9:.2f} GB)" if part.size >= 10_000_000 else ""
            why = f": {part.why}" if part.why and part.state is State.DAMAGED else ""
            print(f"  {part.role:16} {part.state:11} {part.place}{size}{why}")


def _row(model: Looked) -> dict[str, object]:
    return {
        "model": model.definition.id,
        "name": model.definition.name,
        "complete": model.complete,
        "parts": [
            {
                "role": part.role,
                "state": part.state.value,
                "place": part.place,
                "path": str(part.path) if part.path else None,
                "bytes": part.size,
                "why": part.why or None,
            }
            for part in model.parts
        ],
    }


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
