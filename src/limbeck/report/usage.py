"""Snippets of Python that run a bundle: with limbeck, with transformers, and with ONNX Runtime alone."""

from __future__ import annotations

from limbeck.bundle import Manifest, Variant

# `logits` [rows, outputs] and `about`, the task in limbeck.json, to answers.
_DECODE = {
    "classify": (
        "answers = [about['labels'][i] for i in logits.argmax(-1)]",
        "scores = np.exp(logits / about['temperature'])",
        "scores /= scores.sum(-1, keepdims=True)",
    ),
    "multilabel": (
        "scores = 1 / (1 + np.exp(-logits / about['temperature']))",
        "answers = [[about['labels'][i] for i in np.flatnonzero(row >= about['thresholds'])] for row in scores]",
    ),
    "regress": ("answers = logits[:, 0]",),
    "embed": ("vectors = logits",),
    "answer": (
        "starts, ends = logits[..., 0].argmax(-1), logits[..., 1].argmax(-1)",
        "answers = [(int(a), int(b)) for a, b in zip(starts, ends)]  # tokens; limbeck finds the best valid span",
    ),
    "tag": (
        "tags = ['O', *(f'{prefix}-{label}' for label in about['labels'] for prefix in 'BI')]",
        "answers = [[tags[i] for i in row] for row in logits.argmax(-1)]  # of each token; limbeck joins them",
    ),
}


_CLASSES = {
    "pooler": "AutoModelForSequenceClassification",
    "tokens": "AutoModelForTokenClassification",
    "spans": "AutoModelForQuestionAnswering",
}


_FORWARD = {
    "spans": (
        "    output = model(**inputs)",
        "logits = np.stack([output.start_logits.numpy(), output.end_logits.numpy()], axis=-1)",
    )
}


def lacks_heads(manifest: Manifest) -> bool:
    """Whether heads were removed from the encoder, so that transformers cannot load it."""
    pruned = (manifest.training.get("distillation") or {}).get("pruned")
    return bool(pruned and pruned["heads"][0] < pruned["heads"][1])


def limbeck_usage(manifest: Manifest) -> list[str]:
    """Loading the bundle with limbeck."""
    texts = '[("one text", "the other")]' if manifest.model.pair else '["some text", "another one"]'
    if manifest.task.name == "answer":
        texts = '[("a question", "the context that may answer it")]'
    return [
        _python(f"import limbeck\n\nmodel = limbeck.load(BUNDLE)  # the folder of this file\nmodel.predict({texts})")
    ]


def transformers_usage(manifest: Manifest) -> list[str]:
    """Loading the fp32 weights with transformers, or with sentence-transformers; why not, where heads were removed."""
    if lacks_heads(manifest):
        return [
            "Attention heads were removed, and transformers 5 cannot load such weights: limbeck can, and the ONNX "
            "variants run anywhere."
        ]
    if manifest.task.name == "embed":
        lines = ["from sentence_transformers import SentenceTransformer", "", "model = SentenceTransformer(BUNDLE)"]
        lines += ["vectors = model.encode(['some text', 'another one'])"]
        return ["With sentence-transformers, the fp32 model:", _python("\n".join(lines))]
    if manifest.model.pooling not in _CLASSES:
        return [
            f"With transformers, `AutoModel.from_pretrained(BUNDLE)` loads the encoder; its head "
            f"({manifest.model.pooling} pooling and one linear layer) is in `head.safetensors`."
        ]
    lines = [
        "import json",
        "import numpy as np",
        "import torch",
        f"from transformers import {_CLASSES[manifest.model.pooling]}, AutoTokenizer",
        "",
        "about = json.load(open(f'{BUNDLE}/limbeck.json'))['task']",
        "tokenizer = AutoTokenizer.from_pretrained(BUNDLE)",
        f"model = {_CLASSES[manifest.model.pooling]}.from_pretrained(BUNDLE).eval()",
        f"inputs = tokenizer({_texts(manifest)}, truncation=True, max_length={manifest.model.max_tokens},",
        "                   padding=True, return_tensors='pt')",
        "with torch.no_grad():",
        *_FORWARD.get(manifest.model.pooling, ("    logits = model(**inputs).logits.numpy()",)),
        *_DECODE[manifest.task.name],
    ]
    return ["With transformers, the fp32 model:", _python("\n".join(lines))]


def onnxruntime_usage(manifest: Manifest) -> list[str]:
    """Running the chosen variant with ONNX Runtime and tokenizers alone; nothing where no variant is chosen."""
    variant = next((v for v in manifest.variants if v.name == manifest.chosen), None)
    if variant is None or variant.engine != "onnxruntime":
        return []
    lines = [
        "import json",
        "import numpy as np",
        "import onnxruntime",
        "from tokenizers import Tokenizer",
        "",
        "about = json.load(open(f'{BUNDLE}/limbeck.json'))['task']",
        "tokenizer = Tokenizer.from_file(f'{BUNDLE}/tokenizer.json')",
        f"tokenizer.enable_truncation({manifest.model.max_tokens})",
        f"tokenizer.enable_padding(pad_id={manifest.model.pad_id})",
        f"encoded = tokenizer.encode_batch({_pairs(manifest)})",
        f"session = onnxruntime.InferenceSession(f'{{BUNDLE}}/{variant.file}')",
        "logits = session.run(None, {",
        *_inputs(variant),
        "})[0]",
        *_DECODE[manifest.task.name],
    ]
    return [f"With ONNX Runtime alone, the chosen variant ({variant.name}):", _python("\n".join(lines))]


def _inputs(variant: Variant) -> list[str]:
    fields = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    return [f"    '{name}': np.array([e.{fields[name]} for e in encoded])," for name in variant.inputs]


def _texts(manifest: Manifest) -> str:
    return "['one text'], ['the other']" if manifest.model.pair else "['some text', 'another one']"


def _pairs(manifest: Manifest) -> str:
    return "[('one text', 'the other')]" if manifest.model.pair else "['some text', 'another one']"


def _python(text: str) -> str:
    return f"```python\n{text}\n```"
