"""The rule that prompts are measured by: a token stands for at least one byte. Tried against real tokenizers."""

import io

import pytest
import sentencepiece
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.payload import bytes_of
from interlock.fsm.asking import PER_MESSAGE_TOKENS

CORPUS = (
    "The customer asks about a refund of the payment; transfers arrive late every Monday, because banks are closed.",
    "Ä ö ü é ñ, 你好, привет, שלום, 😀 and 1,234.50 €.",
)
LIGATURE = "\ufdfa"
"""One character of three bytes that compatibility normalisation writes out in eighteen."""
nasty = st.sampled_from(
    (LIGATURE, "\ud800", "\x00", "<|endoftext|>", "</s>", "  ", "\n\n", "🏳️‍🌈", "e\u0301", "ⅷ", "\u2581", "a" * 50)
)
adversarial = st.lists(st.text(max_size=20) | nasty | st.sampled_from(CORPUS), max_size=8).map("".join)
"""Any text, and what tokenizers are known to stumble over."""

byte_pairs = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=60)


def byte_pair_tokenizer(merges: list[tuple[int, int]], pattern: str) -> tiktoken.Encoding:
    """A tokenizer with this vocabulary: the 256 bytes, and what is joined from two tokens that there are."""
    tokens = [bytes([one]) for one in range(256)]
    for left, right in merges:
        joined = tokens[left % len(tokens)] + tokens[right % len(tokens)]
        if joined not in tokens and len(joined) < 100:
            tokens.append(joined)
    ranks = {token: rank for rank, token in enumerate(tokens)}
    special = {"<|endoftext|>": len(ranks)}
    return tiktoken.Encoding("made", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)


@given(byte_pairs, st.sampled_from((r"\s?\w+|\s?[^\w\s]+|\s+", r"[\s\S]", r"[\s\S]+")), adversarial)
def test_no_byte_pair_vocabulary_gives_more_tokens_than_bytes(
    merges: list[tuple[int, int]], pattern: str, text: str
) -> None:
    """Any vocabulary, any way of cutting words, any text: lone surrogates and special tokens included."""
    tokenizer = byte_pair_tokenizer(merges, pattern)
    assert len(tokenizer.encode(text, disallowed_special=())) <= len(bytes_of(text))
    assert len(tokenizer.encode(text, allowed_special="all")) <= len(bytes_of(text))


def sentence_piece(kind: str, normalisation: str) -> sentencepiece.SentencePieceProcessor:
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 20),
        model_writer=made,
        model_type=kind,
        vocab_size=330,
        hard_vocab_limit=False,
        byte_fallback=True,
        character_coverage=0.98,
        normalization_rule_name=normalisation,
        num_threads=1,
        minloglevel=3,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=made.getvalue())


VERBATIM = {kind: sentence_piece(kind, "identity") for kind in ("bpe", "unigram")}


@pytest.mark.parametrize("kind", VERBATIM)
@given(text=adversarial)
def test_sentencepiece_with_byte_fallback_keeps_within_bytes_and_what_is_added_to_a_message(
    kind: str, text: str
) -> None:
    """It marks the beginning of a text with a token of its own, and models add one for begin and one for end."""
    text = text.encode("utf-8", "replace").decode()
    tokens = VERBATIM[kind].encode(text, add_bos=True, add_eos=True)
    assert len(tokens) <= len(bytes_of(text)) + PER_MESSAGE_TOKENS


def test_control_a_tokenizer_that_rewrites_the_text_first_passes_the_bound() -> None:
    """NFKC is the exception that the docs name; the event of such a call says `undercounted`."""
    text = LIGATURE * 10
    tokens = sentence_piece("unigram", "nmt_nfkc").encode(text)
    assert len(tokens) > len(bytes_of(text)) + PER_MESSAGE_TOKENS
    assert len(VERBATIM["unigram"].encode(text)) <= len(bytes_of(text)) + PER_MESSAGE_TOKENS
