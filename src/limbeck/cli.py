"""The recipes as commands. Nothing heavy is imported before a command is known."""

from __future__ import annotations

import difflib
import signal
import sys
from contextlib import nullcontext, redirect_stdout
from io import StringIO
from typing import Annotated, Any

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter, UnknownCommandError, UnusedCliTokensError

from limbeck import __version__
from limbeck.errors import LimbeckError, MissingExtra, UsageError

_EXTRAS = {
    "torch": "train",
    "transformers": "train",
    "accelerate": "train",
    "google_crc32c": "train",
    "safetensors": "train",
    "onnx": "train",
    "matplotlib": "train",
    "datasets": "hub",
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "trackio": "trackio",
    "optuna": "sweep",
}

app = App(
    name="limbeck",
    version=__version__,
    help="From labelled text to a small, fast, proven text model.\n\n"
    'Example: `limbeck build reviews.csv --out model`, then `limbeck predict model "a fine film"`',
    result_action="return_value",
    default_parameter=Parameter(negative_iterable=()),  # no --empty-method beside --method
)
_COMMANDS = {
    "build": (
        "Train, compress, prove and report: labelled text in, a certified bundle out.",
        "limbeck build reviews.csv --out model",
    ),
    "train": (
        "Fine-tune an encoder on labelled text and write a bundle.",
        "limbeck train reviews.csv --out model --text review --label stars",
    ),
    "pretrain": (
        "Go on pretraining an encoder on plain text of your domain, or pretrain one from nothing.",
        "limbeck pretrain texts/ --out encoder --base ./my-encoder",
    ),
    "augment": (
        "Make more training rows of those there are, dev and test rows left alone.",
        "limbeck augment reviews.csv --out more",
    ),
    "distill": (
        "Teach a smaller model what a trained bundle answers, and write it as a bundle.",
        "limbeck distill model reviews.csv --student L3 --out small",
    ),
    "compress": (
        "Compile a trained bundle and prove each variant on held-out rows.",
        "limbeck compress model --max-drop 0.3",
    ),
    "verify": (
        "Prove a bundle's variants again, here, on the same rows or on new ones.",
        "limbeck verify model --data january.csv",
    ),
    "predict": (
        "Answer texts given as arguments, on standard input or in a file.",
        'limbeck predict model "a fine film" "a dull one"',
    ),
    "tune": (
        "Find how this machine runs a bundle fastest, and keep it for predict.",
        "limbeck tune model",
    ),
    "bench": (
        "Time every variant on your own texts, and say what is slow.",
        "limbeck bench model reviews.csv",
    ),
    "bases": ("List known encoders: sizes, languages, where their weights are.", "limbeck bases MiniLM"),
    "convert": (
        "Make a Hugging Face folder of a TensorFlow checkpoint of BERT.",
        "limbeck convert uncased_L-12_H-768_A-12 --out encoder",
    ),
    "report": ("Write a bundle's report and model card anew.", "limbeck report model"),
}
_RESUMED = ("build", "train", "pretrain", "distill")
for _name, (_help, _example) in _COMMANDS.items():
    app.command(f"limbeck.recipes.{_name}:{_name}", name=_name, help=f"{_help}\n\nExample: `{_example}`")
app.meta.suppress_keyboard_interrupt = False  # `run` says what an interruption leaves behind


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    json: Annotated[bool, Parameter(negative=(), help="Print one JSON document instead of a table.")] = False,
) -> int:
    if "-" in tokens and tokens[0] in _COMMANDS:
        tokens = _with_dashes(tokens)
    command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
    if json and (said := bound.arguments.get("format")) not in (None, "jsonl"):
        raise UsageError(f"--json prints one JSON document: drop --format {said}")
    # What a command itself prints is kept back for the document: standard output gets that, whole, or nothing.
    with redirect_stdout(StringIO()) if json else nullcontext() as printed:
        result = command(*bound.args, **bound.kwargs)
    # Only now is anything known that needs showing.
    from limbeck.console import silenced
    from limbeck.show import exit_code, show

    if silenced():
        return 0
    show(result, as_json=json, printed=printed.getvalue() if printed else "")
    return exit_code(result)


def _with_dashes(tokens: tuple[str, ...]) -> tuple[str, ...]:
    """Tokens in which no `-` stands alone, which the parser takes for a flag without a name.

    It belongs to the option before it, if that takes a value, and goes behind `--` otherwise.
    """
    arguments = app[tokens[0]].assemble_argument_collection()
    options = {name for argument in arguments if argument.token_count()[0] for name in argument.names}
    end = tokens.index("--") if "--" in tokens else len(tokens)
    given: list[str] = []
    behind: list[str] = []
    for token in tokens[:end]:
        if token != "-":
            given.append(token)
        elif given and given[-1] in options:
            given[-1] += "=-"
        else:
            behind.append(token)
    behind += tokens[end + 1 :]
    return (*given, "--", *behind) if behind else tuple(given)


def main() -> None:
    """Run the command line: exit code 0 done, 1 a check failed, 2 bad input or usage, 130 interrupted."""
    # What stops a container, or `timeout`, leaves nothing half-written either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors go to standard error, one clear message each."""
    try:
        code: Any = app.meta(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        return int(code or 0)
    except CycloptsError as error:
        return _fail(_explained(error), 2)
    except LimbeckError as error:
        return _fail(str(error), error.exit_code)
    except ImportError as error:
        missing = _missing_extra(error)
        if missing is None:
            raise
        return _fail(str(missing), 2)
    except KeyboardInterrupt:
        command = next((word for word in arguments if word in _COMMANDS), "")
        again = "goes on from its last save, where there is one" if command in _RESUMED else "begins anew"
        return _fail(f"interrupted; nothing half-written is left, and the same command {again}", 130)
    except BrokenPipeError:
        return 0
    except OSError as error:  # no permission, a full disk, a folder where a file should be
        return _fail(f"cannot read or write {error.filename}: {error.strerror}" if error.filename else str(error), 2)


def _explained(error: CycloptsError) -> str:
    """What the parser did not understand, and what would do."""
    command = " ".join(error.command_chain or ())
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        return _unknown_command(error.unused_tokens[0])
    if command not in _COMMANDS:
        return f"{error} See limbeck --help"
    said, hint = str(error), ""
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        said = f"{error.keyword} needs a value."
        if error.keyword is None:
            name, by_place = error.argument.name, error.argument.field_info.is_positional
            said, hint = f"{_placed(name) if by_place else name} is missing.", f"For example: {_COMMANDS[command][1]}\n"
    elif isinstance(error, UnusedCliTokensError):
        said = f"{', '.join(error.unused_tokens or ())}: more than {command} takes."
    return f"{command}: {said}\n{hint}limbeck {command} --help shows what it takes"


def _unknown_command(word: str) -> str:
    near = difflib.get_close_matches(word, _COMMANDS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown command {word!r}.{hint} Expected one of {', '.join(_COMMANDS)}. See limbeck --help"


def _placed(name: str) -> str:
    """A parameter that is given by its place, as the help has it."""
    return name.lstrip("-").replace("-", "_").upper()


def _missing_extra(error: BaseException | None) -> MissingExtra | None:
    """Which extra would bring the module that was not found; the parser wraps the error that names it."""
    while error is not None:
        module = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if module in _EXTRAS:
            return MissingExtra(module, _EXTRAS[module])
        error = error.__cause__
    return None


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"limbeck: {message}\n")
    return code
