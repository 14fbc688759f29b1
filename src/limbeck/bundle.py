"""A bundle: a folder that is a plain Hugging Face model repository and carries `limbeck.json`, the manifest.

config.json  model.safetensors  tokenizer.json …     what transformers reads
head.safetensors                                     only for a head of ours
onnx/model.onnx, onnx/model_quantized.onnx           the compiled variants, by Optimum's names
limbeck.json                                         task, variants, certificates, hashes, arguments
report.html  README.md                               for people
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from limbeck.errors import BundleError, UsageError
from limbeck.files import sha256_of, write_text
from limbeck.measure import Certificate
from limbeck.tasks import AnyTask

Pooling = Literal["pooler", "cls", "mean"]
Head = Pooling | Literal["tokens", "spans"]
"""What the head reads: the encoder's own pooler, the first token, the mean of all, or each token by itself, for its
own answer (`tag`) or as the start or the end of one (`answer`).
"""

MANIFEST = "limbeck.json"
WEIGHTS = "model.safetensors"
REFERENCE = "pytorch-fp32"  # a variant that every bundle has: the weights themselves
FORMAT = 1
# Not hashed: written for people, who may edit them.
_FREE = {MANIFEST, "report.html", "README.md", ".gitattributes"}


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One compiled form of the model. `inputs` are the graph's, `fused` counts its fused operators by kind."""

    name: str
    engine: str
    precision: str
    file: str
    inputs: tuple[str, ...]
    opset: int
    fused: dict[str, int]
    remedies: tuple[str, ...] = ()
    certificate: Certificate | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The file, and the weights beside an OpenVINO IR."""
        return (self.file, self.file.removesuffix(".xml") + ".bin") if self.file.endswith(".xml") else (self.file,)


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to feed the model.

    It was trained to read `max_tokens` of a text and can read `longest_input`; `pair` says whether it takes two texts.
    """

    base: str
    pooling: Head
    max_tokens: int
    longest_input: int
    pad_id: int
    pair: bool
    parameters: int


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where the labelled rows came from; `columns` are the arguments that found them.

    `sha256` is a hash of their content, `held_out_sha256` of that of dev and test.
    """

    path: str
    columns: dict[str, str | None]
    sha256: str
    held_out_sha256: str = ""
    rows: dict[str, int]
    notes: tuple[str, ...] = ()
    skipped: bool = False


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`limbeck.json`.

    `chosen` is the variant that answers. Certificates without a file are those of variants that hold and were `beaten`
    by the chosen one, and of those over budget, `refused`.
    """

    format: int
    limbeck: str
    task: AnyTask
    model: Model
    source: Source
    arguments: dict[str, Any]
    versions: dict[str, str]
    training: dict[str, Any]
    scores: dict[str, dict[str, float]]
    variants: tuple[Variant, ...] = ()
    beaten: tuple[Certificate, ...] = ()
    refused: tuple[Certificate, ...] = ()
    chosen: str | None = None
    files: dict[str, str] = {}

    @property
    def compiled_files(self) -> set[str]:
        """The files of all variants."""
        return {name for variant in self.variants for name in variant.files}

    @property
    def trained_files(self) -> dict[str, str]:
        """The hashes of all files that are of no variant: what PyTorch loads, and the tokenizer."""
        compiled = self.compiled_files
        return {name: sha256 for name, sha256 in self.files.items() if name not in compiled}


class Bundle(msgspec.Struct, frozen=True):
    """A bundle on disk, checked."""

    folder: Path
    manifest: Manifest

    @property
    def tokenizer_file(self) -> Path:
        """Its `tokenizer.json`."""
        return self.folder / "tokenizer.json"

    def reading(self, max_tokens: int | None) -> Bundle:
        """This bundle, its model reading at most so many tokens of a text; None leaves it as it was trained.

        Raises `UsageError` for fewer than 8, or more than the encoder can read.
        """
        if max_tokens is None:
            return self
        longest = self.manifest.model.longest_input
        if not 8 <= max_tokens <= longest:
            raise UsageError(f"--max-tokens {max_tokens}: expected 8 to {longest}, what this encoder can read")
        model = msgspec.structs.replace(self.manifest.model, max_tokens=max_tokens)
        return Bundle(self.folder, msgspec.structs.replace(self.manifest, model=model))

    def variant(self, name: str | None = None) -> Variant:
        """The variant of that name, or the chosen one; `pytorch-fp32` is the model that the others are held against.

        Raises `UsageError` for a name it has not, and where nothing is compiled yet.
        """
        wanted = name or self.manifest.chosen
        if wanted == REFERENCE:
            return Variant(
                name=REFERENCE, engine="pytorch", precision="fp32", file=WEIGHTS, inputs=(), opset=0, fused={}
            )
        for variant in self.manifest.variants:
            if variant.name == wanted:
                return variant
        have = ", ".join(v.name for v in self.manifest.variants)
        if not have:
            raise UsageError(f"{self.folder} has no compiled variant yet: run `limbeck compress {self.folder}`")
        if wanted is None:
            raise UsageError(
                f"{self.folder}: no variant holds its budget, so none is chosen; name one of {have} with --variant"
            )
        raise UsageError(f"{self.folder} has no variant {wanted!r}: expected one of {have}")


