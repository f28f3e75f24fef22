"""Fitting the weights of a linear table with scikit-learn's support vector machine (the extra `ml`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .classifier import UNIT, known_share, letter_features, word_features, words_of
from .fitting import MANY_EXAMPLES, FittedBlock, Truth


def installed() -> bool:
    try:
        import sklearn  # noqa: F401
    except ImportError:
        return False
    return True


def fit_sklearn(texts: Sequence[str], truth: Truth, columns: Sequence[str], *, seed: int) -> "SklearnFitted":
    """One separating plane per column over words, pairs and letters. Half a second per thousand examples."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    least = 1 if len(texts) < MANY_EXAMPLES else 2
    words = TfidfVectorizer(analyzer=word_features, sublinear_tf=True, min_df=least)
    letters = TfidfVectorizer(analyzer=letter_features, sublinear_tf=True, min_df=2)
    features = hstack([words.fit_transform(texts), letters.fit_transform(texts)]).tocsr()
    weights, intercepts = planes(features, truth, columns, seed)
    return SklearnFitted.of(words, letters, weights, intercepts)


def planes(features: Any, truth: Truth, columns: Sequence[str], seed: int) -> tuple[Any, Any]:
    """Weights and intercept of one separating plane per column."""
    import numpy
    from sklearn.svm import LinearSVC

    if all(len(labels) == 1 for labels in truth):
        machine = LinearSVC(C=1.0, random_state=seed).fit(features, [next(iter(labels)) for labels in truth])
        weights, intercepts = machine.coef_, machine.intercept_
        if len(intercepts) == 1:  # two labels share one plane
            weights = numpy.vstack([-weights, weights])
            intercepts = numpy.concatenate([-intercepts, intercepts])
        return weights, intercepts
    weights, intercepts = numpy.zeros((len(columns), features.shape[1])), numpy.full(len(columns), -1.0)
    for place, column in enumerate(columns):
        own = [column in labels for labels in truth]
        if any(own) and not all(own):  # in a fold, a rare label may have no example
            machine = LinearSVC(C=1.0, random_state=seed, class_weight="balanced").fit(features, own)
            weights[place], intercepts[place] = machine.coef_[0], machine.intercept_[0]
    return weights, intercepts


@dataclass(frozen=True, slots=True)
class SklearnFitted:
    words: FittedBlock
    letters: FittedBlock
    intercepts: tuple[float, ...]
    _vectorizers: tuple[Any, Any]
    _weights: Any

    @classmethod
    def of(cls, words: Any, letters: Any, weights: Any, intercepts: Any) -> "SklearnFitted":
        count = len(words.vocabulary_)
        return cls(
            _block(words, weights[:, :count]),
            _block(letters, weights[:, count:]),
            tuple(float(number) for number in intercepts),
            (words, letters),
            weights,
        )

    def known(self, text: str) -> float:
        return known_share(words_of(text), self._vectorizers[0].vocabulary_)

    def margins(self, texts: Sequence[str]) -> list[list[float]]:
        from scipy.sparse import hstack

        features = hstack([one.transform(texts) for one in self._vectorizers]).tocsr()
        found: list[list[float]] = (features @ self._weights.T + self.intercepts).tolist()
        return found


def _block(vectorizer: Any, weights: Any) -> FittedBlock:
    import numpy

    idf = numpy.rint(vectorizer.idf_ * UNIT).astype(int)
    return FittedBlock(tuple(vectorizer.get_feature_names_out()), tuple(idf.tolist()), weights.T)
