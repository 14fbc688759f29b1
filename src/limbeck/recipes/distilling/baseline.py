"""What a classifier of words without any encoder scores: TF-IDF and logistic regression."""

from __future__ import annotations

import pickle
import time

import numpy as np

from limbeck.console import say
from limbeck.measure.contest import Compiled, Entrant
from limbeck.report.worth import BASELINE
from limbeck.tasks import Classify, Logits
from limbeck.text.units import UNSPACED
from limbeck.training.prepare import Prepared, TokenizedSplit

STRENGTHS = (1.0, 10.0)  # inverse regularisation; the better on the dev rows is taken
_WORD = rf"[{UNSPACED}]|[^\W{UNSPACED}]{{2,}}"
_UNSEEN = -30.0  # the logit of a label that no training row has


def word_baseline(prepared: Prepared, task: Classify) -> Entrant | None:
    """TF-IDF of words and pairs of words that occur in two texts or more, with logistic regression, judged on test.

    Of scripts without spaces between words a character is a word. The second text of a pair is read as more words of
    the first. `parameters` are the weights of the regression. None where the training rows have no words in common, or
    one label alone; that is said.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectors = TfidfVectorizer(ngram_range=(1, 2), token_pattern=_WORD, min_df=2, sublinear_tf=True, dtype=np.float32)
    targets = prepared.train.targets
    try:
        train = vectors.fit_transform(_texts(prepared.train))
        fitted = [LogisticRegression(C=strength, max_iter=1000).fit(train, targets) for strength in STRENGTHS]
    except ValueError as error:
        say(f"  left out, there is nothing for it to learn: {error}")
        return None

    def logits(model: LogisticRegression, split: TokenizedSplit) -> Logits:
        found = np.full((len(split.dataset), task.outputs), _UNSEEN, dtype=np.float32)
        found[:, model.classes_] = model.predict_log_proba(vectors.transform(_texts(split)))
        return found

    best = max(fitted, key=lambda model: task.score(logits(model, prepared.dev), prepared.dev.targets))
    started = time.perf_counter()
    answers = logits(best, prepared.test)
    rate = len(answers) / (time.perf_counter() - started)
    return Entrant(
        BASELINE,
        task.evidence(answers, prepared.test.targets),
        parameters=int(best.coef_.size + best.intercept_.size),
        compiled={"fp32": Compiled(rate, len(pickle.dumps((vectors, best))))},
    )


def _texts(split: TokenizedSplit) -> list[str]:
    texts, pairs = split.dataset.texts, split.dataset.pairs
    return texts if pairs is None else [f"{text} {pair}" for text, pair in zip(texts, pairs, strict=True)]