def read_bundle(folder: str | Path) -> Bundle:
    """Open a bundle and check every file in its manifest against its hash.

    Raises `BundleError` for a folder that is no bundle, and for files missing, damaged or of a newer format.
    """
    bundle = open_bundle(folder)
    check_files(bundle, bundle.manifest.files)
    return bundle


def read_trained(folder: str | Path) -> Bundle:
    """Open a bundle to compile it: every file is checked but those of its variants, which are made anew.

    Raises `BundleError` as `read_bundle` does.
    """
    bundle = open_bundle(folder)
    trained = msgspec.structs.replace(bundle.manifest, variants=(), files=bundle.manifest.trained_files)
    check_files(Bundle(bundle.folder, trained), trained.files)
    return bundle


def open_bundle(folder: str | Path) -> Bundle:
    """Open a bundle without a look at its files: see `check_files`."""
    folder = Path(folder)
    return Bundle(folder, read_manifest(folder))


def check_files(bundle: Bundle, names: Collection[str]) -> None:
    """Raise `BundleError` where a file of the bundle is missing, or one of `names` is not what was written."""
    folder, files = bundle.folder, bundle.manifest.files
    missing = [name for name in files if not (folder / name).is_file()]
    there = [name for name in files if name in names and name not in missing]
    damaged = [name for name in there if sha256_of(folder / name) != files[name]]
    problems = [f"files are missing: {', '.join(missing)}"] * bool(missing)
    problems += [f"files were damaged or edited after they were written: {', '.join(damaged)}"] * bool(damaged)
    if problems:
        compiled = bundle.manifest.compiled_files.issuperset([*missing, *damaged])
        remedy = f"or compile it again: `limbeck compress {folder}`" if compiled else "or build it anew"
        raise BundleError(f"{folder} is not whole, {'; '.join(problems)}. Copy the bundle again, {remedy}.")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle, its files unchecked. Raises `BundleError` where there is none that can be read."""
    path = folder / MANIFEST
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise BundleError(f"{folder} {found}; expected a folder written by `limbeck build` or `limbeck train`")
    if not path.is_file():
        what = "a plain model folder" if (folder / "config.json").is_file() else "not a model folder"
        raise BundleError(f"{folder} has no {MANIFEST}, so it is no bundle ({what}): write one with `limbeck build`")
    content = path.read_bytes()
    try:
        version = msgspec.json.decode(content, type=dict[str, Any]).get("format")
        if version != FORMAT:
            raise BundleError(f"{path}: format {version!r}, this limbeck reads format {FORMAT}: upgrade limbeck")
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} is damaged: {error}. Copy the bundle again, or build it anew.") from error


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write the manifest last, with the hash of every file beside it; returns it as written."""
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not _is_free(path.relative_to(folder))
    )
    hashed = msgspec.structs.replace(manifest, files={name: sha256_of(folder / name) for name in names})
    _write(folder, hashed)
    return hashed


def replace_variants(bundle: Bundle, manifest: Manifest, built: Path) -> Bundle:
    """Move the files of the manifest's variants from the folder `built` into a bundle, and write that manifest.

    Hashes are taken before, so that a file and a manifest differ no longer than it takes to rename the others. Files
    of the bundle's own variants that are no longer named are removed.
    """
    folder, new = bundle.folder, manifest.compiled_files
    files = bundle.manifest.trained_files | {name: sha256_of(built / name) for name in new}
    hashed = msgspec.structs.replace(manifest, files=dict(sorted(files.items())))
    for name in new:
        (folder / name).parent.mkdir(exist_ok=True)
        os.replace(built / name, folder / name)
    _write(folder, hashed)
    for name in bundle.manifest.compiled_files - new:
        (folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # others lie there
            (folder / name).parent.rmdir()
    return Bundle(folder, hashed)


def _write(folder: Path, manifest: Manifest) -> None:
    write_text(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1).decode())


def _is_free(name: Path) -> bool:
    return name.as_posix() in _FREE or any(part.startswith(".") for part in name.parts)
